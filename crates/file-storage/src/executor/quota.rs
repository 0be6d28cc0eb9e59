//! Quotas, beside those that an upload meets: set, shown, and told of when they fill up.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::errors::StorageError;
use crate::permissions::Access;
use crate::quota::{Quota, QuotaEnforcement, QuotaScope, QuotaSettings};

/// What keeps quotas. An [`Executor`](super::Executor) does, by the same rules.
#[async_trait]
pub trait QuotaExecutor: Send + Sync {
    /// Has the configuration's word hold, for all who share the database, until somebody else's does.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn configure_quotas(&self, settings: &QuotaSettings) -> Result<(), StorageError>;

    /// A quota and what is in use of it, also where none is set. Of a bucket and its folders, those are told who may change
    /// the bucket; of a user, the user and the service role; of all that is stored, the service role.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    async fn quota(&self, access: &Access, scope: &QuotaScope) -> Result<Quota, StorageError>;

    /// The quotas that are set and that the caller is told of: global, users', buckets', folders', each by name.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn quotas(&self, access: &Access, limit: u32) -> Result<Vec<Quota>, StorageError>;

    /// Sets a quota, or takes it off, and gives it back as it then is. One below what is in use is taken, too: nothing new
    /// is let in until there is room again. Whoever writes meanwhile is held to it.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`]; [`StorageError::InvalidRequest`] where too many folders of the bucket have one.
    async fn set_quota(
        &self,
        access: &Access,
        scope: &QuotaScope,
        limit: Option<u64>,
    ) -> Result<Quota, StorageError>;
}

/// The quotas that a write meets beside its bucket's: what is in use, and the limit.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    /// What is done where one is passed.
    pub(super) enforcement: QuotaEnforcement,
    /// Of the object's owner.
    pub(super) user: Option<(u64, u64)>,
    /// Of folders, each with what paths in it begin with.
    pub(super) folders: Vec<(String, (u64, u64))>,
    /// Of all that is stored.
    pub(super) global: Option<(u64, u64)>,
}

/// A folder as people write it, behind its bucket's name.
pub(super) fn folder_name(bucket: &str, prefix: &str) -> Arc<str> {
    format!("{bucket}/{}", prefix.strip_suffix('/').unwrap_or(prefix)).into()
}

/// The kind of the event that tells of a step towards a quota.
pub(super) const WARNING: &str = "storage.quota.warning";

/// The step towards a quota that is reached, in percent: 80, 95, or 100 where it is passed, which only happens where quotas are
/// not enforced. PostgreSQL's triggers say the same.
pub(super) fn step(used: i64, limit: i64) -> u8 {
    let (part, whole) = (i128::from(used).saturating_mul(100), i128::from(limit));
    match () {
        () if used > limit => 100,
        () if part >= whole.saturating_mul(95) => 95,
        () if part >= whole.saturating_mul(80) => 80,
        () => 0,
    }
}

/// What that event tells.
pub(super) fn warning(scope: &str, name: &str, (used, limit): (i64, i64)) -> Value {
    json!({ "scope": scope, "name": name, "used": used, "limit": limit, "percent": step(used, limit) })
}

/// What that event tells where the quota of a bucket or a folder is set: where what is in use makes a step towards the new limit that it had
/// not made towards the one before. Of a user's, or that of everything, nobody is told: an event is a bucket's.
pub(super) fn set_step(
    scope: &QuotaScope,
    used: u64,
    (before, after): (Option<u64>, Option<u64>),
) -> Option<Value> {
    match scope {
        QuotaScope::Bucket(_) | QuotaScope::Folder(..) => {}
        QuotaScope::User(_) | QuotaScope::Global => return None,
    }
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (used, limit) = (number(used), number(after?));
    let known = before.map_or(0, |before| step(used, number(before)));
    let is_new = used > 0 && step(used, limit) > known;
    is_new.then(|| warning(scope.word(), &scope.to_string(), (used, limit)))
}

/// The answer where one folder more is to have a quota than a bucket may have.
pub(super) fn too_many_folders() -> StorageError {
    let most = crate::quota::MAX_FOLDER_QUOTAS;
    StorageError::InvalidRequest { message: format!("at most {most} folders of a bucket have a quota") }
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn steps_are_reached_to_the_byte() {
        let check = |used, limit, expected| assert_eq!(step(used, limit), expected, "{used} of {limit}");
        check(0, 100, 0);
        check(79, 100, 0);
        check(80, 100, 80);
        check(94, 100, 80);
        check(95, 100, 95);
        check(100, 100, 95);
        check(101, 100, 100);
        check(i64::MAX, i64::MAX, 95);
        check(1, 0, 100);
    }
}
