//! What is asked of copies, each sent to where it runs.

use async_trait::async_trait;

use crate::errors::StorageError;
use crate::executor::postgres::session::retried;
use crate::executor::postgres::{PostgresExecutor, queue};
use crate::executor::{BlobCopy, CopiesQueued, CopyExecutor, CopyPlan};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl CopyExecutor for PostgresExecutor {
    async fn copies_of(&self, access: &Access, blob: &BlobKey) -> Result<Vec<BlobCopy>, StorageError> {
        self.run("copies_of", queue::copies_of(&self.pool, access, blob)).await
    }

    async fn blob_copies(
        &self,
        access: &Access,
        provider: &str,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Vec<BlobCopy>, StorageError> {
        self.run("blob_copies", queue::blob_copies(&self.pool, access, provider, after, limit)).await
    }

    async fn drop_copy(&self, access: &Access, copy: &BlobCopy) -> Result<bool, StorageError> {
        let work = async { retried!(queue::drop_copy(&self.pool, access, copy)) };
        self.run("drop_copy", work).await
    }

    async fn queue_copies(
        &self,
        access: &Access,
        plan: &CopyPlan,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<CopiesQueued, StorageError> {
        let work = async { retried!(Box::pin(queue::queue_copies(&self.pool, access, plan, after, limit))) };
        self.run("queue_copies", work).await
    }
}
