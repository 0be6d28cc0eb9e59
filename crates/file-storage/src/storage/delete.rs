//! Deleting objects. Rows go at once, and their blobs are queued in the same transaction (FS-F2).

use super::FileStorage;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::ETags;
use crate::path::ObjectPath;
use crate::permissions::{Operation, RlsContext};
use crate::versions::Deletion;

impl FileStorage {
    /// Deletes one object, and says what became of it: where its bucket keeps versions, a delete marker hides it. Under a
    /// condition, it must have one of the tags (RFC 9110, `If-Match`).
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial; [`StorageError::PreconditionFailed`] where it has another tag, or the caller
    /// sees none.
    pub async fn delete(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
        condition: Option<&ETags>,
    ) -> Result<Deletion, StorageError> {
        let access = self.access(context, Operation::Delete, Some(bucket)).await?;
        let deleted = self.executor().delete_object(&access, bucket, path, condition).await?;
        self.inner.deletions_queued.notify_one();
        self.ring_events();
        Ok(deleted)
    }

    /// Deletes those of the objects that the caller may delete, and says what became of them. Others, and paths where
    /// nothing is, are left out.
    ///
    /// # Errors
    /// A denial where the role never deletes.
    pub async fn delete_many(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        paths: &[ObjectPath],
    ) -> Result<Vec<Deletion>, StorageError> {
        let access = self.access(context, Operation::Delete, Some(bucket)).await?;
        let deleted = self.executor().delete_objects(&access, bucket, paths).await?;
        self.inner.deletions_queued.notify_one();
        self.ring_events();
        Ok(deleted)
    }
}
