//! Marks, many of them in one statement.

use async_trait::async_trait;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::postgres::PostgresExecutor;
use crate::executor::postgres::marks::Marks;
use crate::executor::{Mark, MarkExecutor};
use crate::permissions::{Access, Permission};

#[async_trait]
impl MarkExecutor for PostgresExecutor {
    async fn mark(&self, access: &Access, bucket: &BucketName) -> Result<Option<Mark>, StorageError> {
        let context = access.on_rows(Permission::ObjectRead, Some(bucket))?;
        self.run("mark", Marks::tell(&self.marks, &self.pool, context, bucket)).await
    }
}
