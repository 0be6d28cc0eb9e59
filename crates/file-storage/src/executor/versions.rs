//! Versions of objects that are not current, and delete markers.

use async_trait::async_trait;
use uuid::Uuid;

use super::Written;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::extra::Tag;
use crate::file::{ETags, NewObject, PutMode, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::Access;
use crate::versions::{ObjectVersion, VersionId, VersionScan};

/// What keeps versions of objects. An [`Executor`](super::Executor) does, by the same rules.
#[async_trait]
pub trait VersionExecutor: Send + Sync {
    /// Reads a version's row and the way to its bytes: the current one, or an older one, under the rules of objects.
    ///
    /// # Errors
    /// As [`Executor::open_object`](super::Executor::open_object), but [`StorageError::VersionNotFound`]; and [`StorageError::VersionIsMarker`].
    async fn open_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
    ) -> Result<StoredObject, StorageError>;

    /// Versions of a bucket's objects that the caller may see, by path and the newest first. A bucket that is missing or
    /// closed has nothing to show.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn scan_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &VersionScan,
    ) -> Result<Vec<ObjectVersion>, StorageError>;

    /// Deletes a version for good and queues its blobs; gives it back, or `None` where none is visible. Where it was the
    /// newest at its path, the next one is the object, unless that is a delete marker. Under a condition, what may be deleted
    /// must have one of the tags, which a delete marker has not.
    ///
    /// # Errors
    /// As [`Executor::delete_object`](super::Executor::delete_object), and [`StorageError::PreconditionFailed`].
    async fn delete_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        condition: Option<&ETags>,
    ) -> Result<Option<ObjectVersion>, StorageError>;

    /// Moves an object out of a bucket that keeps versions: writes a copy of this version, whose bytes are stored, and puts a
    /// delete marker on top of it.
    ///
    /// # Errors
    /// As [`Executor::move_object`](super::Executor::move_object), and [`StorageError::PreconditionFailed`] where another version is there.
    async fn move_copied(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        object: NewObject,
        mode: &PutMode,
    ) -> Result<Written, StorageError>;

    /// The same for a version that is not the current one.
    ///
    /// # Errors
    /// [`StorageError::VersionNotFound`], [`StorageError::BucketNotFound`], or a denial.
    async fn tag_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        tags: &[Tag],
    ) -> Result<StorageObject, StorageError>;
}
