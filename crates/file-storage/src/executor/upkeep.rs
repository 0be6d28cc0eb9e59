//! What upkeep is told: which blobs wait for their end, which ones objects are made of, how much is due, and
//! whose turn it is.

use std::any::Any;

use uuid::Uuid;

use crate::bucket::BucketName;
use crate::file::BlobKey;
use crate::path::ObjectPath;

/// How much upkeep is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Blobs queued for deletion.
    pub pending_deletions: u64,
    /// Objects.
    pub objects: u64,
    /// Buckets.
    pub buckets: u64,
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
