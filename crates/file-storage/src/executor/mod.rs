//! Metadata: the one trait through which rows are reached, always under a caller's row-level security.
//!
//! An executor runs each method as one transaction: it has happened wholly when it answers `Ok`, and not at
//! all when it answers `Err` (FS-I2). Every method takes an [`Access`], which only a permission check gives;
//! the statement it runs carries the predicate of the permission, so that the database decides about each row.
//! SQL lives below this module and nowhere else; nothing here knows a path on a disk.
//!
//! Executors answer [`StorageError`]s and fold their engine's errors into them at one place of their own. The types
//! of their questions and answers stand in the files beside this one, by what they are about.

mod assembly;
mod bounds;
mod columns;
#[cfg(test)]
pub(crate) mod conformance;
mod copies;
mod credentials;
mod decide;
mod displaced;
mod event;
mod explanation;
mod job;
mod lifecycle;
mod listing;
pub mod look;
mod marks;
pub mod migrate;
mod multipart;
pub mod postgres;
mod proposal;
mod queue;
mod quota;
mod scrub;
pub mod snapshot;
pub mod sqlite;
mod upkeep;
mod usage;
mod versions;
mod watched;
mod webhooks;
mod write;

use async_trait::async_trait;
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::{Bucket, BucketConfig, BucketName, BucketUpdate};
use crate::errors::StorageError;
use crate::extra::{BucketExtra, BucketExtraUpdate, Tag};
use crate::file::{ETags, NewObject, PutMode, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, AnonGrants, Policy, PolicySet};
use crate::sql::query::{Answer, Query, QueryLimits};
use crate::versions::Deletion;

pub(crate) use assembly::tag_of_parts;
pub(crate) use bounds::{just_after, successor};
pub use copies::{BlobCopy, Copies, CopiesQueued, CopyExecutor, CopyPlan};
pub use credentials::CredentialExecutor;
pub use event::{Event, EventBounds, EventExecutor, ProviderEvent, Sight};
pub use explanation::{Effect, Explanation, Question, Reason};
pub use job::{
    ClaimedJob, Job, JobEnd, JobError, JobExecutor, JobFailure, JobKind, JobListing, JobProgress, JobReport,
    JobStatus, NewJob,
};
pub use lifecycle::{
    AgedScan, ArchiveOrder, Ending, Judged, LifecycleClock, LifecycleExecutor, UploadScan, Warned, Warning,
};
pub use listing::{
    BucketListing, BucketSort, Collation, Cursor, Delimiter, Entry, Listing, ObjectSort, Page, PageStart,
    SortOrder,
};
pub use marks::{Mark, MarkExecutor};
pub use multipart::MultipartExecutor;
pub use queue::{
    AttemptEnd, Claim, ClaimedEntries, ClaimedEntry, Home, Migrated, Migration, ProviderUsage, QueueDepth,
    QueueEntry, QueueExecutor, QueueListing, QueueReason, QueueStatus,
};
pub use quota::QuotaExecutor;
pub use scrub::{BlobPage, InlinePage, InlineSegment, ReferredBlob, ScrubExecutor, ScrubScope, SegmentRow};
pub use upkeep::{Backlog, QueuedBlob, SegmentBlob, Turn, UpkeepExecutor};
pub use usage::{UsageBy, UsageDifference, UsageGroup, UserUsage};
pub use versions::VersionExecutor;
pub(crate) use watched::WatchedExecutor;
pub use webhooks::{SealedWebhook, WebhookClaim, WebhookExecutor};
pub(crate) use write::is_of_one_object;
pub use write::{Admission, Announced, Emptied, QuotaLeft, Relocation, Written};

