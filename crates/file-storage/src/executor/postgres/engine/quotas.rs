//! What is asked of quotas, each sent to where it runs.

use async_trait::async_trait;

use crate::errors::StorageError;
use crate::executor::QuotaExecutor;
use crate::executor::postgres::session::retried;
use crate::executor::postgres::{PostgresExecutor, quotas};
use crate::permissions::Access;
use crate::quota::{Quota, QuotaScope, QuotaSettings};

#[async_trait]
impl QuotaExecutor for PostgresExecutor {
    async fn configure_quotas(&self, settings: &QuotaSettings) -> Result<(), StorageError> {
        // What it counts, it counts to the end.
        let configured = retried!(quotas::configure(&self.pool, settings));
        configured.map_err(|fault| fault.into_storage("configure_quotas"))
    }

    async fn quota(&self, access: &Access, scope: &QuotaScope) -> Result<Quota, StorageError> {
        self.run("quota", quotas::show(&self.pool, access, scope)).await
    }

    async fn quotas(&self, access: &Access, limit: u32) -> Result<Vec<Quota>, StorageError> {
        self.run("quotas", quotas::all(&self.pool, access, limit)).await
    }

    async fn set_quota(
        &self,
        access: &Access,
        scope: &QuotaScope,
        limit: Option<u64>,
    ) -> Result<Quota, StorageError> {
        // The same: a large folder is counted for minutes.
        let set = retried!(Box::pin(quotas::set(&self.pool, access, scope, limit)));
        set.map_err(|fault| fault.into_storage("set_quota"))
    }
}
