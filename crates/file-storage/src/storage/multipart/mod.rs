//! Uploads in numbered parts, as S3 has them: begun, filled with parts in any order, made an object of or given up.
//!
//! Whether the caller may write at the path is decided when an upload is begun, at each part before its bytes, and when it
//! becomes an object. Only who has begun an upload goes on with it, and the service role.

mod complete;
mod copy_part;
mod list;
mod part;

use chrono::Utc;
use uuid::Uuid;

use super::FileStorage;
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::digests::ObjectChecksum;
use crate::errors::StorageError;
use crate::executor::Announced;
use crate::file::{ObjectAttributes, PutMode};
use crate::multipart::{MultipartUpload, NewMultipart, UploadAt};
use crate::path::ObjectPath;
use crate::permissions::{Operation, RlsContext};

pub use complete::CompleteOptions;
pub use copy_part::PartSource;
pub use part::PartBody;
pub(super) use part::Run;

/// What a protocol says of an upload in parts, beside its object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MultipartOptions {
    /// The checksum that the object is to have. Its parts have one by the same algorithm.
    pub checksum: Option<ObjectChecksum>,
}

impl FileStorage {
    /// Begins an upload in parts. A condition in `mode` holds now; that of the completion is said then.
    ///
    /// # Errors
    /// As [`FileStorage::admit_upload`], [`StorageError::UnsupportedMediaType`] and [`StorageError::TooManyUploads`].
    pub async fn create_multipart(
        &self,
        context: &RlsContext,
        at: (&BucketName, &ObjectPath),
        mode: PutMode,
        attributes: ObjectAttributes,
        options: MultipartOptions,
    ) -> Result<MultipartUpload, StorageError> {
        let (bucket, path) = at;
        let access = self.access(context, Operation::CreateMultipart(&mode), Some(bucket)).await?;
        let announced = Announced { attributes: Some(attributes.clone()), size: None, is_final: false };
        let admission = self.executor().admit_put(&access, bucket, path, &mode, &announced).await?;
        self.executor().check_room()?;
        self.check_limits(&admission, &attributes.content_type, 0)?;
        let upload = NewMultipart {
            at: UploadAt { bucket: bucket.clone(), path: path.clone(), id: Uuid::now_v7() },
            bucket_uuid: admission.bucket.uuid,
            attributes,
            checksum: options.checksum,
            resumable: None,
            nonce: None,
            most_unfinished: self.inner.options.load().max_unfinished_uploads,
            expires_at: expiry(self.inner.options.load().multipart_expiry),
        };
        self.executor().create_multipart(&access, upload, &mode).await
    }

    /// Finds an upload in parts that the caller has begun.
    ///
    /// # Errors
    /// [`StorageError::UploadNotFound`], also for somebody else's; [`StorageError::UploadExpired`].
    pub async fn multipart(
        &self,
        context: &RlsContext,
        at: &UploadAt,
    ) -> Result<MultipartUpload, StorageError> {
        let access = self.access(context, Operation::FindUpload, Some(&at.bucket)).await?;
        let upload = self.executor().multipart(&access, at).await?;
        match upload.resumable {
            None => Ok(upload),
            Some(_) => Err(StorageError::UploadNotFound { upload: at.id }),
        }
    }

    /// Gives an upload up, and its parts.
    ///
    /// # Errors
    /// [`StorageError::UploadNotFound`].
    pub async fn abort_multipart(&self, context: &RlsContext, at: &UploadAt) -> Result<(), StorageError> {
        let access = self.access(context, Operation::AbortMultipart, Some(&at.bucket)).await?;
        self.hit("abort.before").await?;
        self.executor().abort_multipart(&access, at).await?;
        self.inner.deletions_queued.notify_one();
        Ok(())
    }
}

/// When something ends that lasts so long from now on.
pub(super) fn expiry(lasts: std::time::Duration) -> Timestamp {
    let lasts = chrono::TimeDelta::from_std(lasts).unwrap_or(chrono::TimeDelta::MAX);
    // Whole seconds, as protocols say them.
    let seconds = Utc::now().checked_add_signed(lasts).unwrap_or(Timestamp::MAX_UTC).timestamp();
    Timestamp::from_timestamp(seconds, 0).unwrap_or(Timestamp::MAX_UTC)
}
