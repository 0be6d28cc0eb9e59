//! What is asked of the upload queue, each sent to where it runs.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::errors::StorageError;
use crate::executor::postgres::PostgresExecutor;
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
        _access: &Access,
        _listing: &QueueListing,
    ) -> Result<Vec<QueueEntry>, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn queue_entry(&self, _access: &Access, _id: Uuid) -> Result<QueueEntry, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn claim_entries(&self, _access: &Access, _claim: &Claim) -> Result<ClaimedEntries, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn renew_claims(
        &self,
        _access: &Access,
        _worker: Uuid,
        _entries: &[Uuid],
        _lease: Duration,
    ) -> Result<Vec<Uuid>, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn complete_entry(
        &self,
        _access: &Access,
        _worker: Uuid,
        _claimed: &ClaimedEntry,
        _copy: &BlobKey,
    ) -> Result<bool, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn end_attempt(
        &self,
        _access: &Access,
        _worker: Uuid,
        _entry: Uuid,
        _end: &AttemptEnd,
    ) -> Result<Option<QueueEntry>, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn retry_entry(&self, _access: &Access, _id: Uuid) -> Result<QueueEntry, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn retry_failed(&self, _access: &Access, _limit: u32) -> Result<u64, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn cancel_entry(&self, _access: &Access, _id: Uuid) -> Result<QueueEntry, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn queue_migration(
        &self,
        _access: &Access,
        _migration: &Migration,
        _after: Option<&BlobKey>,
        _limit: u32,
    ) -> Result<Migrated, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn queue_depths(&self, _access: &Access) -> Result<Vec<QueueDepth>, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn forget_completed(
        &self,
        _access: &Access,
        _older_than: Duration,
        _limit: u32,
    ) -> Result<u64, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn provider_usage(&self, _access: &Access) -> Result<Vec<ProviderUsage>, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
    async fn provider_identity(
        &self,
        _access: &Access,
        _provider: &str,
        _identity: Option<Uuid>,
    ) -> Result<Option<Uuid>, StorageError> {
        Err(StorageError::internal("not built yet"))
    }
}
