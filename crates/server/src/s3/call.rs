//! One request, once it is known what it is about and who asks.

use std::sync::{Arc, Mutex, PoisonError};

use file_storage::{BucketName, FileStorage, ObjectPath, Operation, RlsContext, StorageObject, VersionId};
use http::{HeaderMap, Method};

use super::failure::Failure;
use super::target::Target;
use crate::app::AppState;
use crate::http::LogSlot;

/// One request. A clone is one counted reference.
#[derive(Clone)]
pub(super) struct Call(Arc<Parts>);

struct Parts {
    app: AppState,
    context: RlsContext,
    log: LogSlot,
    target: Target,
    method: Method,
    headers: HeaderMap,
    query: Vec<(String, String)>,
    /// Whether somebody signed it.
    is_signed: bool,
    /// The region that it was signed for.
    region: Option<String>,
    /// Why an operation that `s3s` ran failed.
    failure: Mutex<Option<Failure>>,
}

/// What a call is made of.
pub(super) struct NewCall {
    pub(super) app: AppState,
    pub(super) context: RlsContext,
    pub(super) log: LogSlot,
    pub(super) target: Target,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) query: Vec<(String, String)>,
    /// The region that it was signed for; `None` where nobody signed it.
    pub(super) region: Option<String>,
}

impl Call {
    pub(super) fn new(new: NewCall) -> Self {
        let NewCall { app, context, log, target, method, headers, query, region } = new;
        let is_signed = region.is_some();
        let failure = Mutex::default();
        Self(Arc::new(Parts {
            app,
            context,
            log,
            target,
            method,
            headers,
            query,
            is_signed,
            region,
            failure,
        }))
    }

    /// Names the operation for the log, before anything can go wrong with it.
    pub(super) fn begin(&self, operation: Operation<'_>) {
        self.0.log.update(|log| log.operation = operation.name());
    }

    pub(super) fn log_size(&self, size: u64) {
        self.0.log.update(|log| log.size = Some(size));
    }

    /// Keeps why the request failed: `s3s` has no words for all of it.
    pub(super) fn fail(&self, failure: Failure) {
        *self.0.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    /// Why the request failed, unless it was `s3s` that refused it.
    pub(super) fn take_failure(&self) -> Option<Failure> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn app(&self) -> &AppState {
        &self.0.app
    }

    pub(super) fn storage(&self) -> &FileStorage {
        &self.0.app.storage
    }

    pub(super) fn context(&self) -> &RlsContext {
        &self.0.context
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    pub(super) fn is_head(&self) -> bool {
        self.0.method == Method::HEAD
    }

    pub(super) fn is_signed(&self) -> bool {
        self.0.is_signed
    }

    pub(super) fn region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    pub(super) fn query(&self) -> &[(String, String)] {
        &self.0.query
    }

    /// A parameter's value; the first one.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.0.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The bucket that the request is about.
    pub(super) fn bucket(&self) -> Result<&BucketName, Failure> {
        self.0.target.bucket().ok_or_else(|| Failure::invalid("The request names no bucket"))
    }

    /// The object that the request is about.
    pub(super) fn object(&self) -> Result<(&BucketName, &ObjectPath), Failure> {
        match &self.0.target {
            Target::Object(bucket, path) => Ok((bucket, path)),
            Target::Service | Target::Bucket(_) => Err(Failure::invalid("The request names no object")),
        }
    }

    /// The row of the object that the request is about.
    pub(super) async fn info(&self) -> Result<StorageObject, Failure> {
        let (bucket, path) = self.object()?;
        Ok(match self.version()? {
            None => self.storage().info(self.context(), bucket, path).await?,
            Some(version) => self.storage().version_info(self.context(), bucket, path, version).await?,
        })
    }

    /// The version that the request names.
    pub(super) fn version(&self) -> Result<Option<VersionId>, Failure> {
        self.parameter("versionId").map(version).transpose()
    }

    /// How an object's version is told: where it has a name, or was asked for by one.
    pub(super) fn told_version(&self, object: &StorageObject) -> Option<String> {
        let told = object.versioned || self.parameter("versionId").is_some();
        told.then(|| object.version_id().to_string())
    }
}

/// A version by its name.
pub(super) fn version(id: &str) -> Result<VersionId, Failure> {
    VersionId::parse(id).map_err(|_| Failure::argument("Invalid version id specified"))
}
