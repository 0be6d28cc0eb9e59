//! What a run of the orphan job found and did.

use crate::backend::BlobInfo;
use crate::bucket::BucketName;
use crate::executor::SegmentBlob;
use crate::file::BlobKey;
use crate::path::ObjectPath;

/// Blobs, and objects, that a report names at most.
const NAMED: usize = 100;

/// A blob without metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanBlob {
    /// The provider that has it.
    pub provider: String,
    /// Its name there.
    pub key: BlobKey,
    /// Its length, in bytes.
    pub size: u64,
}

/// An object, or an unfinished upload, of which a blob is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingBlob {
    /// The provider that should have it.
    pub provider: String,
    /// The object's bucket.
    pub bucket: BucketName,
    /// The object's path.
    pub path: ObjectPath,
}

/// What a run found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanupReport {
    /// Blobs without metadata, past the grace time.
    pub orphan_blobs: u64,
    /// Their bytes.
    pub orphan_bytes: u64,
    /// Objects whose blob is missing.
    pub missing_blobs: u64,
    /// Objects whose blob has another length than it should. Reported, never deleted.
    pub damaged_blobs: u64,
    /// Copies that are not where they should be, or have another length. They are made anew, and their objects stay.
    pub missing_copies: u64,
    /// Orphans that this run deleted.
    pub deleted_blobs: u64,
    /// Rows of lost objects that this run deleted.
    pub deleted_rows: u64,
    /// Blobs that wait for their ordinary deletion.
    pub pending_deletions: u64,
    /// Why the run did not touch rows, or blobs, where something looked wrong.
    pub halted: Option<String>,
    /// The first orphans.
    pub orphans: Vec<OrphanBlob>,
    /// The first objects whose blob is missing.
    pub missing: Vec<MissingBlob>,
}

impl CleanupReport {
    /// Counts an orphan, and names it if it is one of the first.
    pub(super) fn add_orphan(&mut self, provider: &str, orphan: &BlobInfo) {
        self.orphan_blobs += 1;
        self.orphan_bytes += orphan.size;
        if self.orphans.len() < NAMED {
            let (provider, key, size) = (provider.to_owned(), orphan.key.clone(), orphan.size);
            self.orphans.push(OrphanBlob { provider, key, size });
        }
    }

    /// Names objects whose blob is missing, as far as there is room.
    pub(super) fn add_missing(&mut self, provider: &str, missing: &[SegmentBlob]) {
        let left = NAMED.saturating_sub(self.missing.len());
        self.missing.extend(missing.iter().take(left).map(|segment| MissingBlob {
            provider: provider.to_owned(),
            bucket: segment.bucket.clone(),
            path: segment.path.clone(),
        }));
    }
}
