//! Deleting objects. Rows go at once, and their blobs are queued in the same transaction (FS-F2).

use std::collections::HashSet;

use super::FileStorage;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::is_of_one_object;
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

    /// Deletes objects as [`FileStorage::delete`] would each, in one transaction as far as that goes, and says of each in their order
    /// whether it was there, or why it still is.
    ///
    /// # Errors
    /// A denial where the role never deletes, and those of the database. What was deleted until then is gone.
    pub async fn delete_each(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        paths: &[ObjectPath],
    ) -> Result<Vec<Result<bool, StorageError>>, StorageError> {
        let together = self.begin_delete_each(context, bucket, paths).await?;
        let mut outcomes = Vec::with_capacity(paths.len());
        for path in paths {
            outcomes.push(together.outcome(path).await?);
        }
        Ok(outcomes)
    }

    /// The same, for whoever wants to know of one after the other: what goes in one transaction is gone when this returns.
    ///
    /// # Errors
    /// As [`FileStorage::delete_each`].
    pub async fn begin_delete_each(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        paths: &[ObjectPath],
    ) -> Result<DeletedTogether, StorageError> {
        let deleted = match self.delete_many(context, bucket, paths).await {
            Ok(deleted) => deleted,
            // One by one, it turns out of which.
            Err(error) if is_of_one_object(&error) => Vec::new(),
            Err(error) => return Err(error),
        };
        let gone = deleted.into_iter().map(|deletion| deletion.path).collect();
        Ok(DeletedTogether { storage: self.clone(), context: context.clone(), bucket: bucket.clone(), gone })
    }
}

/// What one transaction has deleted of what was asked for; the rest goes one by one.
#[must_use]
pub struct DeletedTogether {
    storage: FileStorage,
    context: RlsContext,
    bucket: BucketName,
    gone: HashSet<ObjectPath>,
}

impl DeletedTogether {
    /// Whether an object was there, or why it still is.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn outcome(&self, path: &ObjectPath) -> Result<Result<bool, StorageError>, StorageError> {
        if self.gone.contains(path) {
            return Ok(Ok(true));
        }
        match self.storage.delete(&self.context, &self.bucket, path, None).await {
            Ok(deletion) => Ok(Ok(deletion.object.is_some())),
            Err(error) if is_of_one_object(&error) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }
}
