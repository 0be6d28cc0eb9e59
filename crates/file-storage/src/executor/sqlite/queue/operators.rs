//! What operators do: entries queued again and given up, how many wait, and those forgotten that are long done.

use std::time::Duration;

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::entries::entry;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::columns::ENTRY;
use crate::executor::displaced::{CANCELLED, span};
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::{Caller, builtin, text};
use crate::executor::sqlite::rows::{count, micros, now, str, time};
use crate::executor::{QueueDepth, QueueEntry, QueueReason, QueueStatus};
use crate::permissions::{Access, Permission};

/// Queues an entry again that was given up; one that waits has its turn now, and one that is being copied goes on.
pub(in crate::executor::sqlite) fn retry(
    conn: &Connection,
    access: &Access,
    id: Uuid,
) -> Result<QueueEntry, Fault> {
    change(
        conn,
        access,
        id,
        "queued_at = iif(status = 'failed', :now, queued_at), \
         attempt_count = iif(status = 'failed', 0, attempt_count), \
         next_attempt_at = iif(status = 'failed', :now, min(next_attempt_at, :now)), \
         completed_at = NULL, status = iif(status = 'failed', 'pending', status)",
    )
}

/// Gives an entry up that is not at its end. Who has a claim on it has it no more.
pub(in crate::executor::sqlite) fn cancel(
    conn: &Connection,
    access: &Access,
    id: Uuid,
) -> Result<QueueEntry, Fault> {
    change(
        conn,
        access,
        id,
        &format!(
            "error_message = iif(status = 'failed', error_message, '{CANCELLED}'), \
             completed_at = coalesce(completed_at, :now), leased_by = NULL, leased_until = NULL, status = 'failed'"
        ),
    )
}

/// Changes an entry that is not completed.
fn change(conn: &Connection, access: &Access, id: Uuid, set: &str) -> Result<QueueEntry, Fault> {
    let caller = Caller::from(access.on_rows(Permission::Maintain, None)?);
    let mut statement = conn.prepare_cached(&format!(
        "UPDATE upload_queue SET {set}, updated_at = :now WHERE id = :id AND status <> 'completed' AND {} \
         RETURNING {ENTRY}",
        builtin(Permission::Maintain)
    ))?;
    let mut rows =
        statement.query(named_params! { ":id": text(id), ":now": micros(now()), ":role": caller.role })?;
    let mut changed = None;
    while let Some(row) = rows.next()? {
        changed = Some(entry(row)?);
    }
    match changed {
        Some(entry) => Ok(entry),
        None => Err(missing(conn, id)?.into()),
    }
}

/// Why there was nothing to change.
fn missing(conn: &Connection, id: Uuid) -> Result<StorageError, Fault> {
    let mut statement = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM upload_queue WHERE id = :id)")?;
    let ended = statement.query_row(named_params! { ":id": text(id) }, |row| row.get(0))?;
    Ok(if ended {
        StorageError::QueueEntryEnded { entry: id }
    } else {
        StorageError::QueueEntryNotFound { entry: id }
    })
}

/// Queues entries again that were given up, the oldest first; gives their number.
pub(in crate::executor::sqlite) fn retry_failed(
    conn: &Connection,
    access: &Access,
    limit: u32,
) -> Result<u64, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let queued = conn
        .prepare_cached(
            "UPDATE upload_queue SET status = 'pending', attempt_count = 0, completed_at = NULL, queued_at = :now, \
             next_attempt_at = :now, updated_at = :now WHERE id IN \
             (SELECT id FROM upload_queue WHERE status = 'failed' ORDER BY id LIMIT :limit)",
        )?
        .execute(named_params! { ":now": micros(now()), ":limit": limit })?;
    Ok(queued as u64)
}

/// Entries that are not completed, counted; of a bucket, or of all.
pub(in crate::executor::sqlite) fn depths(
    conn: &Connection,
    access: &Access,
    bucket: Option<&BucketName>,
) -> Result<Vec<QueueDepth>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement = conn.prepare_cached(
        "SELECT source_provider, target_provider, status, reason, count(*), sum(file_size_bytes), min(queued_at) \
         FROM upload_queue WHERE status IN ('pending', 'in_progress', 'failed') AND (:bucket IS NULL OR bucket_id = :bucket) \
         GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    )?;
    let mut rows = statement.query(named_params! { ":bucket": bucket.map(BucketName::as_str) })?;
    let mut depths = Vec::new();
    while let Some(row) = rows.next()? {
        depths.push(QueueDepth {
            source: str(row, 0)?.into(),
            target: str(row, 1)?.into(),
            status: QueueStatus::parse(str(row, 2)?).ok_or_else(|| Fault::corrupt("status"))?,
            reason: QueueReason::parse(str(row, 3)?).ok_or_else(|| Fault::corrupt("reason"))?,
            entries: count(row, 4)?,
            bytes: count(row, 5)?,
            oldest: time(row, 6)?,
        });
    }
    Ok(depths)
}

/// Forgets entries that were completed at least so long ago; gives their number.
pub(in crate::executor::sqlite) fn forget(
    conn: &Connection,
    access: &Access,
    older_than: Duration,
    limit: u32,
) -> Result<u64, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let before = micros(now()).saturating_sub(span(older_than));
    let forgotten = conn
        .prepare_cached(
            "DELETE FROM upload_queue WHERE id IN (SELECT id FROM upload_queue \
             WHERE status = 'completed' AND completed_at <= :before ORDER BY completed_at LIMIT :limit)",
        )?
        .execute(named_params! { ":before": before, ":limit": limit })?;
    Ok(forgotten as u64)
}
