//! What is asked of quotas, each sent to where it runs.

use async_trait::async_trait;
use rusqlite::Connection;

use crate::errors::StorageError;
use crate::executor::QuotaExecutor;
use crate::executor::sqlite::{SqliteExecutor, quotas};
use crate::permissions::Access;
use crate::quota::{Quota, QuotaScope, QuotaSettings};

#[async_trait]
impl QuotaExecutor for SqliteExecutor {
    async fn configure_quotas(&self, settings: &QuotaSettings) -> Result<(), StorageError> {
        // Nothing is written where it holds already: a server must start on a full disk, too.
        if self.read("configure_quotas", quotas::configured)? == *settings {
            return Ok(());
        }
        let settings = *settings;
        let configure = move |conn: &Connection| quotas::configure(conn, &settings);
        self.writer.free("configure_quotas", configure).await
    }

    async fn quota(&self, access: &Access, scope: &QuotaScope) -> Result<Quota, StorageError> {
        let (access, scope) = (access.clone(), scope.clone());
        self.scan("quota", move |conn| quotas::show(conn, &access, &scope)).await
    }

    async fn quotas(&self, access: &Access, limit: u32) -> Result<Vec<Quota>, StorageError> {
        let access = access.clone();
        self.scan("quotas", move |conn| quotas::all(conn, &access, limit)).await
    }

    async fn set_quota(
        &self,
        access: &Access,
        scope: &QuotaScope,
        limit: Option<u64>,
    ) -> Result<Quota, StorageError> {
        let (access, scope) = (access.clone(), scope.clone());
        let set = move |conn: &Connection| quotas::set(conn, &access, &scope, limit);
        self.writer.keep("set_quota", set).await
    }
}
