//! What the server's upkeep asks and changes: queued and lost blobs, used nonces, the length of backlogs.

use std::time::Duration;

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::rls::{Caller, builtin, text};
use super::rows::{self, OBJECT, OBJECT_WIDTH, VERSION, blob_key, count, micros, now, str, uuid};
use super::{multipart, versions};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::executor::{Backlog, QueuedBlob, SegmentBlob};
use crate::file::BlobKey;
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// How long a nonce is remembered after its token has died.
const REMEMBERED: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// Blobs whose turn to be deleted has come: those that failed least often first.
pub(super) fn due(
    conn: &Connection,
    access: &Access,
    older_than: Duration,
    limit: u32,
) -> Result<Vec<QueuedBlob>, Fault> {
    let caller = maintainer(access)?;
    let age = chrono::TimeDelta::from_std(older_than).unwrap_or(chrono::TimeDelta::MAX);
    let before = now().checked_sub_signed(age).map_or(i64::MIN, micros);
    let mut statement = conn.prepare_cached(&format!(
        "SELECT d.provider, d.blob_key, d.attempts FROM blob_deletions d \
         WHERE d.queued_at <= :before AND {} ORDER BY d.attempts, d.queued_at LIMIT :limit",
        builtin(Permission::Maintain)
    ))?;
    let mut rows =
        statement.query(named_params! { ":before": before, ":role": caller.role, ":limit": limit })?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        due.push(QueuedBlob {
            provider: str(row, 0)?.to_owned(),
            key: blob_key(row, 1)?,
            attempts: u32::try_from(count(row, 2)?).unwrap_or(u32::MAX),
        });
    }
    Ok(due)
}

/// Forgets blobs that are deleted, and counts an attempt for those that are not.
pub(super) fn finish(
    conn: &Connection,
    access: &Access,
    deleted: &[BlobKey],
    failed: &[BlobKey],
) -> Result<(), Fault> {
    maintainer(access)?;
    let mut forget = conn.prepare_cached("DELETE FROM blob_deletions WHERE blob_key = :key")?;
    for key in deleted {
        forget.execute(named_params! { ":key": key.as_str() })?;
    }
    let mut retry =
        conn.prepare_cached("UPDATE blob_deletions SET attempts = attempts + 1 WHERE blob_key = :key")?;
    for key in failed {
        retry.execute(named_params! { ":key": key.as_str() })?;
    }
    Ok(())
}

/// Which blobs are part of an object or of an unfinished upload, or queued for deletion.
pub(super) fn known(conn: &Connection, access: &Access, keys: &[BlobKey]) -> Result<Vec<BlobKey>, Fault> {
    maintainer(access)?;
    let mut statement = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM storage_segments WHERE blob_key = :key) \
         OR EXISTS (SELECT 1 FROM multipart_parts WHERE blob_key = :key) \
         OR EXISTS (SELECT 1 FROM blob_copies WHERE copy_key = :key) \
         OR EXISTS (SELECT 1 FROM blob_deletions WHERE blob_key = :key)",
    )?;
    let mut known = Vec::new();
    for key in keys {
        if statement.query_row(named_params! { ":key": key.as_str() }, |row| row.get(0))? {
            known.push(key.clone());
        }
    }
    Ok(known)
}

/// Blobs that objects are made of, in the order of their keys.
pub(super) fn segment_blobs(
    conn: &Connection,
    access: &Access,
    provider: &str,
    after: Option<&BlobKey>,
    limit: u32,
) -> Result<Vec<SegmentBlob>, Fault> {
    let caller = maintainer(access)?;
    let mut statement = conn.prepare_cached(&format!(
        "SELECT * FROM (SELECT s.blob_key, s.size, s.version, coalesce(o.bucket_id, v.bucket_id), \
         coalesce(o.path, v.path) FROM storage_segments s LEFT JOIN storage_objects o ON o.version = s.version \
         LEFT JOIN storage_object_versions v ON v.version = s.version \
         WHERE s.blob_key > :after AND s.provider = :provider AND {0} ORDER BY s.blob_key LIMIT :limit) \
         UNION ALL SELECT * FROM (SELECT p.blob_key, p.size, m.id, m.bucket_id, m.path \
         FROM multipart_parts p CROSS JOIN multipart_uploads m ON m.id = p.upload_id \
         WHERE p.blob_key > :after AND p.provider = :provider AND {0} ORDER BY p.blob_key LIMIT :limit) \
         ORDER BY 1 LIMIT :limit",
        builtin(Permission::Maintain)
    ))?;
    let mut rows = statement.query(named_params! {
        ":after": after.map_or("", BlobKey::as_str), ":provider": provider, ":role": caller.role,
        ":limit": limit,
    })?;
    let mut blobs = Vec::new();
    while let Some(row) = rows.next()? {
        blobs.push(SegmentBlob {
            key: blob_key(row, 0)?,
            size: count(row, 1)?,
            version: uuid(row, 2)?,
            bucket: BucketName::parse(str(row, 3)?)?,
            path: ObjectPath::parse(str(row, 4)?)?,
        });
    }
    Ok(blobs)
}

