//! What is asked of upkeep, each sent to where it runs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, upkeep, usage};
use crate::executor::{Backlog, QueuedBlob, SegmentBlob, UpkeepExecutor, UsageDifference};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl UpkeepExecutor for SqliteExecutor {
    async fn recount_usage(
        &self,
        access: &Access,
        repair: bool,
    ) -> Result<Vec<UsageDifference>, StorageError> {
        let access = Arc::new(access.clone());
        let reader = Arc::clone(&access);
        let differences = self.scan("recount_usage", move |conn| usage::differences(conn, &reader)).await?;
        if !repair || differences.is_empty() {
            return Ok(differences);
        }
        // Counted once more, between writes: only then may counters be set.
        self.writer.keep("recount_usage", move |conn| usage::repair(conn, &access)).await
    }

    async fn due_deletions(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<Vec<QueuedBlob>, StorageError> {
        let (access, lock) = (access.clone(), Arc::clone(&self.lock));
        let due = move |conn: &_| {
            let due = upkeep::due(conn, &access, older_than, limit)?;
            // IMPORTANT: asked after the rows were read.
            if due.is_empty() || !lock.blobs_are_held()? { Ok(due) } else { Ok(Vec::new()) }
        };
        self.scan("due_deletions", due).await
    }

    async fn finish_deletions(
        &self,
        access: &Access,
        deleted: &[BlobKey],
        failed: &[BlobKey],
    ) -> Result<(), StorageError> {
        let access = access.clone();
        let (deleted, failed) = (deleted.to_vec(), failed.to_vec());
        self.writer
            .free("finish_deletions", move |conn| upkeep::finish(conn, &access, &deleted, &failed))
            .await
    }

    async fn known_blobs(&self, access: &Access, keys: &[BlobKey]) -> Result<Vec<BlobKey>, StorageError> {
        let access = access.clone();
        let keys = keys.to_vec();
        self.scan("known_blobs", move |conn| upkeep::known(conn, &access, &keys)).await
    }

    async fn segment_blobs(
        &self,
        access: &Access,
        provider: &str,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Vec<SegmentBlob>, StorageError> {
        let access = access.clone();
        let (provider, after) = (provider.to_owned(), after.cloned());
        self.scan("segment_blobs", move |conn| {
            upkeep::segment_blobs(conn, &access, &provider, after.as_ref(), limit)
        })
        .await
    }

    async fn delete_lost_object(&self, access: &Access, lost: &SegmentBlob) -> Result<bool, StorageError> {
        let (access, lost) = (access.clone(), lost.clone());
        self.writer.free("delete_lost_object", move |conn| upkeep::delete_lost(conn, &access, &lost)).await
    }

    async fn backlog(&self, access: &Access) -> Result<Backlog, StorageError> {
        let access = access.clone();
        self.scan("backlog", move |conn| upkeep::backlog(conn, &access)).await
    }
}
