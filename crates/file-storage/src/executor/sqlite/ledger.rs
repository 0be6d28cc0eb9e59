//! Usage counters: of each bucket and each user, changed in the transaction that changes the object.

use rusqlite::{Connection, OptionalExtension, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::rls::text;
use super::rows::{int, micros};
use crate::Timestamp;
use crate::bucket::Bucket;
use crate::errors::StorageError;

/// A change of what a bucket holds and of what an owner has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Change {
    /// Objects more, or fewer.
    pub(super) files: i64,
    /// Bytes that come.
    pub(super) added: u64,
    /// Bytes that go.
    pub(super) returned: u64,
}

impl Change {
    fn bytes(self) -> i64 {
        int(self.added).saturating_sub(int(self.returned))
    }
}

/// Changes a bucket's counters.
pub(super) fn count_in_bucket(conn: &Connection, bucket: &str, change: Change) -> Result<(), Fault> {
    conn.prepare_cached(
        "UPDATE storage_buckets SET file_count = file_count + :files, total_bytes = total_bytes + :bytes \
         WHERE id = :bucket",
    )?
    .execute(named_params! { ":files": change.files, ":bytes": change.bytes(), ":bucket": bucket })?;
    Ok(())
}

/// Changes a user's counters, where the object has an owner, and refuses to go over the user's quota.
pub(super) fn count_for_owner(
    conn: &Connection,
    owner: Option<Uuid>,
    change: Change,
    now: Timestamp,
) -> Result<(), Fault> {
    let Some(owner) = owner.map(text) else { return Ok(()) };
    let counted = conn
        .prepare_cached(
            "UPDATE storage_usage SET file_count = file_count + :files, total_bytes = total_bytes + :bytes, \
             updated_at = :now WHERE user_id = :user RETURNING total_bytes, quota_bytes",
        )?
        .query_row(
            named_params! {
                ":files": change.files, ":bytes": change.bytes(), ":now": micros(now), ":user": owner,
            },
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?)),
        )
        .optional()?;
    match counted {
        Some((total, Some(limit))) if total > limit && change.bytes() > 0 => {
            let used = u64::try_from(total.saturating_sub(change.bytes())).unwrap_or(0);
            Err(over("user", used, u64::try_from(limit).unwrap_or(0), change))
        }
        Some(_) => Ok(()),
        None => {
            conn.prepare_cached(
                "INSERT INTO storage_usage \
                 (id, user_id, file_count, total_bytes, last_calculated_at, created_at, updated_at) \
                 VALUES (:id, :user, :files, :bytes, :now, :now, :now)",
            )?
            .execute(named_params! {
                ":id": text(Uuid::now_v7()), ":user": owner,
                ":files": change.files, ":bytes": change.bytes(), ":now": micros(now),
            })?;
            Ok(())
        }
    }
}

/// Refuses a change that does not fit in a bucket's quota.
pub(super) fn fits_in_bucket(bucket: &Bucket, change: Change) -> Result<(), Fault> {
    match bucket.config.quota_bytes {
        Some(limit)
            if change.bytes() > 0 && int(bucket.total_bytes).saturating_add(change.bytes()) > int(limit) =>
        {
            Err(over("bucket", bucket.total_bytes, limit, change))
        }
        _ => Ok(()),
    }
}

fn over(scope: &'static str, used: u64, limit: u64, change: Change) -> Fault {
    let requested = change.added.saturating_sub(change.returned);
    StorageError::QuotaExceeded { scope, used, limit, requested }.into()
}
