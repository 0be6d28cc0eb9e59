//! Quotas.

use async_trait::async_trait;

use super::{WatchedExecutor, asked, quota_of};
use crate::audit::{Action, Entry};
use crate::errors::StorageError;
use crate::executor::QuotaExecutor;
use crate::permissions::Access;
use crate::quota::{Quota, QuotaScope, QuotaSettings};

#[async_trait]
impl QuotaExecutor for WatchedExecutor {
    async fn configure_quotas(&self, settings: &QuotaSettings) -> Result<(), StorageError> {
        asked("configure_quotas", self.inner.configure_quotas(settings)).await
    }

    async fn quota(&self, access: &Access, scope: &QuotaScope) -> Result<Quota, StorageError> {
        let entry = || Entry::of(access, Action::Read).subject(quota_of(scope));
        self.read(access, entry, asked("quota", self.inner.quota(access, scope)), |_, entry| Some(entry))
            .await
    }

    async fn quotas(&self, access: &Access, limit: u32) -> Result<Vec<Quota>, StorageError> {
        let entry = || Entry::of(access, Action::List).subject("quotas");
        self.read(access, entry, asked("quotas", self.inner.quotas(access, limit)), |_, entry| Some(entry))
            .await
    }

    async fn set_quota(
        &self,
        access: &Access,
        scope: &QuotaScope,
        limit: Option<u64>,
    ) -> Result<Quota, StorageError> {
        let entry = Entry::of(access, Action::Change).subject(quota_of(scope));
        self.change(entry, asked("set_quota", self.inner.set_quota(access, scope, limit)), |_, entry| {
            Some(match limit {
                Some(limit) => entry.bytes(limit),
                None => entry,
            })
        })
        .await
    }
}
