//! What is asked of copies, each sent to where it runs.

use async_trait::async_trait;

use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, queue};
use crate::executor::{BlobCopy, CopiesQueued, CopyExecutor, CopyPlan};
use crate::file::BlobKey;
use crate::permissions::Access;

#[async_trait]
impl CopyExecutor for SqliteExecutor {
    async fn copies_of(&self, access: &Access, blob: &BlobKey) -> Result<Vec<BlobCopy>, StorageError> {
        self.read("copies_of", |conn| queue::copies_of(conn, access, blob))
    }

    async fn blob_copies(
        &self,
        access: &Access,
        provider: &str,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Vec<BlobCopy>, StorageError> {
        let (access, provider, after) = (access.clone(), provider.to_owned(), after.cloned());
        self.scan("blob_copies", move |conn| {
            queue::blob_copies(conn, &access, &provider, after.as_ref(), limit)
        })
        .await
    }

    async fn drop_copy(&self, access: &Access, copy: &BlobCopy) -> Result<bool, StorageError> {
        let (access, copy) = (access.clone(), copy.clone());
        self.writer.free("drop_copy", move |conn| queue::drop_copy(conn, &access, &copy)).await
    }

    async fn queue_copies(
        &self,
        access: &Access,
        plan: &CopyPlan,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<CopiesQueued, StorageError> {
        let (access, plan, after) = (access.clone(), plan.clone(), after.cloned());
        // Most pages lack nothing: they are looked at beside the writers.
        if after.is_some() {
            let (access, plan, after) = (access.clone(), plan.clone(), after.clone());
            let page = self
                .scan("queue_copies", move |conn| queue::look(conn, &access, &plan, after.as_ref(), limit))
                .await?;
            if page.is_complete() {
                return Ok(CopiesQueued { next: page.next(), ..CopiesQueued::default() });
            }
        }
        self.writer
            .run("queue_copies", move |conn| queue::queue_copies(conn, &access, &plan, after.as_ref(), limit))
            .await
    }
}
