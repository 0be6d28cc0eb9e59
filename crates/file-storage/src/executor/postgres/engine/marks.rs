//! Marks, many of them in one statement.

use async_trait::async_trait;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::postgres::PostgresExecutor;
use crate::executor::{Mark, MarkExecutor};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

#[async_trait]
impl MarkExecutor for PostgresExecutor {
    async fn mark(&self, access: &Access, bucket: &BucketName) -> Result<Option<Mark>, StorageError> {
        let context = access.on_rows(Permission::ObjectRead, Some(bucket))?;
        self.run("mark", self.marks.of_bucket(&self.pool, context, bucket)).await
    }

    fn marks_objects(&self) -> bool {
        true
    }

    async fn object_mark(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<Option<Mark>, StorageError> {
        let context = access.on_object(Permission::ObjectRead, bucket, path)?;
        self.run("object_mark", self.marks.of_object(&self.pool, context, bucket, path)).await
    }
}
