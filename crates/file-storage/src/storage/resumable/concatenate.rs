//! One object of several partial uploads, one after the other. No byte is copied.

use super::{Progress, Uploader};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::{ObjectAttributes, PutMode};
use crate::multipart::{Chosen, NewResumable, UploadAt};
use crate::path::ObjectPath;
use crate::permissions::Operation;
use crate::storage::FileStorage;

impl FileStorage {
    /// Makes an object of partial uploads of the same bucket, all of which must be there. They are none any more then.
    ///
    /// # Errors
    /// As [`FileStorage::create_resumable`], and [`StorageError::UploadNotFound`] for a part that is not the caller's;
    /// [`StorageError::InvalidRequest`] for one that is not a finished partial upload of the bucket.
    pub async fn concatenate(
        &self,
        caller: &Uploader<'_>,
        (bucket, path): (&BucketName, &ObjectPath),
        mode: PutMode,
        attributes: ObjectAttributes,
        told: String,
        parts: Vec<UploadAt>,
    ) -> Result<Progress, StorageError> {
        let refuse = |message: &str| StorageError::InvalidRequest { message: message.to_owned() };
        let mut ids: Vec<_> = parts.iter().map(|part| part.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(refuse("a partial upload is concatenated once"));
        }
        if ids.is_empty() {
            return Err(refuse("there is no partial upload to concatenate"));
        }
        // Only whose they are stops who appends to them.
        let access = self.uploader(caller, Operation::FindUpload, bucket).await?;
        for part in &parts {
            self.find_resumable(caller, &access, part).await?;
        }
        // Nobody appends to them from here on.
        let mut turns = Vec::with_capacity(ids.len());
        for id in ids {
            turns.push(self.inner.writers.take_over(id).await?);
        }
        let new = NewResumable { length: None, is_partial: false, told };
        let upload = self.begin_resumable(caller, (bucket, path), mode.clone(), attributes, new).await?;
        let at = upload.at.clone();
        let operation = Operation::CompleteMultipart(&mode);
        let access = self.uploader(caller, operation, bucket).await?;
        let outcome = self.finish_with(&access, upload, Chosen::Concatenated(parts)).await;
        if outcome.is_err() {
            // It holds no byte, and ends by itself where this fails.
            let access = self.uploader(caller, Operation::AbortMultipart, bucket).await?;
            if let Err(error) = self.executor().abort_multipart(&access, &at).await {
                tracing::debug!(%error, "an upload that could not be concatenated stays until its time is over");
            }
        }
        outcome
    }
}
