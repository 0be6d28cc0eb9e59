//! Rules that let old files go: kept, asked page by page, and followed one version at a time.
//!
//! Versions are looked at in the order of their paths, a page at a time, rather than by an index of their age: that index would
//! cost every write, and help one run a day, most of whose rows are not due. A run reads each row once, in the order in which
//! it lies, and remembers one path.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::SecondsFormat;
use uuid::Uuid;

use super::{NewJob, Relocation};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::PutMode;
use crate::lifecycle::{AgedUpload, AgedVersion, LifecycleAction, LifecycleRule, MAX_RULES, RuleSource};
use crate::path::ObjectPath;
use crate::permissions::Access;

/// The kind of the event that tells of an object whose time is about to come.
pub(super) const EXPIRING: &str = "storage.object.expiring";

/// What rows and events say of a change that a rule made.
pub(super) const REASON: &str = "lifecycle";

/// How far the clock may be ahead of when somebody last looked before rules wait, and how long they wait then, in microseconds.
pub(super) const LEAP_MICROS: i64 = 24 * 3600 * 1_000_000;

/// Versions to be looked at: by path, and the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgedScan {
    /// The first path that is wanted.
    pub from: String,
    /// Of the versions at that first path, only those below this place; all of them, where `None`.
    pub below: Option<i64>,
    /// The first path that is not wanted any more; `None` where there is none.
    pub until: Option<String>,
    /// Most versions.
    pub limit: u32,
}

/// Unfinished uploads to be looked at, by path and identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadScan {
    /// How their paths begin.
    pub prefix: String,
    /// Only those that began before.
    pub before: Timestamp,
    /// Only those after this one, by its path and identity.
    pub after: Option<(String, Uuid)>,
    /// Most uploads.
    pub limit: u32,
}

/// What a rule is about to do something to: a version, or an unfinished upload. It is where it was seen for as long as it is there:
/// what is moved becomes another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The version, or the upload.
    pub id: Uuid,
    /// Its bucket.
    pub bucket: BucketName,
    /// Its path.
    pub path: ObjectPath,
    /// Its size, in bytes.
    pub size: u64,
    /// The rule.
    pub rule: Uuid,
}

/// How a version goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As the object that it must still be: deleted, or hidden by a delete marker.
    Object,
    /// As the older version that it must still be.
    Version,
    /// As the delete marker that hides nothing.
    Marker,
}

/// An object whose time is about to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Its version.
    pub version: Uuid,
    /// The rule that says so.
    pub rule: Uuid,
    /// When it is due by its age.
    pub due_at: Timestamp,
    /// When it goes at the earliest, as it must be told of before.
    pub goes_at: Timestamp,
    /// What happens to it then.
    pub action: LifecycleAction,
}

impl Warning {
    /// When it goes, as all times are written that callers see.
    pub(super) fn goes_at_in_words(&self) -> String {
        self.goes_at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }
}

/// A warning that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warned {
    /// Of which version.
    pub version: Uuid,
    /// By which rule.
    pub rule: Uuid,
    /// When it was said to be due by its age.
    pub due_at: Timestamp,
    /// When it was told of.
    pub warned_at: Timestamp,
    /// What was said to become of it; `None` where that was not kept yet.
    pub action: Option<LifecycleAction>,
}

/// Where bytes are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveOrder {
    /// The provider that they are for.
    pub provider: Arc<str>,
    /// How often each is tried.
    pub max_attempts: u32,
    /// Whether it is only asked what would go.
    pub dry_run: bool,
}

/// The time by which rules are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifecycleClock {
    /// The moment, by the database's clock.
    pub now: Timestamp,
    /// Until when rules wait, as the clock has leapt; `None` where they don't.
    pub held_until: Option<Timestamp>,
}

