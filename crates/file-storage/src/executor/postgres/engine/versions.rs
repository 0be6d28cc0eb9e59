//! What is asked of versions, each sent to where it runs.

use async_trait::async_trait;
use uuid::Uuid;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::postgres::session::retried;
use crate::executor::postgres::{PostgresExecutor, relocate, versions};
use crate::executor::{VersionExecutor, Written};
use crate::extra::Tag;
use crate::file::{ETags, NewObject, PutMode, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::Access;
use crate::versions::{ObjectVersion, VersionId, VersionScan};

#[async_trait]
impl VersionExecutor for PostgresExecutor {
    async fn open_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
    ) -> Result<StoredObject, StorageError> {
        self.run("open_version", versions::open(&self.pool, access, (bucket, path), version)).await
    }

    async fn scan_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &VersionScan,
    ) -> Result<Vec<ObjectVersion>, StorageError> {
        self.run("scan_versions", versions::scan(&self.pool, access, bucket, scan)).await
    }

    async fn delete_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        condition: Option<&ETags>,
    ) -> Result<Option<ObjectVersion>, StorageError> {
        let at = (bucket, path);
        let delete = async { retried!(versions::delete(&self.pool, access, at, version, condition)) };
        self.run("delete_version", Box::pin(delete)).await
    }

    async fn move_copied(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        object: NewObject,
        mode: &PutMode,
    ) -> Result<Written, StorageError> {
        let copied = async { retried!(relocate::copied(&self.pool, access, (from, version), &object, mode)) };
        self.run("move_object", Box::pin(copied)).await
    }

    async fn tag_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        tags: &[Tag],
    ) -> Result<StorageObject, StorageError> {
        let tag = versions::tag(&self.pool, access, (bucket, path), version, tags);
        self.run("tag_version", Box::pin(tag)).await
    }
}
