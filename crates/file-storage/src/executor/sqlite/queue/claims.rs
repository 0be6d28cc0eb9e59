//! What workers do: claims, taken and renewed, and how attempts end.

use std::time::Duration;

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use super::copies;
use super::entries::entry;
use crate::Timestamp;
use crate::executor::columns::{ENTRY, ENTRY_WIDTH};
use crate::executor::displaced::{WORKER_ENDED, span, words};
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{blob_key, int, micros, now, opt_digest};
use crate::executor::{AttemptEnd, Claim, ClaimedEntries, ClaimedEntry, QueueEntry, QueueReason};
use crate::file::BlobKey;
use crate::permissions::{Access, Permission};

/// Takes entries whose turn has come. Claims that ended by themselves are anybody's first.
pub(in crate::executor::sqlite) fn claim(
    conn: &Connection,
    access: &Access,
    claim: &Claim,
) -> Result<ClaimedEntries, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let now = now();
    let given_up = end_expired(conn, now)?;
    let due = due(conn, claim, now)?;
    let mut take = conn.prepare_cached(&format!(
        "UPDATE upload_queue SET status = 'in_progress', attempt_count = attempt_count + 1, started_at = :now, \
         leased_by = :worker, leased_until = :until, updated_at = :now WHERE id = :id AND status = 'pending' \
         RETURNING {ENTRY}, blob_key, coalesce(\
             (SELECT s.sha256 FROM storage_segments s WHERE s.blob_key = upload_queue.blob_key), \
             (SELECT p.sha256 FROM multipart_parts p WHERE p.blob_key = upload_queue.blob_key))"
    ))?;
    let (mut entries, mut aimless) = (Vec::with_capacity(due.len()), Vec::new());
    for id in due {
        let mut rows = take.query(named_params! {
            ":id": id, ":now": micros(now), ":worker": text(claim.worker),
            ":until": micros(now).saturating_add(span(claim.lease)),
        })?;
        while let Some(row) = rows.next()? {
            // Without one, nothing refers to the blob: entries go with their blobs, but one that did not must not stop the others.
            match opt_digest(row, ENTRY_WIDTH + 1)? {
                Some(sha256) => {
                    let (entry, key) = (entry(row)?, blob_key(row, ENTRY_WIDTH)?);
                    entries.push(ClaimedEntry { entry, key, sha256 });
                }
                None => aimless.push(id.clone()),
            }
        }
    }
    let mut forget = conn.prepare_cached("DELETE FROM upload_queue WHERE id = :id")?;
    for id in aimless {
        forget.execute(named_params! { ":id": id })?;
    }
    Ok(ClaimedEntries { entries, given_up })
}

/// Takes claims back that nobody renewed; gives what was at its last attempt.
fn end_expired(conn: &Connection, now: Timestamp) -> Result<Vec<QueueEntry>, Fault> {
    let now = micros(now);
    let mut statement = conn.prepare_cached(&give_up_sql())?;
    let mut rows = statement.query(named_params! { ":now": now, ":error": WORKER_ENDED })?;
    let mut given_up = Vec::new();
    while let Some(row) = rows.next()? {
        given_up.push(entry(row)?);
    }
    conn.prepare_cached(TAKE_BACK)?.execute(named_params! { ":now": now, ":error": WORKER_ENDED })?;
    Ok(given_up)
}

/// What was claimed, and nobody renewed. The index is named, as without statistics SQLite reads all that is claimed, each time.
const TAKE_BACK: &str = "UPDATE upload_queue INDEXED BY upload_queue_by_lease SET status = 'pending', next_attempt_at = :now, \
     error_message = :error, leased_by = NULL, leased_until = NULL, updated_at = :now \
     WHERE status = 'in_progress' AND leased_until <= :now";

fn give_up_sql() -> String {
    format!(
        "UPDATE upload_queue INDEXED BY upload_queue_by_lease SET status = 'failed', completed_at = :now, \
         error_message = :error, leased_by = NULL, leased_until = NULL, updated_at = :now \
         WHERE status = 'in_progress' AND leased_until <= :now AND attempt_count >= max_attempts RETURNING {ENTRY}"
    )
}

/// What looks for claims that nobody renewed.
#[cfg(test)]
pub(in crate::executor::sqlite) fn expired_sql() -> [String; 2] {
    [give_up_sql(), TAKE_BACK.to_owned()]
}

/// Entries of each way, as many as may be taken of all, by their turn.
pub(in crate::executor::sqlite) const DUE: &str = "SELECT next_attempt_at, id FROM upload_queue WHERE status = 'pending' \
     AND target_provider = :target AND source_provider = :source AND next_attempt_at <= :now \
     ORDER BY next_attempt_at LIMIT :limit";

fn due(conn: &Connection, claim: &Claim, now: Timestamp) -> Result<Vec<String>, Fault> {
    let mut statement = conn.prepare_cached(DUE)?;
    let mut due: Vec<(i64, String)> = Vec::new();
    for target in &claim.targets {
        for source in &claim.sources {
            let mut rows = statement.query(named_params! {
                ":target": target.as_ref(), ":source": source.as_ref(), ":now": micros(now), ":limit": claim.limit,
            })?;
            while let Some(row) = rows.next()? {
                due.push((row.get(0)?, row.get(1)?));
            }
        }
    }
    due.sort_unstable();
    let limit = usize::try_from(claim.limit).unwrap_or(usize::MAX);
    Ok(due.into_iter().take(limit).map(|(_, id)| id).collect())
}

