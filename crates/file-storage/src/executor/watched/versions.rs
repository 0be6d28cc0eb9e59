//! Versions.

use async_trait::async_trait;
use uuid::Uuid;

use super::{WatchedExecutor, asked};
use crate::audit::{Action, Entry};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{VersionExecutor, Written};
use crate::extra::Tag;
use crate::file::{ETags, NewObject, PutMode, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::Access;
use crate::versions::{ObjectVersion, VersionId, VersionScan};

#[async_trait]
impl VersionExecutor for WatchedExecutor {
    async fn open_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
    ) -> Result<StoredObject, StorageError> {
        let entry = || Entry::of(access, Action::Read).object(bucket, path).version(version);
        self.read(
            access,
            entry,
            asked("open_version", self.inner.open_version(access, bucket, path, version)),
            |found, entry| Some(entry.bytes(found.object.size)),
        )
        .await
    }

    async fn scan_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &VersionScan,
    ) -> Result<Vec<ObjectVersion>, StorageError> {
        let entry = || Entry::of(access, Action::List).listed(bucket, &scan.prefix).subject("versions");
        self.read(
            access,
            entry,
            asked("scan_versions", self.inner.scan_versions(access, bucket, scan)),
            |found, entry| Some(entry.count(found.len() as u64)),
        )
        .await
    }

    async fn delete_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        condition: Option<&ETags>,
    ) -> Result<Option<ObjectVersion>, StorageError> {
        let entry = Entry::of(access, Action::Delete).object(bucket, path).version(version);
        self.change(
            entry,
            asked("delete_version", self.inner.delete_version(access, bucket, path, version, condition)),
            |done, entry| done.as_ref().map(|gone| entry.bytes(gone.object.size)),
        )
        .await
    }

    async fn move_copied(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        object: NewObject,
        mode: &PutMode,
    ) -> Result<Written, StorageError> {
        let entry = Entry::of(access, Action::Move)
            .object(&object.bucket, &object.path)
            .from(from)
            .version(object.version)
            .bytes(object.size);
        self.change(
            entry,
            asked("move_copied", self.inner.move_copied(access, from, version, object, mode)),
            |_, entry| Some(entry),
        )
        .await
    }

    async fn tag_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        tags: &[Tag],
    ) -> Result<StorageObject, StorageError> {
        let entry = Entry::of(access, Action::Change).object(bucket, path).version(version).subject("tags");
        self.change(
            entry,
            asked("tag_version", self.inner.tag_version(access, bucket, path, version, tags)),
            |_, entry| Some(entry),
        )
        .await
    }
}
