//! In whose name an upload goes on: a caller's own, or that of who signed a token for one object.

use uuid::Uuid;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::multipart::{MultipartUpload, UploadAt};
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
        /// Who has it, for the logs.
        bearer: &'a RlsContext,
    },
}

impl Uploader<'_> {
    /// The nonce of a single-use token.
    pub(super) fn nonce(&self) -> Option<Uuid> {
        match self {
            Self::Caller(_) => None,
            Self::Signed { token, .. } => token.object().nonce(),
        }
    }

    /// Uses a single-use token up, which is good for one upload.
    pub(super) async fn use_up(&self, storage: &FileStorage) -> Result<(), StorageError> {
        match self {
            Self::Caller(_) => Ok(()),
            Self::Signed { token, .. } => storage.use_up(token.object()).await,
        }
    }

    /// Makes a single-use token good again, as the upload that it was used for was not begun after all.
    pub(super) async fn give_back(&self, storage: &FileStorage) -> Result<(), StorageError> {
        match self.nonce() {
            None => Ok(()),
            Some(nonce) => storage.executor().give_back_nonce(nonce).await,
        }
    }

    /// Refuses an upload that the token was not made for: one that replaces where the token may not, and one that another
    /// single-use token began.
    pub(super) fn check(&self, upload: &MultipartUpload) -> Result<(), StorageError> {
        let fits = match self {
            Self::Caller(_) => true,
            Self::Signed { token, .. } => {
                upload.nonce == token.object().nonce() && (token.upsert() || !upload.replaces)
            }
        };
        if fits { Ok(()) } else { Err(StorageError::UploadNotFound { upload: upload.at.id }) }
    }
}

impl FileStorage {
    /// Finds an upload that is appended to, for who may go on with it.
    pub(super) async fn find_resumable(
        &self,
        caller: &Uploader<'_>,
        access: &Access,
        at: &UploadAt,
    ) -> Result<MultipartUpload, StorageError> {
        let found = self.executor().multipart(access, at).await?;
        caller.check(&found)?;
        found.resumable()?;
        Ok(found)
    }

    /// The check of an operation on an upload.
    pub(super) async fn uploader(
        &self,
        caller: &Uploader<'_>,
        operation: Operation<'_>,
        bucket: &BucketName,
    ) -> Result<Access, StorageError> {
        match caller {
            Uploader::Caller(context) => self.access(context, operation, Some(bucket)).await,
            Uploader::Signed { token, bearer } => {
                let context = token.signer().context("").asked_by(bearer);
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
