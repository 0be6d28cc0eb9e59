//! What an object may be: its type, its size, and the room that quotas and the disk leave.

use futures_util::StreamExt;

use super::FileStorage;
use crate::body::{ByteStream, limited};
use crate::bucket::Bucket;
use crate::errors::StorageError;
use crate::executor::{Admission, QuotaLeft};

impl FileStorage {
    /// The tighter one of the bucket's and the server's limit of one object; `None` means no limit.
    pub(super) fn size_limit(&self, bucket: &Bucket) -> Option<u64> {
        [bucket.config.max_file_size, self.inner.options.load().max_file_size]
            .into_iter()
            .filter(|limit| *limit != 0)
            .min()
    }

    /// Whether an object of this type and size may go where it was admitted: MIME type, size, quota, in this order.
    pub(super) fn check_limits(
        &self,
        admission: &Admission,
        content_type: &str,
        size: u64,
    ) -> Result<(), StorageError> {
        self.check_object(&admission.bucket, content_type, size)?;
        match &admission.quota_left {
            Some(quota) => quota.admit(size),
            None => Ok(()),
        }
    }

    /// The same without the quota.
    pub(super) fn check_object(
        &self,
        bucket: &Bucket,
        content_type: &str,
        size: u64,
    ) -> Result<(), StorageError> {
        if !bucket.config.is_mime_allowed(content_type) {
            return Err(StorageError::UnsupportedMediaType { content_type: content_type.to_owned() });
        }
        match self.size_limit(bucket) {
            Some(limit) if size > limit => Err(StorageError::PayloadTooLarge { limit }),
            Some(_) | None => Ok(()),
        }
    }

    /// Fails a body once it exceeds a limit or the room that a quota leaves, and where the disk gets so full that what is
    /// free is for deletions.
    pub(super) fn bounded(
        &self,
        body: ByteStream,
        limit: Option<u64>,
        quota: Option<QuotaLeft>,
    ) -> ByteStream {
        let body = match limit {
            Some(limit) => limited(body, limit),
            None => body,
        };
        let executor = self.executor().clone();
        let mut seen: u64 = 0;
        body.map(move |chunk| {
            let chunk = chunk?;
            seen = seen.saturating_add(chunk.len() as u64);
            if let Some(quota) = &quota {
                quota.check(seen)?;
            }
            executor.check_room()?;
            Ok(chunk)
        })
        .boxed()
    }

    /// What the first bytes themselves look like must be allowed in the bucket, too, where that is asked for.
    pub(super) fn check_content(&self, bucket: &Bucket, head: &[u8]) -> Result<(), StorageError> {
        if !self.inner.options.load().verify_content {
            return Ok(());
        }
        match infer::get(head) {
            Some(kind) if !bucket.config.is_mime_allowed(kind.mime_type()) => {
                Err(StorageError::UnsupportedMediaType { content_type: kind.mime_type().to_owned() })
            }
            Some(_) | None => Ok(()),
        }
    }
}
