//! What is asked of versions, each sent to where it runs.

use async_trait::async_trait;
use rusqlite::Connection;
use uuid::Uuid;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, relocate, versions};
use crate::executor::{VersionExecutor, Written};
use crate::extra::Tag;
use crate::file::{ETags, NewObject, PutMode, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::Access;
use crate::versions::{ObjectVersion, VersionId, VersionScan};

#[async_trait]
impl VersionExecutor for SqliteExecutor {
    async fn open_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
    ) -> Result<StoredObject, StorageError> {
        let rules = self.rules.load();
        self.read("open_version", |conn| versions::open(conn, &rules, access, (bucket, path), version))
    }

    async fn scan_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &VersionScan,
    ) -> Result<Vec<ObjectVersion>, StorageError> {
        let (access, rules) = (access.clone(), self.rules.load_full());
        let (bucket, scan) = (bucket.clone(), scan.clone());
        self.scan("scan_versions", move |conn| versions::scan(conn, &rules, &access, &bucket, &scan)).await
    }

    async fn delete_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        condition: Option<&ETags>,
    ) -> Result<Option<ObjectVersion>, StorageError> {
        let (access, rules) = (access.clone(), self.rules.load_full());
        let (bucket, path, condition) = (bucket.clone(), path.clone(), condition.cloned());
        let delete = move |conn: &Connection| {
            versions::delete(conn, &rules, &access, (&bucket, &path), version, condition.as_ref())
        };
        self.writer.free("delete_version", delete).await
    }

    async fn move_copied(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        object: NewObject,
        mode: &PutMode,
    ) -> Result<Written, StorageError> {
        let (access, rules, mode) = (access.clone(), self.rules.load_full(), mode.clone());
        let from = (from.0.clone(), from.1.clone());
        let copied = move |conn: &Connection| {
            relocate::copied(conn, &rules, &access, ((&from.0, &from.1), version), object, &mode)
        };
        self.writer.run("move_object", copied).await
    }

    async fn tag_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        tags: &[Tag],
    ) -> Result<StorageObject, StorageError> {
        let (access, rules, tags) = (access.clone(), self.rules.load_full(), tags.to_vec());
        let (bucket, path) = (bucket.clone(), path.clone());
        let tag =
            move |conn: &Connection| versions::tag(conn, &rules, &access, (&bucket, &path), version, &tags);
        self.writer.run("tag_version", tag).await
    }
}
