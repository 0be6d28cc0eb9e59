//! What is asked of the upload queue, each sent to where it runs. On a full disk, too, attempts begin and end: what comes of them
//! is room.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, queue};
use crate::executor::{
    AttemptEnd, Claim, ClaimedEntries, ClaimedEntry, Migrated, Migration, ProviderUsage, QueueDepth,
    QueueEntry, QueueExecutor, QueueListing,
};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl QueueExecutor for SqliteExecutor {
    async fn queue_entries(
        &self,
        access: &Access,
        listing: &QueueListing,
    ) -> Result<Vec<QueueEntry>, StorageError> {
        let (access, listing) = (access.clone(), listing.clone());
        self.scan("queue_entries", move |conn| queue::list(conn, &access, &listing)).await
    }

    async fn queue_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError> {
        self.read("queue_entry", |conn| queue::show(conn, access, id))
    }

    async fn claim_entries(&self, access: &Access, claim: &Claim) -> Result<ClaimedEntries, StorageError> {
        let (access, claim) = (access.clone(), claim.clone());
        self.writer.free("claim_entries", move |conn| queue::claim(conn, &access, &claim)).await
    }

    async fn renew_claims(
        &self,
        access: &Access,
        worker: Uuid,
        entries: &[Uuid],
        lease: Duration,
    ) -> Result<Vec<Uuid>, StorageError> {
        let (access, entries) = (access.clone(), entries.to_vec());
        self.writer
            .free("renew_claims", move |conn| queue::renew(conn, &access, worker, &entries, lease))
            .await
    }

    async fn complete_entry(
        &self,
        access: &Access,
        worker: Uuid,
        claimed: &ClaimedEntry,
        copy: &BlobKey,
        keeps_source: bool,
    ) -> Result<bool, StorageError> {
        let (access, claimed, copy) = (access.clone(), claimed.clone(), copy.clone());
        self.writer
            .free("complete_entry", move |conn| {
                queue::complete(conn, &access, worker, &claimed, &copy, keeps_source)
            })
            .await
    }

    async fn end_attempt(
        &self,
        access: &Access,
        worker: Uuid,
        entry: Uuid,
        end: &AttemptEnd,
    ) -> Result<Option<QueueEntry>, StorageError> {
        let (access, end) = (access.clone(), end.clone());
        self.writer.free("end_attempt", move |conn| queue::end(conn, &access, worker, entry, &end)).await
    }

    async fn retry_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError> {
        let access = access.clone();
        self.writer.keep("retry_entry", move |conn| queue::retry(conn, &access, id)).await
    }

    async fn retry_failed(&self, access: &Access, limit: u32) -> Result<u64, StorageError> {
        let access = access.clone();
        self.writer.keep("retry_failed", move |conn| queue::retry_failed(conn, &access, limit)).await
    }

    async fn cancel_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError> {
        let access = access.clone();
        self.writer.keep("cancel_entry", move |conn| queue::cancel(conn, &access, id)).await
    }

    async fn queue_migration(
        &self,
        access: &Access,
        migration: &Migration,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Migrated, StorageError> {
        let (access, migration, after) = (access.clone(), migration.clone(), after.cloned());
        self.writer
            .run("queue_migration", move |conn| {
                queue::migrate(conn, &access, &migration, after.as_ref(), limit)
            })
            .await
    }

    async fn queue_depths(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
    ) -> Result<Vec<QueueDepth>, StorageError> {
        let (access, bucket) = (access.clone(), bucket.cloned());
        self.scan("queue_depths", move |conn| queue::depths(conn, &access, bucket.as_ref())).await
    }

    async fn forget_completed(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, StorageError> {
        let access = access.clone();
        self.writer
            .free("forget_completed", move |conn| queue::forget(conn, &access, older_than, limit))
            .await
    }

    async fn provider_usage(&self, access: &Access) -> Result<Vec<ProviderUsage>, StorageError> {
        let access = access.clone();
        self.scan("provider_usage", move |conn| queue::usage(conn, &access)).await
    }

    async fn is_named(&self, access: &Access, provider: &str) -> Result<bool, StorageError> {
        self.read("is_named", |conn| queue::is_named(conn, access, provider))
    }

    async fn provider_identity(
        &self,
        access: &Access,
        provider: &str,
        identity: Option<Uuid>,
    ) -> Result<Option<Uuid>, StorageError> {
        let found = self.read("provider_identity", |conn| queue::identity(conn, access, provider))?;
        match (found, identity) {
            (None, Some(said)) => {
                let (access, provider) = (access.clone(), provider.to_owned());
                self.writer
                    .keep("provider_identity", move |conn| {
                        queue::say_identity(conn, &access, &provider, said)
                    })
                    .await
            }
            (found, _) => Ok(found),
        }
    }
}