/// What runs metadata operations in a database: those on buckets, objects, policies and usage here, the rest in traits by what
/// they are about.
#[async_trait]
pub trait Executor:
    MultipartExecutor
    + VersionExecutor
    + QuotaExecutor
    + MarkExecutor
    + CredentialExecutor
    + EventExecutor
    + UpkeepExecutor
    + QueueExecutor
    + CopyExecutor
    + WebhookExecutor
    + LifecycleExecutor
    + JobExecutor
    + ScrubExecutor
    + Send
    + Sync
    + 'static
{
    /// Creates a bucket, owned by the caller's user; a service caller without a user makes a system bucket.
    ///
    /// # Errors
    /// [`StorageError::BucketExists`].
    async fn create_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        config: &BucketConfig,
    ) -> Result<Bucket, StorageError>;

    /// Shows a bucket.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial where the bucket grants the caller nothing.
    async fn bucket(&self, access: &Access, name: &BucketName) -> Result<Bucket, StorageError>;

    /// Lists the buckets that the caller may see.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn list_buckets(
        &self,
        access: &Access,
        listing: &BucketListing,
    ) -> Result<Vec<Bucket>, StorageError>;

    /// Changes a bucket and gives it back as it then is.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    async fn update_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        update: &BucketUpdate,
    ) -> Result<Bucket, StorageError>;

    /// Deletes up to `limit` objects of a bucket and queues their blobs; gives them. None means empty.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    async fn empty_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        limit: u32,
    ) -> Result<Vec<Emptied>, StorageError>;

    /// Deletes an empty bucket.
    ///
    /// # Errors
    /// [`StorageError::BucketNotEmpty`], [`StorageError::BucketNotFound`], or a denial.
    async fn delete_bucket(&self, access: &Access, name: &BucketName) -> Result<(), StorageError>;

    /// Decides, before a byte of a body is read, whether a write would be let in now: permission by permission
    /// as [`Executor::put_object`] decides it, and the mode's condition. What policies say of values that are not
    /// announced is decided only then. Changes nothing.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], [`StorageError::ObjectExists`], [`StorageError::PreconditionFailed`],
    /// [`StorageError::ObjectNotFound`] never: a precondition on nothing fails as a precondition. Or a denial.
    async fn admit_put(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        mode: &PutMode,
        announced: &Announced,
    ) -> Result<Admission, StorageError>;

    /// As [`Executor::admit_put`], of many paths of a bucket, which stand there once: answered in their order, each alone.
    ///
    /// # Errors
    /// Those of the engine: then nothing is said of any.
    async fn admit_puts(
        &self,
        access: &Access,
        bucket: &BucketName,
        wanted: &[(ObjectPath, Announced)],
        mode: &PutMode,
    ) -> Result<Vec<Result<Admission, StorageError>>, StorageError>;

    /// Decides whether a URL may be signed that writes so: as [`Executor::admit_put`] would if nothing were there
    /// that the caller can't see. The rest is decided, for the same caller, when the URL is used. Changes nothing.
    ///
    /// # Errors
    /// As [`Executor::admit_put`], of what the caller can see.
    async fn admit_signing(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        mode: &PutMode,
    ) -> Result<(), StorageError>;

    /// Makes an object visible whose bytes are stored, in place of the one that was there, whose blobs are
    /// queued for deletion. A new object belongs to the caller's user; an overwrite keeps the owner. Usage
    /// counters, quotas (of the bucket, of the folders that it is in, of the object's owner, and of all) and the event are part of the transaction.
    ///
    /// # Errors
    /// As [`Executor::admit_put`], and [`StorageError::QuotaExceeded`]. [`StorageError::BucketNotFound`] also
    /// where the bucket is another one than `object.bucket_uuid`.
    async fn put_object(
        &self,
        access: &Access,
        object: NewObject,
        mode: &PutMode,
    ) -> Result<Written, StorageError>;

    /// Makes many objects visible in one transaction, as [`Executor::put_object`] each, and answers them in their order. Each is decided
    /// as if those before it were there; one that is refused is undone alone. Paths stand there once.
    ///
    /// # Errors
    /// Those of the engine: then none of them is there.
    async fn put_objects(
        &self,
        access: &Access,
        objects: Vec<NewObject>,
        mode: &PutMode,
    ) -> Result<Vec<Result<Written, StorageError>>, StorageError>;

    /// Reads an object's row and the way to its bytes, in one consistent view.
    ///
    /// # Errors
    /// [`StorageError::ObjectNotFound`] for a missing and for an invisible row alike;
    /// [`StorageError::BucketNotFound`], or a denial where the bucket grants the caller nothing.
    async fn open_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StoredObject, StorageError>;

    /// Reads an object's row.
    ///
    /// # Errors
    /// As [`Executor::open_object`].
    async fn object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StorageObject, StorageError>;

    /// Deletes one object and queues its blobs. Where the bucket keeps versions, it puts a delete marker on top of the
    /// path instead; also of one where nothing is, for whom the whole bucket is open to. Under a condition, only an object
    /// with one of the tags is deleted, in the same transaction.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial: the row is visible and not the caller's to delete, or
    /// the bucket grants the caller nothing. [`StorageError::PreconditionFailed`] where the condition does not hold, or no row is visible.
    async fn delete_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        condition: Option<&ETags>,
    ) -> Result<Deletion, StorageError>;

    /// The same with those of the objects that the caller may delete. Others are left out.
    ///
    /// # Errors
    /// Only those of the engine: a bucket that is not there has no objects.
    async fn delete_objects(
        &self,
        access: &Access,
        bucket: &BucketName,
        paths: &[ObjectPath],
    ) -> Result<Vec<Deletion>, StorageError>;

    /// Moves an object's row, also to another bucket; its id, owner and bytes stay. What was at the target is
    /// replaced as [`Executor::put_object`] would. Moving an object onto itself changes nothing. Out of a bucket that keeps
    /// versions no row moves: see [`VersionExecutor::move_copied`].
    ///
    /// # Errors
    /// Those of reading and deleting at the source and of writing at the target.
    async fn move_object(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        to: (&BucketName, &ObjectPath),
        mode: &PutMode,
    ) -> Result<Relocation, StorageError>;

    /// Lists one level of a bucket, or all of it. Cost follows the answer, not the bucket. A bucket that is
    /// missing or closed to the caller has nothing to show.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`] for a cursor that is not ours.
    async fn list_objects(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &Listing,
    ) -> Result<Page, StorageError>;

    /// What SQL policies may let callers without a token do, on some row: for the check before any statement.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn anon_grants(&self) -> Result<AnonGrants, StorageError>;

    /// Adds a SQL policy. It is in force when this answers.
    ///
    /// # Errors
    /// [`StorageError::PolicyExists`].
    async fn create_policy(&self, access: &Access, policy: &Policy) -> Result<(), StorageError>;

    /// Drops a SQL policy; `false` where there is none of this name.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn drop_policy(&self, access: &Access, name: &str) -> Result<bool, StorageError>;

    /// The SQL policies in force.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn policies(&self, access: &Access) -> Result<PolicySet, StorageError>;

    /// Says which rules let somebody do something or not, by asking them. The access must be one to
    /// [`crate::Operation::Explain`].
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`].
    async fn explain(&self, access: &Access, question: &Question) -> Result<Explanation, StorageError>;

    /// Replaces the tags of an object, as an overwrite of it by itself would be let in; its bytes and times stay.
    ///
    /// # Errors
    /// [`StorageError::ObjectNotFound`], [`StorageError::BucketNotFound`], or a denial.
    async fn tag_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        tags: &[Tag],
    ) -> Result<StorageObject, StorageError>;

    /// What is kept beside a bucket, for those who may change the bucket.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    async fn bucket_extra(&self, access: &Access, name: &BucketName) -> Result<BucketExtra, StorageError>;

    /// Changes what is kept beside a bucket.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    async fn update_bucket_extra(
        &self,
        access: &Access,
        name: &BucketName,
        update: &BucketExtraUpdate,
    ) -> Result<(), StorageError>;

    /// Uses up the nonce of a single-use token: `true` for the first caller, `false` ever after. Nonces are
    /// forgotten some time after `expires_at`, when the token is dead anyway.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn consume_nonce(&self, nonce: Uuid, expires_at: Timestamp) -> Result<bool, StorageError>;

    /// Makes the nonce of a single-use token good again, as what it was used for came to nothing.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn give_back_nonce(&self, nonce: Uuid) -> Result<(), StorageError>;

    /// Whether a nonce was used up. Changes nothing.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn is_nonce_used(&self, nonce: Uuid) -> Result<bool, StorageError>;

    /// Usage of the caller's own user; for a service caller without one, zero.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn own_usage(&self, access: &Access) -> Result<UserUsage, StorageError>;

    /// Usage of all users, those that use most first.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn all_usage(&self, access: &Access, limit: u32) -> Result<Vec<UserUsage>, StorageError>;

    /// Looks at all objects of the caller's own, or of everybody for the service role, and says what they take: those that take most
    /// first. The time that it may take is bounded. Which providers bytes are on is the service role's to see.
    ///
    /// # Errors
    /// A denial; [`StorageError::OperationTimeout`]; [`StorageError::Overloaded`] where too many look.
    async fn usage_by(
        &self,
        access: &Access,
        by: &UsageBy,
        limit: u32,
    ) -> Result<Vec<UsageGroup>, StorageError>;

    /// Whether writes that take room are let in. Asked for every upload, and while its bytes come in: costs nothing.
    ///
    /// # Errors
    /// [`StorageError::DiskFull`] where only deletions go on. An engine whose disk is not ours has no opinion.
    fn check_room(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Runs a query over the rows that the caller may see, and over no others. Changes nothing. Ended when its time is
    /// over, and when the caller goes away.
    ///
    /// # Errors
    /// [`StorageError::InvalidSql`] for a value that can't be computed, [`StorageError::OperationTimeout`], and
    /// [`StorageError::Overloaded`] where too many queries run.
    async fn query(
        &self,
        access: &Access,
        query: &Query,
        limits: &QueryLimits,
    ) -> Result<Answer, StorageError>;

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StorageError::ProviderUnavailable`] and what the engine says.
    async fn ping(&self) -> Result<(), StorageError>;

    /// Finishes what was accepted and closes the database. Later calls fail.
    async fn close(&self);
}