/// Lengthens a worker's claims; gives those that it still has.
pub(in crate::executor::sqlite) fn renew(
    conn: &Connection,
    access: &Access,
    worker: Uuid,
    entries: &[Uuid],
    lease: Duration,
) -> Result<Vec<Uuid>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let until = micros(now()).saturating_add(span(lease));
    let mut statement = conn.prepare_cached(
        "UPDATE upload_queue SET leased_until = :until \
         WHERE id = :id AND status = 'in_progress' AND leased_by = :worker",
    )?;
    let mut held = Vec::with_capacity(entries.len());
    for id in entries {
        let values = named_params! { ":id": text(*id), ":worker": text(worker), ":until": until };
        if statement.execute(values)? == 1 {
            held.push(*id);
        }
    }
    Ok(held)
}

/// Has the segment, or the part, of an entry's blob refer to the copy, and completes the entry.
pub(in crate::executor::sqlite) fn complete(
    conn: &Connection,
    access: &Access,
    worker: Uuid,
    claimed: &ClaimedEntry,
    copy: &BlobKey,
    keeps_source: bool,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let now = micros(now());
    if claimed.entry.reason == QueueReason::Copy {
        return copies::complete(conn, worker, claimed, copy, now);
    }
    let target = claimed.entry.target.as_ref();
    let completed = conn
        .prepare_cached(
            "UPDATE upload_queue SET status = 'completed', completed_at = :now, error_message = NULL, \
             leased_by = NULL, leased_until = NULL, updated_at = :now \
             WHERE id = :id AND status = 'in_progress' AND leased_by = :worker AND blob_key = :key \
             AND target_provider = :target AND (EXISTS (SELECT 1 FROM storage_segments WHERE blob_key = :key) \
                 OR EXISTS (SELECT 1 FROM multipart_parts WHERE blob_key = :key))",
        )?
        .execute(named_params! {
            ":id": text(claimed.entry.id), ":worker": text(worker), ":key": claimed.key.as_str(), ":target": target,
            ":now": now,
        })?;
    if completed != 1 {
        return Ok(false);
    }
    flip(conn, &claimed.key, copy, target)?;
    // Before the old blob is let go of, with which they would go.
    copies::follow(conn, (&claimed.key, copy), target, now)?;
    let source = claimed.entry.source.as_ref();
    if !keeps_source || !copies::keep(conn, (&claimed.key, copy), source, now)? {
        conn.prepare_cached(
            "INSERT INTO blob_deletions (blob_key, provider, size, queued_at) VALUES (:key, :source, :size, :now)",
        )?
        .execute(named_params! {
            ":key": claimed.key.as_str(), ":source": source, ":size": int(claimed.entry.size), ":now": now,
        })?;
    }
    Ok(true)
}

/// Has the segment, or the part, of a blob refer to another one on this provider; gives how many of them did.
pub(super) fn flip(conn: &Connection, from: &BlobKey, to: &BlobKey, provider: &str) -> Result<usize, Fault> {
    let mut flipped = 0;
    for table in ["storage_segments", "multipart_parts"] {
        flipped += conn
            .prepare_cached(&format!(
                "UPDATE {table} SET provider = :provider, blob_key = :to WHERE blob_key = :from"
            ))?
            .execute(named_params! { ":provider": provider, ":to": to.as_str(), ":from": from.as_str() })?;
    }
    Ok(flipped)
}

/// Gives an entry back that was not copied, or gives it up.
pub(in crate::executor::sqlite) fn end(
    conn: &Connection,
    access: &Access,
    worker: Uuid,
    id: Uuid,
    end: &AttemptEnd,
) -> Result<Option<QueueEntry>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let now = micros(now());
    // What becomes of it: the status, attempts that do not count, when it is tried again, and what is told.
    let (status, uncounted, after, error) = match end {
        AttemptEnd::Again { after, error } => {
            ("iif(attempt_count >= max_attempts, 'failed', 'pending')", 0, Some(after), Some(error))
        }
        AttemptEnd::NotTried { after, error } => ("'pending'", 1, Some(after), error.as_ref()),
        AttemptEnd::GivenUp { error } => ("'failed'", 0, None, Some(error)),
    };
    let mut statement = conn.prepare_cached(&format!(
        "UPDATE upload_queue SET status = {status}, \
         completed_at = iif({status} = 'failed', :now, NULL), attempt_count = max(attempt_count - :uncounted, 0), \
         next_attempt_at = coalesce(:next, next_attempt_at), error_message = coalesce(:error, error_message), \
         leased_by = NULL, leased_until = NULL, updated_at = :now \
         WHERE id = :id AND status = 'in_progress' AND leased_by = :worker RETURNING {ENTRY}"
    ))?;
    let mut rows = statement.query(named_params! {
        ":id": text(id), ":worker": text(worker), ":now": now, ":uncounted": uncounted,
        ":next": after.map(|after| now.saturating_add(span(*after))), ":error": error.map(|error| words(error)),
    })?;
    let mut ended = None;
    while let Some(row) = rows.next()? {
        ended = Some(entry(row)?);
    }
    Ok(ended)
}
