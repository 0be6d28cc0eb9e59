//! Who uses how much, by the counters and by a recount.

use uuid::Uuid;

use super::successor;
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::quota::FolderPath;

/// By what usage is told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UsageBy {
    /// By owner. What nobody owns is told of without a name.
    User,
    /// By bucket.
    Bucket,
    /// By the provider that the bytes are on. What the database keeps itself is told of without a name.
    Provider,
    /// Of one bucket, or of one folder in it.
    Folder(BucketName, Option<FolderPath>),
}

impl UsageBy {
    /// The bucket, the first path, and the first path after them, of one bucket or folder.
    pub(super) fn range(bucket: &BucketName, folder: Option<&FolderPath>) -> (String, String, String) {
        let prefix = folder.map_or("", FolderPath::as_str);
        // What comes above every path, as the greatest character repeated.
        let until = successor(prefix).unwrap_or_else(|| "\u{10ffff}".repeat(257));
        (bucket.as_str().to_owned(), prefix.to_owned(), until)
    }
}

/// What some objects take together, by a look at all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsageGroup {
    /// The user's id, the bucket's name, the provider's name, or the bucket and the folder in it.
    pub name: Option<String>,
    /// Number of objects.
    pub file_count: u64,
    /// Bytes of objects.
    pub object_bytes: u64,
    /// Bytes of older versions of objects.
    pub version_bytes: u64,
    /// When the oldest object was made; `None` where there is none.
    pub oldest: Option<Timestamp>,
    /// When the newest object was made.
    pub newest: Option<Timestamp>,
}

/// Usage counters of a user (SPEC 4, `storage_usage`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserUsage {
    /// The user; `None` for a service caller without one.
    pub user_id: Option<Uuid>,
    /// Bytes of all objects that the user owns.
    pub total_bytes: u64,
    /// Bytes that the user's unfinished uploads hold.
    pub unfinished_bytes: u64,
    /// Number of those objects.
    pub file_count: u64,
    /// The user's quota, in bytes; `None` means unlimited.
    pub quota_bytes: Option<u64>,
}

/// A counter that a recount did not confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDifference {
    /// `user`, `bucket`, `folder` or `global`.
    pub scope: &'static str,
    /// The user's id, the bucket's name, or the bucket and the folder in it; nothing for all that is stored.
    pub name: String,
    /// Bytes by the counter, and by the recount.
    pub bytes: (u64, u64),
    /// Objects by the counter, and by the recount.
    pub files: (u64, u64),
    /// Bytes of unfinished uploads by the counter, and by the recount.
    pub unfinished: (u64, u64),
}

impl UsageDifference {
    /// The word of a scope, as the database has it.
    pub(super) fn scope(word: &str) -> &'static str {
        ["user", "folder", "global"].into_iter().find(|known| *known == word).unwrap_or("bucket")
    }
}
