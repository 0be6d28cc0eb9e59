//! What is asked of the upload queue, each sent to where it runs.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::postgres::session::retried;
use crate::executor::postgres::{PostgresExecutor, queue};
use crate::executor::{
    AttemptEnd, Claim, ClaimedEntries, ClaimedEntry, Migrated, Migration, ProviderUsage, QueueDepth,
    QueueEntry, QueueExecutor, QueueListing,
};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl QueueExecutor for PostgresExecutor {
    async fn queue_entries(
        &self,
        access: &Access,
        listing: &QueueListing,
    ) -> Result<Vec<QueueEntry>, StorageError> {
        self.run("queue_entries", queue::list(&self.pool, access, listing)).await
    }

    async fn queue_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError> {
        self.run("queue_entry", queue::show(&self.pool, access, id)).await
    }

    async fn claim_entries(&self, access: &Access, claim: &Claim) -> Result<ClaimedEntries, StorageError> {
        let work = async { retried!(queue::claim(&self.pool, access, claim)) };
        self.run("claim_entries", work).await
    }

    async fn renew_claims(
        &self,
        access: &Access,
        worker: Uuid,
        entries: &[Uuid],
        lease: Duration,
    ) -> Result<Vec<Uuid>, StorageError> {
        let work = async { retried!(queue::renew(&self.pool, access, worker, entries, lease)) };
        self.run("renew_claims", work).await
    }

    async fn complete_entry(
        &self,
        access: &Access,
        worker: Uuid,
        claimed: &ClaimedEntry,
        copy: &BlobKey,
        keeps_source: bool,
    ) -> Result<bool, StorageError> {
        let complete = async {
            retried!(Box::pin(queue::complete(&self.pool, access, worker, claimed, copy, keeps_source)))
        };
        self.run("complete_entry", complete).await
    }

    async fn end_attempt(
        &self,
        access: &Access,
        worker: Uuid,
        entry: Uuid,
        end: &AttemptEnd,
    ) -> Result<Option<QueueEntry>, StorageError> {
        let ending = async { retried!(queue::end(&self.pool, access, worker, entry, end)) };
        self.run("end_attempt", ending).await
    }

    async fn retry_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError> {
        let work = async { retried!(queue::retry(&self.pool, access, id)) };
        self.run("retry_entry", work).await
    }

    async fn retry_failed(&self, access: &Access, limit: u32) -> Result<u64, StorageError> {
        let work = async { retried!(queue::retry_failed(&self.pool, access, limit)) };
        self.run("retry_failed", work).await
    }

    async fn cancel_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError> {
        let work = async { retried!(queue::cancel(&self.pool, access, id)) };
        self.run("cancel_entry", work).await
    }

    async fn queue_migration(
        &self,
        access: &Access,
        migration: &Migration,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Migrated, StorageError> {
        let work = async { retried!(queue::migrate(&self.pool, access, migration, after, limit)) };
        self.run("queue_migration", work).await
    }

    async fn queue_depths(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
    ) -> Result<Vec<QueueDepth>, StorageError> {
        self.run("queue_depths", queue::depths(&self.pool, access, bucket)).await
    }

    async fn forget_completed(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, StorageError> {
        let work = async { retried!(queue::forget(&self.pool, access, older_than, limit)) };
        self.run("forget_completed", work).await
    }

    async fn provider_usage(&self, access: &Access) -> Result<Vec<ProviderUsage>, StorageError> {
        self.run("provider_usage", queue::usage(&self.pool, access)).await
    }

    async fn is_named(&self, access: &Access, provider: &str) -> Result<bool, StorageError> {
        self.run("is_named", queue::is_named(&self.pool, access, provider)).await
    }

    async fn provider_identity(
        &self,
        access: &Access,
        provider: &str,
        identity: Option<Uuid>,
    ) -> Result<Option<Uuid>, StorageError> {
        let work = async { retried!(queue::identity(&self.pool, access, provider, identity)) };
        self.run("provider_identity", work).await
    }
}
