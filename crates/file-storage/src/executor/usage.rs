//! Who uses how much, by the counters and by a recount.

use uuid::Uuid;

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
