//! In whose name an upload goes on: a caller's own, or that of who signed a token for one object.

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::permissions::{Access, Operation, RlsContext};
use crate::signed_url::SignedUpload;
use crate::storage::FileStorage;

/// Who uploads.
#[derive(Clone, Copy)]
pub enum Uploader<'a> {
    /// A caller, as who they are.
    Caller(&'a RlsContext),
    /// Whoever has a signed token: as the one who signed it, for the one object that it was made for.
    Signed {
        /// The verified token.
        token: &'a SignedUpload,
        /// The request's identity, for the log.
        request_id: &'a str,
    },
}

impl Uploader<'_> {
    /// Uses a single-use token up, which is good for one upload.
    pub(super) async fn use_up(&self, storage: &FileStorage) -> Result<(), StorageError> {
        match self {
            Self::Caller(_) => Ok(()),
            Self::Signed { token, .. } => storage.use_up(token.object()).await,
        }
    }
}

impl FileStorage {
    /// The check of an operation on an upload.
    pub(super) async fn uploader(
        &self,
        caller: &Uploader<'_>,
        operation: Operation<'_>,
        bucket: &BucketName,
    ) -> Result<Access, StorageError> {
        match caller {
            Uploader::Caller(context) => self.access(context, operation, Some(bucket)).await,
            Uploader::Signed { token, request_id } => {
                let context = token.signer().context(request_id);
                let access = self.access(&context, operation, Some(bucket)).await?;
                let of = token.object();
                Ok(access.narrowed(of.bucket().clone(), of.path().clone()))
            }
        }
    }
}

impl std::fmt::Debug for Uploader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Caller(_) => "Caller",
            Self::Signed { .. } => "Signed",
        })
    }
}
