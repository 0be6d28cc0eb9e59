//! What upkeep is told: which blobs wait for their end, which ones objects are made of, how much is due, and
//! whose turn it is.

use std::any::Any;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::UsageDifference;
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::BlobKey;
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// How much upkeep is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Blobs queued for deletion.
    pub pending_deletions: u64,
    /// Objects.
    pub objects: u64,
    /// Buckets.
    pub buckets: u64,
    /// Since when the oldest of those blobs waits.
    pub oldest_deletion: Option<Timestamp>,
}

/// Leave to do what one process does at a time. Over when dropped.
#[derive(Default)]
#[must_use = "it is over when this is dropped"]
pub struct Turn {
    /// What the engine holds for as long.
    _held: Option<Box<dyn Any + Send + Sync>>,
}

impl Turn {
    /// A turn that lasts as long as what is held.
    pub(crate) fn holding(held: impl Any + Send + Sync) -> Self {
        Self { _held: Some(Box::new(held)) }
    }
}

/// A blob that waits for its deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedBlob {
    /// The provider that has it.
    pub provider: String,
    /// Its name there.
    pub key: BlobKey,
    /// How often its deletion failed.
    pub attempts: u32,
}

/// A blob that an object is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentBlob {
    /// Its name.
    pub key: BlobKey,
    /// Its length, in bytes.
    pub size: u64,
    /// The object's version.
    pub version: Uuid,
    /// The object's bucket.
    pub bucket: BucketName,
    /// The object's path.
    pub path: ObjectPath,
}

/// What upkeep asks: counters, blobs that are due, objects that are lost. An [`Executor`](super::Executor) does, by the same rules.
#[async_trait]
pub trait UpkeepExecutor: Send + Sync {
    /// Counts all usage anew and compares it with the counters; with `repair` it also sets them right. The
    /// answer names each difference: none, unless there is a fault in our code.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn recount_usage(
        &self,
        access: &Access,
        repair: bool,
    ) -> Result<Vec<UsageDifference>, StorageError>;

    /// Blobs that no object has any more, and that were queued at least `older_than` ago. None while a backup holds them.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn due_deletions(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<Vec<QueuedBlob>, StorageError>;

    /// Forgets queued blobs that are deleted. Those that failed stay queued with one attempt more.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn finish_deletions(
        &self,
        access: &Access,
        deleted: &[BlobKey],
        failed: &[BlobKey],
    ) -> Result<(), StorageError>;

    /// Which of these blobs are known: part of an object or of an unfinished upload, a copy of
    /// such a blob, or queued for deletion.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn known_blobs(&self, access: &Access, keys: &[BlobKey]) -> Result<Vec<BlobKey>, StorageError>;

    /// Blobs that objects and unfinished uploads are made of, in the order of their keys, after the given one: for checking that they
    /// are there.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn segment_blobs(
        &self,
        access: &Access,
        provider: &str,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Vec<SegmentBlob>, StorageError>;

    /// Deletes the object, or gives up the upload, that this blob is of, as its bytes are lost. `false` where it is gone, or made of
    /// another blob by now: one that was made anew from a copy, say.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn delete_lost_object(&self, access: &Access, lost: &SegmentBlob) -> Result<bool, StorageError>;

    /// Leave to run the orphan job, until the answer is dropped: `None` while somebody else over the same metadata has
    /// it. Who is lost loses it, soon; who has it and is cut off from the database may meet another one, which costs
    /// both of them time and does no harm. An engine that one process has to itself always gives it.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn orphan_job_turn(&self, access: &Access) -> Result<Option<Turn>, StorageError> {
        access.on_rows(Permission::Maintain, None)?;
        Ok(Some(Turn::default()))
    }

    /// Counts rows of the tables that upkeep watches.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn backlog(&self, access: &Access) -> Result<Backlog, StorageError>;
}
