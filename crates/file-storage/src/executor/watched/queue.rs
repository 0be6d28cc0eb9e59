//! The upload queue.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{WatchedExecutor, asked};
use crate::audit::{Action, Entry};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{
    AttemptEnd, Claim, ClaimedEntries, ClaimedEntry, Migrated, Migration, ProviderUsage, QueueDepth,
    QueueEntry, QueueExecutor, QueueListing,
};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl QueueExecutor for WatchedExecutor {
    async fn queue_entries(
        &self,
        access: &Access,
        listing: &QueueListing,
    ) -> Result<Vec<QueueEntry>, StorageError> {
        let entry = || Entry::of(access, Action::List).subject("upload queue");
        self.read(
            access,
            entry,
            asked("queue_entries", self.inner.queue_entries(access, listing)),
            |_, entry| Some(entry),
        )
        .await
    }

    async fn queue_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError> {
        asked("queue_entry", self.inner.queue_entry(access, id)).await
    }

    async fn claim_entries(&self, access: &Access, claim: &Claim) -> Result<ClaimedEntries, StorageError> {
        asked("claim_entries", self.inner.claim_entries(access, claim)).await
    }

    async fn renew_claims(
        &self,
        access: &Access,
        worker: Uuid,
        entries: &[Uuid],
        lease: Duration,
    ) -> Result<Vec<Uuid>, StorageError> {
        asked("renew_claims", self.inner.renew_claims(access, worker, entries, lease)).await
    }

    async fn complete_entry(
        &self,
        access: &Access,
        worker: Uuid,
        claimed: &ClaimedEntry,
        copy: &BlobKey,
        keeps_source: bool,
    ) -> Result<bool, StorageError> {
        asked("complete_entry", self.inner.complete_entry(access, worker, claimed, copy, keeps_source)).await
    }

    async fn end_attempt(
        &self,
        access: &Access,
        worker: Uuid,
        entry: Uuid,
        end: &AttemptEnd,
    ) -> Result<Option<QueueEntry>, StorageError> {
        asked("end_attempt", self.inner.end_attempt(access, worker, entry, end)).await
    }

    async fn retry_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError> {
        let entry = Entry::of(access, Action::Change).subject(format!("queued upload {id}, retried"));
        self.change(entry, asked("retry_entry", self.inner.retry_entry(access, id)), |_, entry| Some(entry))
            .await
    }

    async fn retry_failed(&self, access: &Access, limit: u32) -> Result<u64, StorageError> {
        let entry = Entry::of(access, Action::Change).subject("queued uploads, retried");
        self.change(entry, asked("retry_failed", self.inner.retry_failed(access, limit)), |done, entry| {
            (*done > 0).then(|| entry.count(*done))
        })
        .await
    }

    async fn cancel_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError> {
        let entry = Entry::of(access, Action::Delete).subject(format!("queued upload {id}"));
        self.change(entry, asked("cancel_entry", self.inner.cancel_entry(access, id)), |_, entry| Some(entry))
            .await
    }

    async fn queue_migration(
        &self,
        access: &Access,
        migration: &Migration,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Migrated, StorageError> {
        asked("queue_migration", self.inner.queue_migration(access, migration, after, limit)).await
    }

    async fn queue_depths(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
    ) -> Result<Vec<QueueDepth>, StorageError> {
        asked("queue_depths", self.inner.queue_depths(access, bucket)).await
    }

    async fn forget_completed(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, StorageError> {
        asked("forget_completed", self.inner.forget_completed(access, older_than, limit)).await
    }

    async fn provider_usage(&self, access: &Access) -> Result<Vec<ProviderUsage>, StorageError> {
        asked("provider_usage", self.inner.provider_usage(access)).await
    }

    async fn is_named(&self, access: &Access, provider: &str) -> Result<bool, StorageError> {
        asked("is_named", self.inner.is_named(access, provider)).await
    }

    async fn provider_identity(
        &self,
        access: &Access,
        provider: &str,
        identity: Option<Uuid>,
    ) -> Result<Option<Uuid>, StorageError> {
        asked("provider_identity", self.inner.provider_identity(access, provider, identity)).await
    }
}
