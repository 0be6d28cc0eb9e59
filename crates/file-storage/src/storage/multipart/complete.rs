//! Making an object of an upload in parts. No byte is copied.

use uuid::Uuid;

use crate::errors::StorageError;
use crate::executor::Written;
use crate::file::PutMode;
use crate::multipart::{Chosen, Completion, ListedPart, MAX_PART_NUMBER, MultipartUpload, UploadAt};
use crate::permissions::{Access, Operation, RlsContext};
use crate::storage::FileStorage;

/// How an upload becomes an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompleteOptions {
    /// How it meets what is at the path; `None` takes the mode that it was begun in.
    pub mode: Option<PutMode>,
    /// Least bytes of every part but the last: 5 MiB for S3.
    pub min_part_size: u64,
}

impl FileStorage {
    /// Makes an object of the listed parts, in ascending order. Whether the caller may write there, and the condition of
    /// the mode, are decided in the transaction that makes it visible. Parts that are not listed go.
    ///
    /// # Errors
    /// As [`FileStorage::multipart`] and [`FileStorage::admit_upload`]; [`StorageError::InvalidPart`],
    /// [`StorageError::InvalidPartOrder`], [`StorageError::PartTooSmall`], [`StorageError::PayloadTooLarge`].
    pub async fn complete_multipart(
        &self,
        context: &RlsContext,
        at: &UploadAt,
        parts: Vec<ListedPart>,
        options: CompleteOptions,
    ) -> Result<Written, StorageError> {
        if parts.len() > MAX_PART_NUMBER as usize {
            let message = format!("an upload has {MAX_PART_NUMBER} parts at most");
            return Err(StorageError::InvalidRequest { message });
        }
        let upload = self.multipart(context, at).await?;
        let mode = options.mode.unwrap_or_else(|| upload.mode());
        let access = self.access(context, Operation::CompleteMultipart(&mode), Some(&at.bucket)).await?;
        let completion = Completion {
            parts: Chosen::Listed(parts),
            mode,
            version: Uuid::now_v7(),
            min_part_size: options.min_part_size,
            max_size: None,
        };
        self.complete(&access, &upload, completion).await
    }

    /// Makes an object of an upload.
    pub(in crate::storage) async fn complete(
        &self,
        access: &Access,
        upload: &MultipartUpload,
        completion: Completion,
    ) -> Result<Written, StorageError> {
        let completion = Completion {
            max_size: self.completed_limit(access, upload, &completion.mode).await?,
            ..completion
        };
        self.hit("complete.before_commit").await?;
        let written = self.executor().complete_multipart(access, &upload.at, completion).await;
        let counted = written.as_ref().map(|written| written.object.size);
        self.count_upload(&upload.at.bucket, counted);
        if written.is_ok() {
            self.inner.deletions_queued.notify_one();
        }
        written
    }

    /// Most bytes that the object may have.
    async fn completed_limit(
        &self,
        access: &Access,
        upload: &MultipartUpload,
        mode: &PutMode,
    ) -> Result<Option<u64>, StorageError> {
        let announced = crate::executor::Announced {
            attributes: Some(upload.attributes.clone()),
            size: None,
            is_final: false,
        };
        let (bucket, path) = (&upload.at.bucket, &upload.at.path);
        let admission = self.executor().admit_put(access, bucket, path, mode, &announced).await?;
        self.check_limits(&admission, &upload.attributes.content_type, 0)?;
        Ok(self.size_limit(&admission.bucket))
    }
}
