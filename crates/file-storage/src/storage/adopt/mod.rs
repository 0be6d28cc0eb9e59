//! Files that were there before become objects (SPEC 9): each as an upload would, but that its bytes need not travel where the
//! provider that they go to can have them otherwise.

mod one;

use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{FileStorage, Folder};
use crate::backend::originals::Originals;
use crate::errors::StorageError;
use crate::executor::{Job, JobKind};
use crate::permissions::{Operation, RlsContext};

pub(crate) use one::{Adopted, Adoption};

/// Where files are that are to become objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdoptSource {
    /// Below a directory of the server's machine.
    Directory(String),
    /// In a provider's store, beside its blobs.
    Provider {
        /// The provider.
        name: Arc<str>,
        /// Where in it, below its own prefix; empty for all of it.
        path: String,
    },
}

/// What is to become objects, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptRequest {
    /// Where the files are.
    pub source: AdoptSource,
    /// The folder that they go to. What their names are below the source follows it.
    pub to: Folder,
    /// Whose they will be; `None` for the service's own.
    pub owner: Option<Uuid>,
    /// Whether each original is removed as soon as it is an object.
    pub moves: bool,
    /// Whether objects that are something else are replaced; else they stay, and so does the original.
    pub overwrite: bool,
}

impl AdoptRequest {
    /// As a job's parameters.
    fn to_params(&self) -> Map<String, Value> {
        let mut params = Map::new();
        match &self.source {
            AdoptSource::Directory(path) => {
                params.insert("directory".to_owned(), path.as_str().into());
            }
            AdoptSource::Provider { name, path } => {
                params.insert("provider".to_owned(), (&**name).into());
                params.insert("path".to_owned(), path.as_str().into());
            }
        }
        params.insert("bucket".to_owned(), self.to.bucket.as_str().into());
        params.insert("prefix".to_owned(), self.to.prefix().into());
        params.insert("owner".to_owned(), self.owner.map(|owner| owner.to_string()).into());
        params.insert("move".to_owned(), self.moves.into());
        params.insert("overwrite".to_owned(), self.overwrite.into());
        params
    }

    /// Of a job's parameters.
    pub(crate) fn of_params(params: &Map<String, Value>) -> Result<Self, StorageError> {
        let text = |name: &str| params.get(name).and_then(Value::as_str);
        let is = |name: &str| params.get(name).and_then(Value::as_bool).unwrap_or(false);
        let source = match (text("directory"), text("provider")) {
            (Some(path), _) => AdoptSource::Directory(path.to_owned()),
            (None, Some(name)) => {
                AdoptSource::Provider { name: name.into(), path: text("path").unwrap_or_default().to_owned() }
            }
            (None, None) => return Err(StorageError::internal("a job that adopts does not say what")),
        };
        let owner = text("owner").map(Uuid::try_parse).transpose();
        let owner = owner.map_err(|_| StorageError::internal("a job that adopts names no owner"))?;
        let to = Folder::of(params, "bucket", "prefix")?;
        Ok(Self { source, to, owner, moves: is("move"), overwrite: is("overwrite") })
    }
}

impl FileStorage {
    /// Has files become objects, by a job. What can't is a failure that the job reports, and stays. The service role's to do.
    ///
    /// # Errors
    /// A denial; [`StorageError::InvalidRequest`] for a directory that is not there, or that the configuration does not allow;
    /// [`StorageError::ProviderNotFound`]; [`StorageError::BucketNotFound`]; and [`StorageError::TooManyJobs`].
    pub async fn start_adoption(
        &self,
        context: &RlsContext,
        request: &AdoptRequest,
        dry_run: bool,
    ) -> Result<Job, StorageError> {
        self.may_ask(context, Operation::Maintain, None).await?;
        // Looked into, so that what is wrong with it as a whole is said at once.
        self.originals(&request.source)?.page(None, 1).await?;
        self.bucket(context, &request.to.bucket).await?;
        self.start_job(context, JobKind::Adopt, request.to_params(), dry_run).await
    }

    /// What a source holds. Asked anew at each step: what the configuration allows may have changed.
    pub(crate) fn originals(&self, source: &AdoptSource) -> Result<Arc<dyn Originals>, StorageError> {
        match source {
            AdoptSource::Directory(path) => self.options().adopt.originals(path),
            AdoptSource::Provider { name, path } => {
                let missing = || StorageError::ProviderNotFound { provider: name.clone() };
                let provider = self.providers().get(name).ok_or_else(missing)?;
                let adopter = provider.backend().adopter();
                adopter.and_then(|adopter| adopter.originals(path)).ok_or_else(|| {
                    let message = match provider.is_remote() {
                        true => format!("nothing can lie below \"{path}\" there"),
                        false => format!(
                            "the provider \"{name}\" is a directory: what lies in another one is named by its path"
                        ),
                    };
                    StorageError::InvalidRequest { message }
                })
            }
        }
    }
}