/// Deletes the object of a version, or gives the upload up, whose bytes are lost, while this blob is of it.
pub(super) fn delete_lost(conn: &Connection, access: &Access, lost: &SegmentBlob) -> Result<bool, Fault> {
    let caller = maintainer(access)?;
    let version = lost.version;
    let is_of_it: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM storage_segments WHERE blob_key = :key AND version = :version) \
             OR EXISTS (SELECT 1 FROM multipart_parts WHERE blob_key = :key AND upload_id = :version)",
        )?
        .query_row(named_params! { ":key": lost.key.as_str(), ":version": text(version) }, |row| {
            row.get(0)
        })?;
    if !is_of_it {
        return Ok(false);
    }
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {OBJECT}, 0 FROM storage_objects o WHERE o.version = :version AND {0} \
         UNION ALL SELECT {VERSION}, o.is_delete_marker FROM storage_object_versions o \
         WHERE o.version = :version AND {0}",
        builtin(Permission::Maintain)
    ))?;
    let mut rows = statement.query(named_params! { ":version": text(version), ":role": caller.role })?;
    let lost = match rows.next()? {
        Some(row) => (rows::object(row, 0)?, row.get(OBJECT_WIDTH)?),
        None => return multipart::lost(conn, version),
    };
    drop(rows);
    versions::end(conn, (&lost.0, lost.1), &[("reason", "lost")])?;
    Ok(true)
}

/// Uses a nonce up; `false` where it was before. Also forgets some that are long dead.
pub(super) fn consume_nonce(conn: &Connection, nonce: Uuid, expires_at: Timestamp) -> Result<bool, Fault> {
    let dead = now().checked_sub_signed(REMEMBERED).map_or(i64::MIN, micros);
    conn.prepare_cached(
        "DELETE FROM used_nonces WHERE nonce IN \
         (SELECT nonce FROM used_nonces WHERE expires_at < :dead ORDER BY expires_at LIMIT 10)",
    )?
    .execute(named_params! { ":dead": dead })?;
    let first = conn
        .prepare_cached(
            "INSERT INTO used_nonces (nonce, expires_at) VALUES (:nonce, :expires) ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! { ":nonce": text(nonce), ":expires": micros(expires_at) })?;
    Ok(first == 1)
}

/// Makes a nonce good again.
pub(super) fn give_back_nonce(conn: &Connection, nonce: Uuid) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM used_nonces WHERE nonce = :nonce")?
        .execute(named_params! { ":nonce": text(nonce) })?;
    Ok(())
}

/// Whether a nonce was used up.
pub(super) fn is_nonce_used(conn: &Connection, nonce: Uuid) -> Result<bool, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM used_nonces WHERE nonce = :nonce)")?;
    Ok(statement.query_row(named_params! { ":nonce": text(nonce) }, |row| row.get(0))?)
}

/// How much there is to do.
pub(super) fn backlog(conn: &Connection, access: &Access) -> Result<Backlog, Fault> {
    maintainer(access)?;
    let mut statement = conn.prepare_cached(
        "SELECT (SELECT count(*) FROM blob_deletions), coalesce(sum(file_count), 0), count(*), \
         (SELECT min(queued_at) FROM blob_deletions) FROM storage_buckets",
    )?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(Backlog::default()) };
    let oldest: Option<i64> = row.get(3)?;
    Ok(Backlog {
        pending_deletions: count(row, 0)?,
        objects: count(row, 1)?,
        buckets: count(row, 2)?,
        oldest_deletion: oldest.and_then(Timestamp::from_timestamp_micros),
    })
}

fn maintainer(access: &Access) -> Result<Caller, Fault> {
    Ok(Caller::from(access.on_rows(Permission::Maintain, None)?))
}
