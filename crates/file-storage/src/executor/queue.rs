//! The upload queue: blobs that are not where they belong, and what workers and their operators ask of it (SPEC 8).
//!
//! An entry is about one blob, which it finds by its key: an object's segment, or a part of an unfinished upload. It is
//! written in the transaction that makes the blob known, and goes in the one that lets go of the blob. Who has a claim on
//! an entry copies the blob, and one transaction says that it is elsewhere now.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::{BlobKey, Sha256};
use crate::path::ObjectPath;
use crate::permissions::Access;

/// How far an entry is. What is completed stays so; what failed may be queued again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueStatus {
    /// It waits for a worker.
    Pending,
    /// A worker has a claim on it.
    InProgress,
    /// Its blob is where it belongs.
    Completed,
    /// It was given up, by its last attempt or by an operator: its blob is where it was.
    Failed,
}

impl QueueStatus {
    /// All of them, in the order that an entry meets them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::InProgress, Self::Completed, Self::Failed];

    /// The word that rows and protocols have.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The status of a word; `None` where there is none.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for QueueStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a blob is to be elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueReason {
    /// Its caller did not want to wait for the provider that it is for.
    Deferred,
    /// The provider that it is for was not well.
    Failover,
    /// An operator wants it there.
    Migration,
    /// A copy of it is to be there, beside the blob itself.
    Copy,
    /// A rule wants it there, as its object is old.
    Archive,
}

impl QueueReason {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Deferred, Self::Failover, Self::Migration, Self::Copy, Self::Archive];

    /// The word that rows and protocols have.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deferred => "deferred",
            Self::Failover => "failover",
            Self::Migration => "migration",
            Self::Copy => "copy",
            Self::Archive => "archive",
        }
    }

    /// The reason of a word; `None` where there is none.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// Where a blob belongs that was written elsewhere: what becomes an entry with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The entry that it will be: a version 7, as lists are in the order of identities.
    pub entry: Uuid,
    /// Name of the provider that it is for.
    pub provider: Arc<str>,
    /// Why it is elsewhere.
    pub reason: QueueReason,
    /// How often it is tried.
    pub max_attempts: u32,
}

/// An entry as its row has it. No text of it has a secret in it, or a path that is not its user's.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueEntry {
    /// Its identity.
    pub id: Uuid,
    /// Who uploaded the blob; `None` for anon and the service itself.
    pub user_id: Option<Uuid>,
    /// The bucket of its object.
    pub bucket: BucketName,
    /// The path that its object had when it was queued.
    pub path: ObjectPath,
    /// Length of the blob, in bytes.
    pub size: u64,
    /// The object's content type.
    pub content_type: String,
    /// The provider that has the blob, or had it.
    pub source: Arc<str>,
    /// The provider that it is for.
    pub target: Arc<str>,
    /// Why it is queued.
    pub reason: QueueReason,
    /// How far it is.
    pub status: QueueStatus,
    /// Attempts that were begun.
    pub attempts: u32,
    /// Attempts after which it is given up.
    pub max_attempts: u32,
    /// What the last attempt met, in words for its user.
    pub error: Option<String>,
    /// When it is tried next, where it waits.
    pub next_attempt_at: Timestamp,
    /// When it was queued, for the first time or again.
    pub queued_at: Timestamp,
    /// When its last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it was completed, or given up.
    pub completed_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An entry that a worker has a claim on, with what it takes to copy its blob.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedEntry {
    /// The entry, with this attempt counted.
    pub entry: QueueEntry,
    /// The blob, on the entry's source.
    pub key: BlobKey,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
}

/// What a claim takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who claims. Never the same twice: whoever had the entry before must not be taken for who has it now.
    pub worker: Uuid,
    /// Providers that can be read from.
    pub sources: Vec<Arc<str>>,
    /// Providers that can be written to.
    pub targets: Vec<Arc<str>>,
    /// Entries at most.
    pub limit: u32,
    /// How long the claim holds where it is not renewed. Then somebody else may have the entry.
    pub lease: Duration,
}

/// What claiming gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClaimedEntries {
    /// What is to be copied, those first that have waited longest for their turn.
    pub entries: Vec<ClaimedEntry>,
    /// What was given up meanwhile: claims that ended with their worker, at the last attempt.
    pub given_up: Vec<QueueEntry>,
}

/// How an attempt ended that did not copy the blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It failed, and is tried again after this time; where it was the last attempt, the entry is given up.
    Again {
        /// Time until the next attempt.
        after: Duration,
        /// What it met.
        error: String,
    },
    /// It was not begun, or came to nothing for no fault of the blob's: it does not count.
    NotTried {
        /// Time until the next attempt.
        after: Duration,
        /// What it met, where that is worth telling.
        error: Option<String>,
    },
    /// Another attempt would end in the same way.
    GivenUp {
        /// What it met.
        error: String,
    },
}

/// What of the queue is asked for. The newest first, in the order of identities: one that is queued again keeps its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueListing {
    /// Only entries of this status.
    pub status: Option<QueueStatus>,
    /// Only those of this bucket.
    pub bucket: Option<BucketName>,
    /// Only those that come after this one in that order, which need not be there any more.
    pub before: Option<Uuid>,
    /// Entries at most.
    pub limit: u32,
}

/// Entries of one way and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    /// Where their blobs are.
    pub source: Arc<str>,
    /// Where they are for.
    pub target: Arc<str>,
    /// Their status: one that is not completed.
    pub status: QueueStatus,
    /// Why they are queued.
    pub reason: QueueReason,
    /// How many they are.
    pub entries: u64,
    /// Bytes of their blobs.
    pub bytes: u64,
    /// When the oldest was queued.
    pub oldest: Timestamp,
}

