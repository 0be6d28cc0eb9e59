//! What is asked of lifecycle rules, each sent to where it runs.

use async_trait::async_trait;
use rusqlite::Connection;
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::sqlite::rows::now as by_the_clock;
use crate::executor::sqlite::{SqliteExecutor, lifecycle, queue, relocate};
use crate::executor::{
    AgedScan, ArchiveOrder, Ending, Judged, LifecycleClock, LifecycleExecutor, NewJob, Relocation,
    UploadScan, Warned, Warning,
};
use crate::file::PutMode;
use crate::lifecycle::{AgedUpload, AgedVersion, LifecycleRule, RuleSource};
use crate::path::ObjectPath;
use crate::permissions::Access;

#[async_trait]
impl LifecycleExecutor for SqliteExecutor {
    async fn lifecycle_rules(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
    ) -> Result<Vec<LifecycleRule>, StorageError> {
        let (access, bucket) = (access.clone(), bucket.cloned());
        self.scan("lifecycle_rules", move |conn| lifecycle::all(conn, &access, bucket.as_ref())).await
    }

    async fn set_lifecycle_rule(&self, access: &Access, rule: &LifecycleRule) -> Result<(), StorageError> {
        let (access, rule) = (access.clone(), rule.clone());
        let set = move |conn: &Connection| lifecycle::set(conn, &access, &rule);
        self.writer.keep("set_lifecycle_rule", set).await
    }

    async fn remove_lifecycle_rule(&self, access: &Access, id: Uuid) -> Result<bool, StorageError> {
        let access = access.clone();
        let remove = move |conn: &Connection| lifecycle::remove(conn, &access, id);
        self.writer.keep("remove_lifecycle_rule", remove).await
    }

    async fn replace_lifecycle_rules(
        &self,
        access: &Access,
        bucket: &BucketName,
        source: RuleSource,
        rules: &[LifecycleRule],
    ) -> Result<(), StorageError> {
        let (access, bucket, rules) = (access.clone(), bucket.clone(), rules.to_vec());
        let replace = move |conn: &Connection| lifecycle::replace(conn, &access, &bucket, source, &rules);
        self.writer.keep("replace_lifecycle_rules", replace).await
    }

    async fn aged_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &AgedScan,
    ) -> Result<Vec<AgedVersion>, StorageError> {
        let (access, bucket, scan) = (access.clone(), bucket.clone(), scan.clone());
        self.scan("aged_versions", move |conn| lifecycle::versions(conn, &access, &bucket, &scan)).await
    }

    async fn aged_uploads(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &UploadScan,
    ) -> Result<Vec<AgedUpload>, StorageError> {
        let (access, bucket, scan) = (access.clone(), bucket.clone(), scan.clone());
        self.scan("aged_uploads", move |conn| lifecycle::uploads(conn, &access, &bucket, &scan)).await
    }

    async fn end_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        versions: &[(Judged, Ending)],
    ) -> Result<Vec<Uuid>, StorageError> {
        let (access, rules) = (access.clone(), self.rules.load_full());
        let bucket = bucket.clone();
        let versions: Vec<_> = versions.iter().map(|(judged, ending)| (judged.id, *ending)).collect();
        let end = move |conn: &Connection| lifecycle::end_versions(conn, &rules, &access, &bucket, &versions);
        self.writer.free("end_versions", end).await
    }

    async fn end_uploads(&self, access: &Access, uploads: &[Judged]) -> Result<Vec<Uuid>, StorageError> {
        let access = access.clone();
        let uploads: Vec<_> = uploads.iter().map(|upload| upload.id).collect();
        let end = move |conn: &Connection| lifecycle::end_uploads(conn, &access, &uploads);
        self.writer.free("end_uploads", end).await
    }

    async fn archive_versions(
        &self,
        access: &Access,
        versions: &[Judged],
        order: &ArchiveOrder,
    ) -> Result<Vec<Uuid>, StorageError> {
        let (access, order) = (access.clone(), order.clone());
        let versions: Vec<_> = versions.iter().map(|version| version.id).collect();
        let archive = move |conn: &Connection| queue::archive(conn, &access, &versions, &order);
        self.writer.run("archive_versions", archive).await
    }

    async fn move_version(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        to: (&BucketName, &ObjectPath),
        mode: &PutMode,
    ) -> Result<Relocation, StorageError> {
        let (access, mode, rules) = (access.clone(), mode.clone(), self.rules.load_full());
        let from = (from.0.clone(), from.1.clone());
        let to = (to.0.clone(), to.1.clone());
        let relocate = move |conn: &Connection| {
            let (from, to) = ((&from.0, &from.1), (&to.0, &to.1));
            relocate::relocate(conn, &rules, &access, (from, Some(version)), to, &mode)
        };
        self.writer.run("move_object", relocate).await
    }

    async fn lifecycle_warnings(
        &self,
        access: &Access,
        versions: &[Uuid],
    ) -> Result<Vec<Warned>, StorageError> {
        let (access, versions) = (access.clone(), versions.to_vec());
        self.scan("lifecycle_warnings", move |conn| lifecycle::given(conn, &access, &versions)).await
    }

    async fn warn_of_versions(
        &self,
        access: &Access,
        warnings: &[Warning],
        now: Timestamp,
    ) -> Result<Vec<(Uuid, Uuid)>, StorageError> {
        let (access, warnings) = (access.clone(), warnings.to_vec());
        let warn = move |conn: &Connection| lifecycle::warn(conn, &access, &warnings, now);
        self.writer.run("warn_of_versions", warn).await
    }

    async fn forget_warnings(
        &self,
        access: &Access,
        after: Option<Uuid>,
        rules: &[Uuid],
        limit: u32,
    ) -> Result<Option<Uuid>, StorageError> {
        let (access, rules) = (access.clone(), rules.to_vec());
        let forget = move |conn: &Connection| lifecycle::forget(conn, &access, after, &rules, limit);
        self.writer.free("forget_warnings", forget).await
    }

    async fn lifecycle_clock(
        &self,
        access: &Access,
        now: Option<Timestamp>,
    ) -> Result<LifecycleClock, StorageError> {
        let access = access.clone();
        let look = move |conn: &Connection| lifecycle::clock(conn, &access, now.unwrap_or_else(by_the_clock));
        self.writer.keep("lifecycle_clock", look).await
    }

    async fn take_lifecycle_turn(
        &self,
        access: &Access,
        due: Timestamp,
        job: Option<(&Access, &NewJob)>,
    ) -> Result<bool, StorageError> {
        let (access, job) = (access.clone(), job.map(|(access, job)| (access.clone(), job.clone())));
        let take = move |conn: &Connection| lifecycle::take_turn(conn, &access, due, job.as_ref());
        self.writer.keep("take_lifecycle_turn", take).await
    }
}
