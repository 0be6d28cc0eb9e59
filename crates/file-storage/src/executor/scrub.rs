//! What a scrub asks: which bytes rows speak of, page by page, and the exchange of a bad blob for a good one (SPEC 5, integrity).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::{BlobKey, Sha256};
use crate::path::ObjectPath;
use crate::permissions::Access;

/// Which blobs are to be verified: all of them, or fewer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScrubScope {
    /// Only those on this provider.
    pub provider: Option<Arc<str>>,
    /// Only those of this bucket's objects, versions and uploads.
    pub bucket: Option<BucketName>,
}

/// A blob that rows refer to, and what they say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferredBlob {
    /// Its name.
    pub key: BlobKey,
    /// The provider that has it.
    pub provider: Arc<str>,
    /// Its length, in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// The bucket of its object.
    pub bucket: BucketName,
    /// The path of its object.
    pub path: ObjectPath,
    /// The blob that it is a copy of, where it is one.
    pub copy_of: Option<BlobKey>,
}

/// A page of blobs, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlobPage {
    /// Those that were asked for.
    pub blobs: Vec<ReferredBlob>,
    /// Where to go on; `None` at the end.
    pub next: Option<BlobKey>,
}

/// A segment's row, as a place in the order of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentRow {
    /// The version that it is of.
    pub version: Uuid,
    /// Which of its segments it is.
    pub ordinal: u32,
}

/// A segment whose bytes are in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineSegment {
    /// Its row.
    pub row: SegmentRow,
    /// Its bytes, as many as the row says: the database sees to that.
    pub bytes: Bytes,
    /// SHA-256 that they should have.
    pub sha256: Sha256,
    /// The bucket of its object.
    pub bucket: BucketName,
    /// The path of its object.
    pub path: ObjectPath,
}

/// A page of them, in the order of rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InlinePage {
    /// Those that were asked for.
    pub segments: Vec<InlineSegment>,
    /// Where to go on; `None` at the end.
    pub next: Option<SegmentRow>,
}

/// What a scrub asks of rows. An [`Executor`](super::Executor) does it, for the service role alone.
#[async_trait]
pub trait ScrubExecutor: Send + Sync {
    /// Looks at up to `limit` blobs of segments and of parts, and copies of them, of the scope's provider, in the order of their keys and after the given
    /// one, and gives those of the scope's bucket.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn scrub_page(
        &self,
        access: &Access,
        scope: &ScrubScope,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<BlobPage, StorageError>;

    /// What rows say of a blob now; `None` where nothing refers to it any more: it was deleted, or has another name elsewhere.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn referred_blob(
        &self,
        access: &Access,
        key: &BlobKey,
    ) -> Result<Option<ReferredBlob>, StorageError>;

    /// Looks at up to `limit` segments in the order of their rows and after the given one, and gives those whose bytes are in the
    /// database, of one bucket or of all.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn inline_page(
        &self,
        access: &Access,
        bucket: Option<&BucketName>,
        after: Option<SegmentRow>,
        limit: u32,
    ) -> Result<InlinePage, StorageError>;

    /// Has what refers to a bad blob, a segment, a part or the row of a copy, refer to a good one on the same provider; its copies and
    /// entries of the upload queue follow, and the bad one is queued for deletion. `false`, and nothing changed, where nothing refers
    /// to the bad blob any more.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn replace_blob(
        &self,
        access: &Access,
        bad: &ReferredBlob,
        good: &BlobKey,
    ) -> Result<bool, StorageError>;
}
