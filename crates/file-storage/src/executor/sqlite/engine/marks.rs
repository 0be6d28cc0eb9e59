//! Marks, told where their request runs. Objects have none: a row is one statement there, and a mark would be another.

use async_trait::async_trait;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, marks};
use crate::executor::{Mark, MarkExecutor};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

#[async_trait]
impl MarkExecutor for SqliteExecutor {
    async fn mark(&self, access: &Access, bucket: &BucketName) -> Result<Option<Mark>, StorageError> {
        let rules = self.rules.load();
        self.read("mark", |conn| marks::tell(conn, &rules, access, bucket))
    }

    fn marks_objects(&self) -> bool {
        false
    }

    async fn object_mark(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<Option<Mark>, StorageError> {
        access.on_object(Permission::ObjectRead, bucket, path)?;
        Ok(None)
    }
}
