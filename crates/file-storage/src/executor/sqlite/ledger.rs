//! Usage counters: of each bucket and each user, changed in the transaction that changes the object.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::quotas::{self, USER_QUOTA};
use super::rls::text;
use super::rows::{int, micros};
use crate::Timestamp;
use crate::bucket::Bucket;
use crate::multipart::MultipartUpload;

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

/// Changes a bucket's counters. Whether the change fits was asked before ([`fits_in_bucket`]).
pub(super) fn count_in_bucket(conn: &Connection, bucket: &str, change: Change) -> Result<(), Fault> {
    let counted = conn
        .prepare_cached(
            "UPDATE storage_buckets SET file_count = file_count + :files, total_bytes = total_bytes + :bytes \
             WHERE id = :bucket RETURNING total_bytes + unfinished_bytes, quota_bytes",
        )?
        .query_row(
            named_params! { ":files": change.files, ":bytes": change.bytes(), ":bucket": bucket },
            total_and_quota,
        )
        .optional()?;
    match counted {
        Some(counted) => quotas::note(conn, ("bucket", bucket, bucket), counted, change.bytes()),
        None => Ok(()),
    }
}

/// Changes a user's counters, where the object has an owner, and refuses to go over the user's quota. The bucket is the one
/// that the object is in.
pub(super) fn count_for_owner(
    conn: &Connection,
    owner: Option<Uuid>,
    bucket: &str,
    change: Change,
    now: Timestamp,
) -> Result<(), Fault> {
    let Some(owner) = owner.map(text) else { return Ok(()) };
    static UPDATE: LazyLock<String> = LazyLock::new(|| {
        format!(
            "UPDATE storage_usage SET file_count = file_count + :files, total_bytes = total_bytes + :bytes, \
             updated_at = :now WHERE user_id = :user RETURNING total_bytes + unfinished_bytes, {USER_QUOTA}"
        )
    });
    static INSERT: LazyLock<String> = LazyLock::new(|| {
        format!(
            "INSERT INTO storage_usage \
             (id, user_id, file_count, total_bytes, last_calculated_at, created_at, updated_at) \
             VALUES (:id, :user, :files, :bytes, :now, :now, :now) \
             RETURNING total_bytes + unfinished_bytes, {USER_QUOTA}"
        )
    });
    let counted = conn
        .prepare_cached(&UPDATE)?
        .query_row(
            named_params! {
                ":files": change.files, ":bytes": change.bytes(), ":now": micros(now), ":user": owner,
            },
            total_and_quota,
        )
        .optional()?;
    let counted = match counted {
        Some(counted) => counted,
        None => conn.prepare_cached(&INSERT)?.query_row(
            named_params! {
                ":id": text(Uuid::now_v7()), ":user": owner,
                ":files": change.files, ":bytes": change.bytes(), ":now": micros(now),
            },
            total_and_quota,
        )?,
    };
    hold(conn, ("user", &owner), counted, change)?;
    quotas::note(conn, ("user", &owner, bucket), counted, change.bytes())
}

/// Refuses a change that does not fit in a bucket's quota.
pub(super) fn fits_in_bucket(conn: &Connection, bucket: &Bucket, change: Change) -> Result<(), Fault> {
    let total = int(bucket.used_bytes()).saturating_add(change.bytes());
    let name = ("bucket", bucket.name.as_str());
    hold(conn, name, (total, bucket.config.quota_bytes.map(int)), change)
}

/// Whom the bytes of an unfinished upload count for.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    /// The upload.
    pub(super) upload: Uuid,
    /// Its bucket.
    pub(super) bucket: String,
    /// Who began it.
    pub(super) owner: Option<Uuid>,
}

impl Holder {
    /// That of an upload.
    pub(super) fn of(upload: &MultipartUpload) -> Self {
        Self { upload: upload.at.id, bucket: upload.at.bucket.as_str().to_owned(), owner: upload.owner_id }
    }
}

/// Counts bytes that an unfinished upload holds more, or fewer, and refuses to go over a quota.
pub(super) fn count_unfinished(
    conn: &Connection,
    upload: &MultipartUpload,
    added: u64,
    returned: u64,
    now: Timestamp,
) -> Result<(), Fault> {
    count_held(conn, &Holder::of(upload), Change { files: 0, added, returned }, now)
}

/// Gives back what an unfinished upload holds.
pub(super) fn release_unfinished(
    conn: &Connection,
    holder: &Holder,
    bytes: u64,
    now: Timestamp,
) -> Result<(), Fault> {
    if bytes == 0 {
        return Ok(());
    }
    count_held(conn, holder, Change { files: 0, added: 0, returned: bytes }, now)
}

fn count_held(conn: &Connection, holder: &Holder, change: Change, now: Timestamp) -> Result<(), Fault> {
    let (bytes, bucket) = (change.bytes(), holder.bucket.as_str());
    conn.prepare_cached("UPDATE multipart_uploads SET held_bytes = held_bytes + :bytes WHERE id = :id")?
        .execute(named_params! { ":bytes": bytes, ":id": text(holder.upload) })?;
    static FOR_OWNER: LazyLock<String> = LazyLock::new(|| {
        format!(
            "UPDATE storage_usage SET unfinished_bytes = unfinished_bytes + :bytes, updated_at = :now \
             WHERE user_id = :user RETURNING total_bytes + unfinished_bytes, {USER_QUOTA}"
        )
    });
    let counted = conn
        .prepare_cached(
            "UPDATE storage_buckets SET unfinished_bytes = unfinished_bytes + :bytes WHERE id = :bucket \
             RETURNING total_bytes + unfinished_bytes, quota_bytes",
        )?
        .query_row(named_params! { ":bytes": bytes, ":bucket": bucket }, total_and_quota)?;
    hold(conn, ("bucket", bucket), counted, change)?;
    quotas::note(conn, ("bucket", bucket, bucket), counted, bytes)?;
    let Some(owner) = holder.owner.map(text) else { return Ok(()) };
    conn.prepare_cached(
        "INSERT INTO storage_usage (id, user_id, last_calculated_at, created_at, updated_at) \
         VALUES (:id, :user, :now, :now, :now) ON CONFLICT (user_id) DO NOTHING",
    )?
    .execute(named_params! { ":id": text(Uuid::now_v7()), ":user": owner, ":now": micros(now) })?;
    let counted = conn
        .prepare_cached(&FOR_OWNER)?
        .query_row(named_params! { ":bytes": bytes, ":now": micros(now), ":user": owner }, total_and_quota)?;
    hold(conn, ("user", &owner), counted, change)?;
    quotas::note(conn, ("user", &owner, bucket), counted, bytes)
}

fn total_and_quota(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, Option<i64>)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Refuses what brings a counter over its quota.
fn hold(
    conn: &Connection,
    named: (&'static str, &str),
    counted: (i64, Option<i64>),
    change: Change,
) -> Result<(), Fault> {
    let requested = change.added.saturating_sub(change.returned);
    quotas::hold(conn, named, counted, (change.bytes(), requested))
}
