//! Asking for a scrub.

use serde_json::{Map, Value};

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Job, JobKind, ScrubScope};
use crate::permissions::{Operation, RlsContext};
use crate::storage::FileStorage;

/// What is to be scrubbed, and whether what is found is repaired.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScrubRequest {
    /// Of which provider and bucket.
    pub scope: ScrubScope,
    /// Whether bad blobs are made anew from good ones. Else nothing is changed.
    pub repair: bool,
}

impl ScrubRequest {
    /// As a job's parameters.
    fn to_params(&self) -> Map<String, Value> {
        let mut params = Map::new();
        let scope = &self.scope;
        let bucket = scope.bucket.as_ref().map(BucketName::as_str);
        params.insert("provider".to_owned(), scope.provider.as_deref().into());
        params.insert("bucket".to_owned(), bucket.into());
        params.insert("repair".to_owned(), self.repair.into());
        params
    }

    /// Of a job's parameters.
    ///
    /// # Errors
    /// [`StorageError::InvalidBucketName`].
    pub(crate) fn of_params(params: &Map<String, Value>) -> Result<Self, StorageError> {
        let text = |name: &str| params.get(name).and_then(Value::as_str);
        let scope = ScrubScope {
            provider: text("provider").map(Into::into),
            bucket: text("bucket").map(BucketName::parse).transpose()?,
        };
        Ok(Self { scope, repair: params.get("repair").and_then(Value::as_bool).unwrap_or(false) })
    }
}

impl FileStorage {
    /// Has what is kept read and compared with its checksums, by a job; there is one at a time. The service role's to do.
    ///
    /// # Errors
    /// A denial; [`StorageError::ProviderNotFound`] where none of that name is configured; [`StorageError::BucketNotFound`];
    /// [`StorageError::JobRunning`] where one is not at its end.
    pub async fn start_scrub(
        &self,
        context: &RlsContext,
        request: &ScrubRequest,
    ) -> Result<Job, StorageError> {
        self.may_ask(context, Operation::Maintain, None).await?;
        if let Some(provider) = &request.scope.provider
            && self.providers().get(provider).is_none()
        {
            return Err(StorageError::ProviderNotFound { provider: provider.clone() });
        }
        if let Some(bucket) = &request.scope.bucket {
            self.bucket(context, bucket).await?;
        }
        // It reads for real, whether it repairs or not.
        self.start_job(context, JobKind::Scrub, request.to_params(), false).await
    }
}
