//! What runners do: claims, taken, renewed and ended, and how far jobs have come.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, named_params};
use serde_json::Value;
use uuid::Uuid;

use super::rows::job;
use crate::executor::columns::{JOB, JOB_WIDTH};
use crate::executor::displaced::span;
use crate::executor::job::{MOST_ATTEMPTS, caller_of_json, given_up};
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{int, json, micros, now};
use crate::executor::{ClaimedJob, Job, JobEnd, JobKind, JobProgress};
use crate::permissions::{Access, Permission};

/// The oldest job that anybody may take. A user has one running at a time, so that their hundred leave places to others.
pub(in crate::executor::sqlite) const DUE: &str = "SELECT id FROM jobs WHERE status IN ('pending', 'running') \
     AND (leased_until <= :now OR (status = 'pending' AND (user_id IS NULL OR user_id NOT IN ( \
         SELECT user_id FROM jobs WHERE status = 'running' AND leased_until > :now AND user_id IS NOT NULL)))) \
     AND kind IN (SELECT value FROM json_each(:kinds)) \
     ORDER BY id LIMIT 1";

/// Has the claims of a server that does not run any more be over, by whatever clock they were made: asked where nobody else has the
/// database open. The jobs stay `running`, so that one which takes every server down is given up after its attempts.
pub(in crate::executor::sqlite) fn end_claims(conn: &Connection) -> Result<(), Fault> {
    conn.execute("UPDATE jobs SET leased_until = 0 WHERE status = 'running'", [])?;
    Ok(())
}

/// Takes the oldest job that anybody may take.
pub(in crate::executor::sqlite) fn claim(
    conn: &Connection,
    access: &Access,
    worker: Uuid,
    kinds: &[JobKind],
    lease: Duration,
) -> Result<Option<ClaimedJob>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let now = micros(now());
    conn.prepare_cached(
        "UPDATE jobs SET status = 'failed', completed_at = :now, error = :error, leased_by = NULL, \
         leased_until = NULL, updated_at = :now \
         WHERE status = 'running' AND leased_until <= :now AND attempts >= :most",
    )?
    .execute(named_params! { ":now": now, ":error": as_json(&given_up())?, ":most": MOST_ATTEMPTS })?;
    let words: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let due: Option<String> = conn
        .prepare_cached(DUE)?
        .query_row(named_params! { ":now": now, ":kinds": Value::from(words).to_string() }, |row| row.get(0))
        .optional()?;
    let Some(id) = due else { return Ok(None) };
    let mut take = conn.prepare_cached(&format!(
        "UPDATE jobs SET status = 'running', attempts = attempts + 1, started_at = coalesce(started_at, :now), \
         leased_by = :worker, leased_until = :until, updated_at = :now WHERE id = :id RETURNING {JOB}, caller, state"
    ))?;
    let mut rows = take.query(named_params! {
        ":id": id, ":now": now, ":worker": text(worker), ":until": now.saturating_add(span(lease)),
    })?;
    let mut claimed = None;
    while let Some(row) = rows.next()? {
        let job = job(row)?;
        let caller = caller_of_json(json(row, JOB_WIDTH, "caller of a job")?, job.id);
        let caller = caller.ok_or_else(|| Fault::corrupt("caller of a job"))?;
        let state = json(row, JOB_WIDTH + 1, "state of a job")?;
        claimed = Some(ClaimedJob { progress: job.progress(state), job, caller });
    }
    Ok(claimed)
}

/// Lengthens a claim; whether somebody wants the job to end.
pub(in crate::executor::sqlite) fn renew(
    conn: &Connection,
    access: &Access,
    worker: Uuid,
    id: Uuid,
    lease: Duration,
) -> Result<Option<bool>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let until = micros(now()).saturating_add(span(lease));
    let mut statement = conn.prepare_cached(
        "UPDATE jobs SET leased_until = :until WHERE id = :id AND status = 'running' AND leased_by = :worker \
         RETURNING cancel_requested",
    )?;
    let values = named_params! { ":id": text(id), ":worker": text(worker), ":until": until };
    Ok(statement.query_row(values, |row| row.get(0)).optional()?)
}

/// Writes down how far a job has come; whether somebody wants it to end.
pub(in crate::executor::sqlite) fn save(
    conn: &Connection,
    access: &Access,
    worker: Uuid,
    id: Uuid,
    progress: &JobProgress,
    lease: Duration,
) -> Result<Option<bool>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let now = micros(now());
    let mut statement = conn.prepare_cached(
        "UPDATE jobs SET state = :state, done = :done, bytes = :bytes, total = :total, failures = :failures, \
         report = :report, attempts = 0, leased_until = :until, updated_at = :now \
         WHERE id = :id AND status = 'running' AND leased_by = :worker RETURNING cancel_requested",
    )?;
    let values = named_params! {
        ":id": text(id), ":worker": text(worker), ":state": progress.state.to_string(),
        ":done": int(progress.done), ":bytes": int(progress.bytes), ":total": progress.total.map(int),
        ":failures": int(progress.failures), ":report": as_json(&progress.report)?,
        ":until": now.saturating_add(span(lease)), ":now": now,
    };
    Ok(statement.query_row(values, |row| row.get(0)).optional()?)
}

/// Ends a claim, and mostly the job.
pub(in crate::executor::sqlite) fn end(
    conn: &Connection,
    access: &Access,
    worker: Uuid,
    id: Uuid,
    end: &JobEnd,
    progress: &JobProgress,
) -> Result<Option<Job>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let (status, error) = match end {
        JobEnd::Completed => ("'completed'", None),
        JobEnd::Failed(error) => ("'failed'", Some(as_json(error)?)),
        JobEnd::Cancelled => ("'cancelled'", None),
        JobEnd::GivenBack => ("iif(cancel_requested, 'cancelled', 'pending')", None),
    };
    let mut statement = conn.prepare_cached(&format!(
        "UPDATE jobs SET status = {status}, completed_at = iif({status} = 'pending', NULL, :now), error = :error, \
         attempts = max(attempts - 1, 0), state = :state, done = :done, bytes = :bytes, total = :total, \
         failures = :failures, report = :report, leased_by = NULL, leased_until = NULL, updated_at = :now \
         WHERE id = :id AND status = 'running' AND leased_by = :worker RETURNING {JOB}"
    ))?;
    let mut rows = statement.query(named_params! {
        ":id": text(id), ":worker": text(worker), ":error": error, ":state": progress.state.to_string(),
        ":done": int(progress.done), ":bytes": int(progress.bytes), ":total": progress.total.map(int),
        ":failures": int(progress.failures), ":report": as_json(&progress.report)?, ":now": micros(now()),
    })?;
    let mut ended = None;
    while let Some(row) = rows.next()? {
        ended = Some(job(row)?);
    }
    Ok(ended)
}

/// Forgets jobs that ended at least so long ago; gives their number.
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
            "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs \
             WHERE completed_at IS NOT NULL AND completed_at <= :before \
             AND id IS NOT (SELECT id FROM jobs WHERE kind = 'scrub' ORDER BY id DESC LIMIT 1) \
             ORDER BY completed_at LIMIT :limit)",
        )?
        .execute(named_params! { ":before": before, ":limit": limit })?;
    Ok(forgotten as u64)
}

fn as_json<T: serde::Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|_| Fault::corrupt("job"))
}
