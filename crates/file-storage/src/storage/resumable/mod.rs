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
use super::multipart::{PartBody, expiry};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Announced, QuotaLeft, Written};
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

    /// Begins an upload, and appends its first bytes. One whose first bytes are not taken is not begun, as nobody was told of
    /// it; a single-use token is as good as it was.
    ///
    /// # Errors
    /// As [`FileStorage::create_resumable`] and [`FileStorage::append_resumable`].
    pub async fn create_resumable_with(
        &self,
        caller: &Uploader<'_>,
        at: (&BucketName, &ObjectPath),
        mode: PutMode,
        attributes: ObjectAttributes,
        new: NewResumable,
        body: PartBody,
    ) -> Result<Progress, StorageError> {
        let begun = self.create_resumable(caller, at, mode, attributes, new).await?;
        if begun.written.is_some() {
            return Ok(begun);
        }
        let at = begun.upload.at;
        let appended = self.append_resumable(caller, &at, 0, None, body).await;
        if appended.is_err() {
            let given_up = async {
                self.abort_resumable(caller, &at).await?;
                caller.give_back(self).await
            };
            if let Err(error) = given_up.await {
                tracing::debug!(%error, "an upload that was not begun stays until its time is over");
            }
        }
        appended
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
        let length = new.length.unwrap_or(0);
        self.check_limits(&admission, &attributes.content_type, length)?;
        // What would be replaced is not given back before the end, and until then both are there.
        if let Some(left) = admission.quota_left.clone() {
            QuotaLeft { returned: 0, ..left }.check(length)?;
        }
        caller.use_up(self).await?;
        let upload = NewMultipart {
            at: UploadAt { bucket: bucket.clone(), path: path.clone(), id: Uuid::now_v7() },
            bucket_uuid: admission.bucket.uuid,
            attributes,
            checksum: None,
            resumable: Some(new),
            nonce: caller.nonce(),
            most_unfinished: self.inner.options.load().max_unfinished_uploads,
            expires_at: self.resumable_expiry(),
        };
        let begun = self.executor().create_multipart(&access, upload, &mode).await;
        if begun.is_err()
            && let Err(error) = caller.give_back(self).await
        {
            tracing::debug!(%error, "a single-use token is used up by an upload that was not begun");
        }
        begun
    }

    /// When an upload is given up for which nothing comes from now on.
    fn resumable_expiry(&self) -> Timestamp {
        expiry(self.inner.options.load().resumable_expiry)
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
        let found = self.find_resumable(caller, &access, at).await?;
        if found.resumable()?.completed_at.is_some() {
            return Ok(found);
        }
        let _turn = self.inner.writers.take_over(at.id).await?;
        let claimed = self.executor().claim_resumable(&access, at, self.resumable_expiry()).await;
        let upload = match claimed {
            Ok(claimed) => claimed.upload,
            // Where nothing can be written, nobody appends either.
            Err(StorageError::DiskFull { .. }) => return self.executor().multipart(&access, at).await,
            Err(error) => return Err(error),
        };
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
        let found = match self.find_resumable(caller, &access, at).await {
            // It may be given up all the same.
            Err(StorageError::UploadExpired { .. }) => None,
            found => Some(found?),
        };
        let is_done = found.is_some_and(|found| found.resumable.is_some_and(|it| it.completed_at.is_some()));
        if is_done {
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
