//! Marks, told where their request runs.

use async_trait::async_trait;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, marks};
use crate::executor::{Mark, MarkExecutor};
use crate::permissions::Access;

#[async_trait]
impl MarkExecutor for SqliteExecutor {
    async fn mark(&self, access: &Access, bucket: &BucketName) -> Result<Option<Mark>, StorageError> {
        let rules = self.rules.load();
        self.read("mark", |conn| marks::tell(conn, &rules, access, bucket))
    }
}
