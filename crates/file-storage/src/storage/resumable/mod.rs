//! Uploads that are appended to, as TUS has them: begun, added to at their end, and objects as soon as all is there.
//!
//! What was acknowledged is durable, and the offset never goes back. One request at a time appends to an upload: a new one
//! takes it over, and the old one stops where it is. What a request brought before it broke off is kept.

mod append;
mod caller;
mod concatenate;
mod incoming;
mod tail;
mod writers;

use uuid::Uuid;

use super::FileStorage;
use super::multipart::expiry;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Announced, Written};
use crate::file::{ObjectAttributes, PutMode};
use crate::multipart::{MultipartUpload, NewMultipart, NewResumable, UploadAt};
use crate::path::ObjectPath;
use crate::permissions::Operation;

pub use caller::Uploader;
pub(super) use writers::Writers;

/// An upload that was added to.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The upload as it now is.
    pub upload: MultipartUpload,
    /// The object that it became.
    pub written: Option<Written>,
}

impl FileStorage {
    /// Begins an upload that is appended to. One without bytes is an object at once.
    ///
    /// # Errors
    /// As [`FileStorage::create_multipart`]; [`StorageError::PayloadTooLarge`] and [`StorageError::QuotaExceeded`] for the
    /// length that is announced.
    pub async fn create_resumable(
        &self,
        caller: &Uploader<'_>,
        at: (&BucketName, &ObjectPath),
        mode: PutMode,
        attributes: ObjectAttributes,
        new: NewResumable,
    ) -> Result<Progress, StorageError> {
        let upload = self.begin_resumable(caller, at, mode, attributes, new).await?;
        let resumable = upload.resumable()?;
        if resumable.length == Some(0) && !resumable.is_partial {
            let epoch = resumable.epoch;
            return self.finish_resumable(caller, upload, epoch).await;
        }
        Ok(Progress { upload, written: None })
    }

    async fn begin_resumable(
        &self,
        caller: &Uploader<'_>,
        (bucket, path): (&BucketName, &ObjectPath),
        mode: PutMode,
        attributes: ObjectAttributes,
        new: NewResumable,
    ) -> Result<MultipartUpload, StorageError> {
        let access = self.uploader(caller, Operation::CreateMultipart(&mode), bucket).await?;
        let announced = Announced { attributes: Some(attributes.clone()), size: new.length, is_final: false };
        let admission = self.executor().admit_put(&access, bucket, path, &mode, &announced).await?;
        self.executor().check_room()?;
        self.check_limits(&admission, &attributes.content_type, new.length.unwrap_or(0))?;
        caller.use_up(self).await?;
        let upload = NewMultipart {
            at: UploadAt { bucket: bucket.clone(), path: path.clone(), id: Uuid::now_v7() },
            bucket_uuid: admission.bucket.uuid,
            attributes,
            checksum: None,
            resumable: Some(new),
            expires_at: expiry(self.inner.options.resumable_expiry),
        };
        self.executor().create_multipart(&access, upload, &mode).await
    }

    /// How far an upload is. A request that appends to it is stopped first, and what it brought is counted.
    ///
    /// # Errors
    /// [`StorageError::UploadNotFound`], also for somebody else's; [`StorageError::UploadExpired`]. Where all is there that
    /// was to come, and it could not become an object, why.
    pub async fn resumable(
        &self,
        caller: &Uploader<'_>,
        at: &UploadAt,
    ) -> Result<MultipartUpload, StorageError> {
        let access = self.uploader(caller, Operation::FindUpload, &at.bucket).await?;
        let found = self.executor().multipart(&access, at).await?;
        if found.resumable()?.completed_at.is_some() {
            return Ok(found);
        }
        let _turn = self.inner.writers.take_over(at.id).await?;
        let upload = self.executor().claim_resumable(&access, at).await?.upload;
        let resumable = upload.resumable()?;
        // The request that was there may have brought it to its end meanwhile.
        if resumable.completed_at.is_some() {
            return Ok(upload);
        }
        // A crash came between the last byte and the object: who is told that all is there must find it there.
        if resumable.length == Some(resumable.offset) && !resumable.is_partial {
            let epoch = resumable.epoch;
            return Ok(self.finish_resumable(caller, upload, epoch).await?.upload);
        }
        Ok(upload)
    }

    /// Gives an upload up; a request that appends to it is stopped. One that became an object is none any more.
    ///
    /// # Errors
    /// [`StorageError::UploadNotFound`].
    pub async fn abort_resumable(&self, caller: &Uploader<'_>, at: &UploadAt) -> Result<(), StorageError> {
        let access = self.uploader(caller, Operation::AbortMultipart, &at.bucket).await?;
        let found = self.executor().multipart(&access, at).await?;
        if found.resumable()?.completed_at.is_some() {
            let message = "Cannot terminate an already completed upload".to_owned();
            return Err(StorageError::InvalidRequest { message });
        }
        let _turn = self.inner.writers.take_over(at.id).await?;
        self.hit("abort.before").await?;
        self.executor().abort_multipart(&access, at).await?;
        self.inner.deletions_queued.notify_one();
        Ok(())
    }
}
