//! What is asked of lifecycle rules, each sent to where it runs.

use async_trait::async_trait;
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::postgres::session::retried;
use crate::executor::postgres::{PostgresExecutor, lifecycle, queue, relocate};
use crate::executor::{
    AgedScan, ArchiveOrder, Ending, Judged, LifecycleClock, LifecycleExecutor, NewJob, Relocation,
    UploadScan, Warned, Warning,
};
use crate::file::PutMode;
use crate::lifecycle::{AgedUpload, AgedVersion, LifecycleRule, RuleSource};
use crate::path::ObjectPath;
use crate::permissions::Access;

#[async_trait]
impl LifecycleExecutor for PostgresExecutor {
    async fn lifecycle_rules(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
    ) -> Result<Vec<LifecycleRule>, StorageError> {
        self.run("lifecycle_rules", lifecycle::all(&self.pool, access, bucket)).await
    }

    async fn set_lifecycle_rule(&self, access: &Access, rule: &LifecycleRule) -> Result<(), StorageError> {
        let work = async { retried!(lifecycle::set(&self.pool, access, rule)) };
        self.run("set_lifecycle_rule", Box::pin(work)).await
    }

    async fn remove_lifecycle_rule(&self, access: &Access, id: Uuid) -> Result<bool, StorageError> {
        self.run("remove_lifecycle_rule", lifecycle::remove(&self.pool, access, id)).await
    }

    async fn replace_lifecycle_rules(
        &self,
        access: &Access,
        bucket: &BucketName,
        source: RuleSource,
        rules: &[LifecycleRule],
    ) -> Result<(), StorageError> {
        let work = async { retried!(lifecycle::replace(&self.pool, access, bucket, source, rules)) };
        self.run("replace_lifecycle_rules", Box::pin(work)).await
    }

    async fn aged_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &AgedScan,
    ) -> Result<Vec<AgedVersion>, StorageError> {
        self.run("aged_versions", lifecycle::versions(&self.pool, access, bucket, scan)).await
    }

    async fn aged_uploads(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &UploadScan,
    ) -> Result<Vec<AgedUpload>, StorageError> {
        self.run("aged_uploads", lifecycle::uploads(&self.pool, access, bucket, scan)).await
    }

    async fn end_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        versions: &[(Judged, Ending)],
    ) -> Result<Vec<Uuid>, StorageError> {
        let versions: Vec<_> = versions.iter().map(|(judged, ending)| (judged.id, *ending)).collect();
        let work = async { retried!(lifecycle::end_versions(&self.pool, access, bucket, &versions)) };
        self.run("end_versions", Box::pin(work)).await
    }

    async fn end_uploads(&self, access: &Access, uploads: &[Judged]) -> Result<Vec<Uuid>, StorageError> {
        let uploads: Vec<_> = uploads.iter().map(|upload| upload.id).collect();
        let work = async { retried!(lifecycle::end_uploads(&self.pool, access, &uploads)) };
        self.run("end_uploads", Box::pin(work)).await
    }

    async fn archive_versions(
        &self,
        access: &Access,
        versions: &[Judged],
        order: &ArchiveOrder,
    ) -> Result<Vec<Uuid>, StorageError> {
        let versions: Vec<_> = versions.iter().map(|version| version.id).collect();
        let work = async { retried!(queue::archive(&self.pool, access, &versions, order)) };
        self.run("archive_versions", Box::pin(work)).await
    }

    async fn move_version(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        to: (&BucketName, &ObjectPath),
        mode: &PutMode,
    ) -> Result<Relocation, StorageError> {
        let work =
            async { retried!(relocate::relocate(&self.pool, access, (from, Some(version)), to, mode)) };
        self.run("move_object", Box::pin(work)).await
    }

    async fn lifecycle_warnings(
        &self,
        access: &Access,
        versions: &[Uuid],
    ) -> Result<Vec<Warned>, StorageError> {
        self.run("lifecycle_warnings", lifecycle::given(&self.pool, access, versions)).await
    }

    async fn warn_of_versions(
        &self,
        access: &Access,
        warnings: &[Warning],
        now: Timestamp,
    ) -> Result<Vec<(Uuid, Uuid)>, StorageError> {
        let work = async { retried!(lifecycle::warn(&self.pool, access, warnings, now)) };
        self.run("warn_of_versions", Box::pin(work)).await
    }

    async fn forget_warnings(
        &self,
        access: &Access,
        after: Option<Uuid>,
        rules: &[Uuid],
        limit: u32,
    ) -> Result<Option<Uuid>, StorageError> {
        self.run("forget_warnings", lifecycle::forget(&self.pool, access, after, rules, limit)).await
    }

    async fn lifecycle_clock(
        &self,
        access: &Access,
        now: Option<Timestamp>,
    ) -> Result<LifecycleClock, StorageError> {
        self.run("lifecycle_clock", lifecycle::clock(&self.pool, access, now)).await
    }

    async fn take_lifecycle_turn(
        &self,
        access: &Access,
        due: Timestamp,
        job: Option<(&Access, &NewJob)>,
    ) -> Result<bool, StorageError> {
        let take = async { retried!(lifecycle::take_turn(&self.pool, access, due, job)) };
        self.run("take_lifecycle_turn", take).await
    }
}
