//! Deleting objects. Rows go at once, and their blobs are queued in the same transaction (FS-F2).

use super::FileStorage;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::StorageObject;
use crate::path::ObjectPath;
use crate::permissions::{Operation, RlsContext};

impl FileStorage {
    /// Deletes one object; gives it back, or `None` where there was none that the caller could see.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    pub async fn delete(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<Option<StorageObject>, StorageError> {
        let access = self.access(context, Operation::Delete, Some(bucket)).await?;
        let deleted = self.executor().delete_object(&access, bucket, path).await?;
        self.inner.deletions_queued.notify_one();
        Ok(deleted)
    }

    /// Deletes those of the objects that the caller may delete, in one transaction, and gives them back.
    /// Others, and paths where nothing is, are left out.
    ///
    /// # Errors
    /// A denial where the role never deletes.
    pub async fn delete_many(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        paths: &[ObjectPath],
    ) -> Result<Vec<StorageObject>, StorageError> {
        let access = self.access(context, Operation::Delete, Some(bucket)).await?;
        let deleted = self.executor().delete_objects(&access, bucket, paths).await?;
        self.inner.deletions_queued.notify_one();
        Ok(deleted)
    }
}
