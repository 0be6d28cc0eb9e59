//! Copies of blobs.

use async_trait::async_trait;

use super::{WatchedExecutor, asked};
use crate::errors::StorageError;
use crate::executor::{BlobCopy, CopiesQueued, CopyExecutor, CopyPlan};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl CopyExecutor for WatchedExecutor {
    async fn copies_of(&self, access: &Access, blob: &BlobKey) -> Result<Vec<BlobCopy>, StorageError> {
        asked("copies_of", self.inner.copies_of(access, blob)).await
    }

    async fn blob_copies(
        &self,
        access: &Access,
        provider: &str,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Vec<BlobCopy>, StorageError> {
        asked("blob_copies", self.inner.blob_copies(access, provider, after, limit)).await
    }

    async fn drop_copy(&self, access: &Access, copy: &BlobCopy) -> Result<bool, StorageError> {
        asked("drop_copy", self.inner.drop_copy(access, copy)).await
    }

    async fn queue_copies(
        &self,
        access: &Access,
        plan: &CopyPlan,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<CopiesQueued, StorageError> {
        asked("queue_copies", self.inner.queue_copies(access, plan, after, limit)).await
    }
}
