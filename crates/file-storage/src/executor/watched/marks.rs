//! Marks: the cache's own question. What is answered by it tells the log itself.

use async_trait::async_trait;

use super::{WatchedExecutor, asked};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Mark, MarkExecutor};
use crate::path::ObjectPath;
use crate::permissions::Access;

#[async_trait]
impl MarkExecutor for WatchedExecutor {
    async fn mark(&self, access: &Access, bucket: &BucketName) -> Result<Option<Mark>, StorageError> {
        asked("mark", self.inner.mark(access, bucket)).await
    }

    fn marks_objects(&self) -> bool {
        self.inner.marks_objects()
    }

    async fn object_mark(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<Option<Mark>, StorageError> {
        asked("object_mark", self.inner.object_mark(access, bucket, path)).await
    }
}