/// Blobs that are to go from one provider to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The provider that has them.
    pub from: Arc<str>,
    /// The one that they are for.
    pub to: Arc<str>,
    /// Only those of this bucket.
    pub bucket: Option<BucketName>,
    /// Why.
    pub reason: QueueReason,
    /// How often each is tried.
    pub max_attempts: u32,
}

/// A page of a migration that was queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// Entries that were made. A blob that waits, or is being copied, has one already.
    pub entries: u64,
    /// Bytes of their blobs.
    pub bytes: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<BlobKey>,
}

/// What rows keep on a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderUsage {
    /// Its name, which need not be configured any more.
    pub provider: Arc<str>,
    /// Blobs that objects, their versions and unfinished uploads are made of.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that objects and their versions are made of, which copies are kept of.
    pub segments: u64,
    /// Copies of blobs that are elsewhere.
    pub copies: u64,
    /// Their bytes.
    pub copy_bytes: u64,
    /// Blobs that wait for their deletion.
    pub pending_deletions: u64,
}

impl ProviderUsage {
    /// How many copies a provider lacks of blobs that are elsewhere, where copies are to be kept on it.
    pub fn missing_copies(all: &[Self], provider: &str) -> u64 {
        let elsewhere = all.iter().filter(|usage| *usage.provider != *provider);
        let segments: u64 = elsewhere.map(|usage| usage.segments).sum();
        let copies = all.iter().find(|usage| *usage.provider == *provider).map_or(0, |usage| usage.copies);
        segments.saturating_sub(copies)
    }
}

/// What keeps the upload queue. An [`Executor`](super::Executor) does, by the same rules: entries are seen by who uploaded them
/// and by the service role, changed by the service role alone.
#[async_trait]
pub trait QueueExecutor: Send + Sync {
    /// Entries that the caller may see.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn queue_entries(
        &self,
        access: &Access,
        listing: &QueueListing,
    ) -> Result<Vec<QueueEntry>, StorageError>;

    /// An entry that the caller may see.
    ///
    /// # Errors
    /// [`StorageError::QueueEntryNotFound`], also where it is somebody else's.
    async fn queue_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError>;

    /// Takes entries for a worker, whose turn has come and whose providers are among the claim's; each counts as an attempt.
    /// A claim that was not renewed in time is anybody's again. No entry is two workers' at a time.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn claim_entries(&self, access: &Access, claim: &Claim) -> Result<ClaimedEntries, StorageError>;

    /// Lengthens a worker's claims; gives those that it still has.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn renew_claims(
        &self,
        access: &Access,
        worker: Uuid,
        entries: &[Uuid],
        lease: Duration,
    ) -> Result<Vec<Uuid>, StorageError>;

    /// Says that a blob is at the entry's target now, under this key: its segment or part refers to the copy, the old blob is
    /// queued for deletion, and the entry is completed. With `keeps_source`, the old blob of a segment stays as a copy of the new one.
    /// Copies, and entries for them, follow to the new key; one that is on the target goes.
    ///
    /// Where the entry is for a copy, the segment stays as it is and has one more copy, in place of one that it may have there.
    ///
    /// `false`, and nothing changed, where the worker has lost its claim, or nothing refers to the blob any more.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn complete_entry(
        &self,
        access: &Access,
        worker: Uuid,
        claimed: &ClaimedEntry,
        copy: &BlobKey,
        keeps_source: bool,
    ) -> Result<bool, StorageError>;

    /// Gives an entry back that was not copied. The entry as it then is; `None` where the worker has lost its claim, or the entry
    /// is gone.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn end_attempt(
        &self,
        access: &Access,
        worker: Uuid,
        entry: Uuid,
        end: &AttemptEnd,
    ) -> Result<Option<QueueEntry>, StorageError>;

    /// Queues an entry again that was given up, with all its attempts before it; one that waits has its turn now.
    ///
    /// # Errors
    /// [`StorageError::QueueEntryNotFound`]; [`StorageError::QueueEntryEnded`] where it is completed.
    async fn retry_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError>;

    /// The same of up to `limit` entries that were given up. Gives their number.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn retry_failed(&self, access: &Access, limit: u32) -> Result<u64, StorageError>;

    /// Gives an entry up that waits or is being copied: its blob stays where it is. One that was given up before stays as it is.
    ///
    /// # Errors
    /// [`StorageError::QueueEntryNotFound`]; [`StorageError::QueueEntryEnded`] where it is completed.
    async fn cancel_entry(&self, access: &Access, id: Uuid) -> Result<QueueEntry, StorageError>;

    /// Looks at up to `limit` blobs, in the order of their keys, after the given one, and queues those of the migration. One that has
    /// an entry which was given up is queued again by it, for the target named here; one whose entry waits for another target waits for this one.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn queue_migration(
        &self,
        access: &Access,
        migration: &Migration,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Migrated, StorageError>;

    /// How much there is to do: entries that are not completed, by way, reason and status; of a bucket, or of all.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn queue_depths(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
    ) -> Result<Vec<QueueDepth>, StorageError>;

    /// Forgets up to `limit` entries that were completed at least so long ago. Gives their number.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn forget_completed(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, StorageError>;

    /// What rows keep on each provider that they name.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn provider_usage(&self, access: &Access) -> Result<Vec<ProviderUsage>, StorageError>;

    /// Whether rows name a provider: for blobs or copies of theirs, or for blobs that wait for their deletion. Costs next to nothing.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn is_named(&self, access: &Access, provider: &str) -> Result<bool, StorageError>;

    /// Says which directory the provider of a name is, where nobody has said so before. The identity that counts: the one given,
    /// or the one that was said before.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn provider_identity(
        &self,
        access: &Access,
        provider: &str,
        identity: Option<Uuid>,
    ) -> Result<Option<Uuid>, StorageError>;
}
