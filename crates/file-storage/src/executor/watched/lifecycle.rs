//! Rules that let old files go.

use async_trait::async_trait;
use uuid::Uuid;

use super::{WatchedExecutor, asked, by_rule, moved, settings};
use crate::Timestamp;
use crate::audit::{Action, Entry};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{
    AgedScan, ArchiveOrder, Ending, Judged, LifecycleClock, LifecycleExecutor, NewJob, Relocation,
    UploadScan, Warned, Warning,
};
use crate::file::PutMode;
use crate::lifecycle::{AgedUpload, AgedVersion, LifecycleRule, RuleSource};
use crate::path::ObjectPath;
use crate::permissions::Access;

#[async_trait]
impl LifecycleExecutor for WatchedExecutor {
    async fn lifecycle_rules(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
    ) -> Result<Vec<LifecycleRule>, StorageError> {
        let entry = || Entry::of(access, Action::List).subject("lifecycle rules");
        self.read(
            access,
            entry,
            asked("lifecycle_rules", self.inner.lifecycle_rules(access, bucket)),
            |_, entry| Some(entry),
        )
        .await
    }

    async fn set_lifecycle_rule(&self, access: &Access, rule: &LifecycleRule) -> Result<(), StorageError> {
        let entry = of_rule(Entry::of(access, Action::Change), rule);
        self.change(
            entry,
            asked("set_lifecycle_rule", self.inner.set_lifecycle_rule(access, rule)),
            |_, entry| Some(entry),
        )
        .await
    }

    async fn remove_lifecycle_rule(&self, access: &Access, id: Uuid) -> Result<bool, StorageError> {
        let entry = Entry::of(access, Action::Delete).subject(format!("lifecycle rule {id}"));
        self.change(
            entry,
            asked("remove_lifecycle_rule", self.inner.remove_lifecycle_rule(access, id)),
            |done, entry| done.then_some(entry),
        )
        .await
    }

    async fn replace_lifecycle_rules(
        &self,
        access: &Access,
        bucket: &BucketName,
        source: RuleSource,
        rules: &[LifecycleRule],
    ) -> Result<(), StorageError> {
        let entry = Entry::of(access, Action::Change)
            .bucket(bucket)
            .subject("lifecycle rules")
            .count(rules.len() as u64);
        self.change(
            entry,
            asked(
                "replace_lifecycle_rules",
                self.inner.replace_lifecycle_rules(access, bucket, source, rules),
            ),
            |_, entry| {
                let one = Entry { count: None, ..entry.clone() };
                let each = rules.iter().map(|rule| of_rule(one.clone(), rule));
                std::iter::once(entry).chain(each).collect::<Vec<_>>()
            },
        )
        .await
    }

    async fn aged_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &AgedScan,
    ) -> Result<Vec<AgedVersion>, StorageError> {
        asked("aged_versions", self.inner.aged_versions(access, bucket, scan)).await
    }

    async fn aged_uploads(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &UploadScan,
    ) -> Result<Vec<AgedUpload>, StorageError> {
        asked("aged_uploads", self.inner.aged_uploads(access, bucket, scan)).await
    }

    async fn end_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        versions: &[(Judged, Ending)],
    ) -> Result<Vec<Uuid>, StorageError> {
        let entry = Entry::of(access, Action::Delete).bucket(bucket).count(versions.len() as u64);
        self.change(
            entry,
            asked("end_versions", self.inner.end_versions(access, bucket, versions)),
            |done, entry| {
                let gone = versions.iter().filter(|(judged, _)| done.contains(&judged.id));
                gone.map(|(judged, _)| by_rule(&entry, judged).version(judged.id)).collect::<Vec<_>>()
            },
        )
        .await
    }

    async fn end_uploads(&self, access: &Access, uploads: &[Judged]) -> Result<Vec<Uuid>, StorageError> {
        let entry = Entry::of(access, Action::Delete).subject("uploads").count(uploads.len() as u64);
        self.change(entry, asked("end_uploads", self.inner.end_uploads(access, uploads)), |done, entry| {
            let gone = uploads.iter().filter(|judged| done.contains(&judged.id));
            gone.map(|judged| by_rule(&entry, judged).subject(format!("upload {}", judged.id)))
                .collect::<Vec<_>>()
        })
        .await
    }

    async fn archive_versions(
        &self,
        access: &Access,
        versions: &[Judged],
        order: &ArchiveOrder,
    ) -> Result<Vec<Uuid>, StorageError> {
        if order.dry_run {
            return asked("archive_versions", self.inner.archive_versions(access, versions, order)).await;
        }
        let entry = Entry::of(access, Action::Move)
            .count(versions.len() as u64)
            .subject(format!("provider {}", order.provider));
        self.change(
            entry,
            asked("archive_versions", self.inner.archive_versions(access, versions, order)),
            |done, entry| {
                let queued = versions.iter().filter(|judged| done.contains(&judged.id));
                queued.map(|judged| by_rule(&entry, judged).version(judged.id)).collect::<Vec<_>>()
            },
        )
        .await
    }

    async fn move_version(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        to: (&BucketName, &ObjectPath),
        mode: &PutMode,
    ) -> Result<Relocation, StorageError> {
        let entry = Entry::of(access, Action::Move).object(to.0, to.1).from(from).version(version);
        self.change(
            entry,
            asked("move_version", self.inner.move_version(access, from, version, to, mode)),
            |done, entry| moved(entry, done),
        )
        .await
    }

    async fn lifecycle_warnings(
        &self,
        access: &Access,
        versions: &[Uuid],
    ) -> Result<Vec<Warned>, StorageError> {
        asked("lifecycle_warnings", self.inner.lifecycle_warnings(access, versions)).await
    }

    async fn warn_of_versions(
        &self,
        access: &Access,
        warnings: &[Warning],
        now: Timestamp,
    ) -> Result<Vec<(Uuid, Uuid)>, StorageError> {
        asked("warn_of_versions", self.inner.warn_of_versions(access, warnings, now)).await
    }

    async fn forget_warnings(
        &self,
        access: &Access,
        after: Option<Uuid>,
        rules: &[Uuid],
        limit: u32,
    ) -> Result<Option<Uuid>, StorageError> {
        asked("forget_warnings", self.inner.forget_warnings(access, after, rules, limit)).await
    }

    async fn lifecycle_clock(
        &self,
        access: &Access,
        now: Option<Timestamp>,
    ) -> Result<LifecycleClock, StorageError> {
        asked("lifecycle_clock", self.inner.lifecycle_clock(access, now)).await
    }

    async fn take_lifecycle_turn(
        &self,
        access: &Access,
        due: Timestamp,
        job: Option<(&Access, &NewJob)>,
    ) -> Result<bool, StorageError> {
        // The job tells what it does, line by line.
        asked("take_lifecycle_turn", self.inner.take_lifecycle_turn(access, due, job)).await
    }
}

/// The line of a rule that is kept, with what it says.
fn of_rule(entry: Entry, rule: &LifecycleRule) -> Entry {
    let entry = entry.bucket(&rule.bucket).subject(format!("lifecycle rule {}", rule.id));
    entry.settings(settings::of_rule(rule))
}