/// What keeps rules and follows them. An [`Executor`](super::Executor) does: all of it is the service role's.
#[async_trait]
pub trait LifecycleExecutor: Send + Sync {
    /// The rules that are kept, by bucket and age: of one bucket, or of all.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn lifecycle_rules(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
    ) -> Result<Vec<LifecycleRule>, StorageError>;

    /// Keeps a rule, in place of the one of its identity.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`]; [`StorageError::LifecycleRuleExists`]; [`StorageError::InvalidRequest`] where there are too many
    /// of them.
    async fn set_lifecycle_rule(&self, access: &Access, rule: &LifecycleRule) -> Result<(), StorageError>;

    /// Forgets a rule; `false` where there is none.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn remove_lifecycle_rule(&self, access: &Access, id: Uuid) -> Result<bool, StorageError>;

    /// Keeps these rules of a bucket in place of all that have the same source.
    ///
    /// # Errors
    /// As [`LifecycleExecutor::set_lifecycle_rule`].
    async fn replace_lifecycle_rules(
        &self,
        access: &Access,
        bucket: &BucketName,
        source: RuleSource,
        rules: &[LifecycleRule],
    ) -> Result<(), StorageError>;

    /// Versions of a bucket, by path and the newest first. A bucket that is missing has none.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn aged_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &AgedScan,
    ) -> Result<Vec<AgedVersion>, StorageError>;

    /// Unfinished uploads of a bucket that are that old.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn aged_uploads(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &UploadScan,
    ) -> Result<Vec<AgedUpload>, StorageError>;

    /// Ends versions of a bucket, in one transaction; gives those that went. One that is not any more what it was judged as
    /// stays: an object that was overwritten meanwhile is another version. Events say that a rule did it.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn end_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        versions: &[(Judged, Ending)],
    ) -> Result<Vec<Uuid>, StorageError>;

    /// Gives up those of these uploads that are unfinished still; gives them.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn end_uploads(&self, access: &Access, uploads: &[Judged]) -> Result<Vec<Uuid>, StorageError>;

    /// Queues the blobs of objects that are not on a provider to be moved there; gives the objects that have such. Each is told of
    /// by an event. What is kept in the database stays there, and so does a blob that is on its way elsewhere.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn archive_versions(
        &self,
        access: &Access,
        versions: &[Judged],
        order: &ArchiveOrder,
    ) -> Result<Vec<Uuid>, StorageError>;

    /// As [`Executor::move_object`](super::Executor::move_object), of an object that must still be this version. The access is that to a move.
    ///
    /// # Errors
    /// The same, and [`StorageError::PreconditionFailed`] where it is another one.
    async fn move_version(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        to: (&BucketName, &ObjectPath),
        mode: &PutMode,
    ) -> Result<Relocation, StorageError>;

    /// The warnings that were given of these versions.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn lifecycle_warnings(
        &self,
        access: &Access,
        versions: &[Uuid],
    ) -> Result<Vec<Warned>, StorageError>;

    /// Tells of objects, by an event each, and remembers that: one that was told of by this rule for the same time is not told of again, nor
    /// is one that is no object any more. Gives those that were told of.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn warn_of_versions(
        &self,
        access: &Access,
        warnings: &[Warning],
        now: Timestamp,
    ) -> Result<Vec<(Uuid, Uuid)>, StorageError>;

    /// Looks at up to `limit` warnings after the given version, and forgets those of objects that are gone and of other rules than
    /// these. Where to go on; `None` at the end.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn forget_warnings(
        &self,
        access: &Access,
        after: Option<Uuid>,
        rules: &[Uuid],
        limit: u32,
    ) -> Result<Option<Uuid>, StorageError>;

    /// Looks at the clock, and remembers that. Where it is more than a day ahead of when somebody last looked, rules wait for a
    /// day: the clock has leapt, or nobody was there to look. `now` is for tests.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn lifecycle_clock(
        &self,
        access: &Access,
        now: Option<Timestamp>,
    ) -> Result<LifecycleClock, StorageError>;

    /// Whether the run that is due at this time is the caller's: the first one who asks has it. One that is said to have been taken more
    /// than a day later was taken by a clock that leapt, and is nobody's. The job that makes the run is written down in the same
    /// transaction, by the access to jobs, unless one is under way: there is no turn whose run nobody will ask for.
    ///
    /// # Errors
    /// As [`JobExecutor::create_job`](super::JobExecutor::create_job): then the turn is not taken.
    async fn take_lifecycle_turn(
        &self,
        access: &Access,
        due: Timestamp,
        job: Option<(&Access, &NewJob)>,
    ) -> Result<bool, StorageError>;
}

/// The answer where a bucket would have one rule more than it may.
pub(super) fn too_many_rules() -> StorageError {
    StorageError::InvalidRequest { message: format!("a bucket has at most {MAX_RULES} lifecycle rules") }
}

/// The answer where a bucket has a rule of this name already.
pub(super) fn name_is_taken(rule: &LifecycleRule) -> StorageError {
    StorageError::LifecycleRuleExists { name: rule.spec.name.as_deref().unwrap_or_default().into() }
}
