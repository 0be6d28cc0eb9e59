//! The server's upkeep.

use std::time::Duration;

use async_trait::async_trait;

use super::{WatchedExecutor, asked};
use crate::audit::{Action, Entry};
use crate::errors::StorageError;
use crate::executor::{Backlog, QueuedBlob, SegmentBlob, Turn, UpkeepExecutor, UsageDifference};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl UpkeepExecutor for WatchedExecutor {
    async fn recount_usage(
        &self,
        access: &Access,
        repair: bool,
    ) -> Result<Vec<UsageDifference>, StorageError> {
        if !repair {
            return asked("recount_usage", self.inner.recount_usage(access, repair)).await;
        }
        let entry = Entry::of(access, Action::Change).subject("counters of usage");
        self.change(entry, asked("recount_usage", self.inner.recount_usage(access, repair)), |done, entry| {
            (repair && !done.is_empty()).then(|| entry.count(done.len() as u64))
        })
        .await
    }

    async fn due_deletions(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<Vec<QueuedBlob>, StorageError> {
        asked("due_deletions", self.inner.due_deletions(access, older_than, limit)).await
    }

    async fn finish_deletions(
        &self,
        access: &Access,
        deleted: &[BlobKey],
        failed: &[BlobKey],
    ) -> Result<(), StorageError> {
        asked("finish_deletions", self.inner.finish_deletions(access, deleted, failed)).await
    }

    async fn known_blobs(&self, access: &Access, keys: &[BlobKey]) -> Result<Vec<BlobKey>, StorageError> {
        asked("known_blobs", self.inner.known_blobs(access, keys)).await
    }

    async fn segment_blobs(
        &self,
        access: &Access,
        provider: &str,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Vec<SegmentBlob>, StorageError> {
        asked("segment_blobs", self.inner.segment_blobs(access, provider, after, limit)).await
    }

    async fn delete_lost_object(&self, access: &Access, lost: &SegmentBlob) -> Result<bool, StorageError> {
        let entry = Entry::of(access, Action::Delete)
            .object(&lost.bucket, &lost.path)
            .version(lost.version)
            .subject("lost bytes");
        self.change(
            entry,
            asked("delete_lost_object", self.inner.delete_lost_object(access, lost)),
            |done, entry| done.then_some(entry),
        )
        .await
    }

    async fn orphan_job_turn(&self, access: &Access) -> Result<Option<Turn>, StorageError> {
        asked("orphan_job_turn", self.inner.orphan_job_turn(access)).await
    }

    async fn backlog(&self, access: &Access) -> Result<Backlog, StorageError> {
        asked("backlog", self.inner.backlog(access)).await
    }
}
