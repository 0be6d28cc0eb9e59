//! What is asked of upkeep, each sent to where it runs.

use std::time::Duration;

use async_trait::async_trait;

use crate::errors::StorageError;
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::session::retried;
use crate::executor::postgres::{PostgresExecutor, upkeep, usage};
use crate::executor::{Backlog, QueuedBlob, SegmentBlob, Turn, UpkeepExecutor, UsageDifference};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl UpkeepExecutor for PostgresExecutor {
    async fn recount_usage(
        &self,
        access: &Access,
        repair: bool,
    ) -> Result<Vec<UsageDifference>, StorageError> {
        // Without the time of an operation: many rows are counted for minutes.
        let recount = async {
            let differences = retried!(usage::differences(&self.pool, access))?;
            if !repair || differences.is_empty() {
                return Ok(differences);
            }
            // Counted once more, while nobody writes: only then may counters be set.
            retried!(usage::repair(&self.pool, access))
        };
        recount.await.map_err(|fault: Fault| fault.into_storage("recount_usage"))
    }

    async fn due_deletions(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<Vec<QueuedBlob>, StorageError> {
        let due = async { retried!(upkeep::due(&self.pool, self.instance, access, older_than, limit)) };
        self.run("due_deletions", due).await
    }

    async fn finish_deletions(
        &self,
        access: &Access,
        deleted: &[BlobKey],
        failed: &[BlobKey],
    ) -> Result<(), StorageError> {
        let finish = async { retried!(upkeep::finish(&self.pool, access, deleted, failed)) };
        self.run("finish_deletions", finish).await
    }

    async fn known_blobs(&self, access: &Access, keys: &[BlobKey]) -> Result<Vec<BlobKey>, StorageError> {
        let known = async { retried!(upkeep::known(&self.pool, access, keys)) };
        self.run("known_blobs", known).await
    }

    async fn segment_blobs(
        &self,
        access: &Access,
        provider: &str,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Vec<SegmentBlob>, StorageError> {
        self.run("segment_blobs", upkeep::segment_blobs(&self.pool, access, provider, after, limit)).await
    }

    async fn delete_lost_object(&self, access: &Access, lost: &SegmentBlob) -> Result<bool, StorageError> {
        let delete = async { retried!(upkeep::delete_lost(&self.pool, access, lost)) };
        self.run("delete_lost_object", delete).await
    }

    async fn orphan_job_turn(&self, access: &Access) -> Result<Option<Turn>, StorageError> {
        self.run("orphan_job_turn", upkeep::orphan_job_turn(&self.pool, access)).await
    }

    async fn backlog(&self, access: &Access) -> Result<Backlog, StorageError> {
        self.run("backlog", upkeep::backlog(&self.pool, access)).await
    }
}
