//! Jobs as rows: made, shown, listed, and cancelled.

use rusqlite::{Connection, Row, ToSql, named_params};
use serde_json::Value;
use uuid::Uuid;

use crate::errors::StorageError;
use crate::executor::columns::JOB;
use crate::executor::job::caller_to_json;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::{Caller, builtin, text};
use crate::executor::sqlite::rows::{
    count, json, metadata, micros, now, opt_count, opt_uuid, str, time, uuid,
};
use crate::executor::{Job, JobKind, JobListing, JobStatus, NewJob};
use crate::permissions::{Access, Permission};

/// Writes a job down, unless its caller has too many of them.
pub(in crate::executor::sqlite) fn create(
    conn: &Connection,
    access: &Access,
    job: &NewJob,
) -> Result<Job, Fault> {
    let context = access.on_rows(Permission::JobRead, None)?;
    // Whatever its token says: the service role has a bound of its own, and users do not see what it asks for.
    let user = if context.is_service() { None } else { context.user_id() };
    if job.kind.is_alone() {
        refuse_second(conn, job.kind)?;
    }
    let limit = NewJob::most_before(user);
    let mut statement = conn.prepare_cached(&format!(
        "INSERT INTO jobs (id, kind, caller, user_id, params, dry_run, created_at, updated_at) \
         SELECT :id, :kind, :caller, :user, :params, :dry, :now, :now \
         WHERE (SELECT count(*) FROM (SELECT 1 FROM jobs WHERE user_id IS :user \
             AND status IN ('pending', 'running') LIMIT :limit)) < :limit RETURNING {JOB}"
    ))?;
    let mut rows = statement.query(named_params! {
        ":id": text(job.id), ":kind": job.kind.as_str(), ":caller": caller_to_json(context).to_string(),
        ":user": user.map(text), ":params": Value::Object(job.params.clone()).to_string(), ":dry": job.dry_run,
        ":now": micros(now()), ":limit": limit,
    })?;
    let mut made = None;
    while let Some(row) = rows.next()? {
        made = Some(self::job(row)?);
    }
    made.ok_or_else(|| StorageError::TooManyJobs { limit }.into())
}

/// Of what there is one of at a time, a second one is refused.
fn refuse_second(conn: &Connection, kind: JobKind) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT id FROM jobs WHERE kind = :kind AND status IN ('pending', 'running') LIMIT 1",
    )?;
    let mut rows = statement.query(named_params! { ":kind": kind.as_str() })?;
    match rows.next()? {
        Some(row) => Err(StorageError::JobRunning { job: uuid(row, 0)? }.into()),
        None => Ok(()),
    }
}

/// A job, whose columns start the row.
pub(super) fn job(row: &Row<'_>) -> Result<Job, Fault> {
    let opt_time = |at| match row.get::<_, Option<i64>>(at)? {
        Some(_) => time(row, at).map(Some),
        None => Ok(None),
    };
    Ok(Job {
        id: uuid(row, 0)?,
        kind: JobKind::parse(str(row, 1)?).ok_or_else(|| Fault::corrupt("kind of a job"))?,
        user_id: opt_uuid(row, 2)?,
        params: metadata(row, 3)?,
        dry_run: row.get(4)?,
        status: JobStatus::parse(str(row, 5)?).ok_or_else(|| Fault::corrupt("status"))?,
        cancel_requested: row.get(6)?,
        done: count(row, 7)?,
        bytes: count(row, 8)?,
        total: opt_count(row, 9)?,
        failures: count(row, 10)?,
        report: json(row, 11, "report")?,
        error: json(row, 12, "error")?,
        attempts: row.get(13)?,
        created_at: time(row, 14)?,
        started_at: opt_time(15)?,
        updated_at: time(row, 16)?,
        completed_at: opt_time(17)?,
    })
}

/// Jobs that the caller may see, the newest first.
pub(in crate::executor::sqlite) fn list(
    conn: &Connection,
    access: &Access,
    listing: &JobListing,
) -> Result<Vec<Job>, Fault> {
    let context = access.on_rows(Permission::JobRead, None)?;
    let caller = Caller::from(context);
    let mut statement = conn.prepare_cached(&list_sql(context.is_service(), listing))?;
    // Above all that an identity can be.
    let before = listing.before.map_or_else(|| "~".to_owned(), text);
    let status = listing.status.map(JobStatus::as_str);
    let kind = listing.kind.map(JobKind::as_str);
    let mut values: Vec<(&str, &dyn ToSql)> = vec![
        (":before", &before),
        (":limit", &listing.limit),
        (":role", &caller.role),
        (":uid", &caller.uid),
    ];
    if status.is_some() {
        values.push((":status", &status));
    }
    if kind.is_some() {
        values.push((":kind", &kind));
    }
    let mut rows = statement.query(values.as_slice())?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(job(row)?);
    }
    Ok(jobs)
}

/// The statement of a list. Whoever sees no more than their own asks for it by an index.
pub(in crate::executor::sqlite) fn list_sql(sees_all: bool, listing: &JobListing) -> String {
    let own = if sees_all { "" } else { "u.user_id = :uid AND " };
    let status = listing.status.map_or("", |_| "u.status = :status AND ");
    let kind = listing.kind.map_or("", |_| "u.kind = :kind AND ");
    format!(
        "SELECT {JOB} FROM jobs u WHERE {own}{status}{kind}u.id < :before AND {} ORDER BY u.id DESC LIMIT :limit",
        builtin(Permission::JobRead)
    )
}

/// A job that the caller may see.
pub(in crate::executor::sqlite) fn show(conn: &Connection, access: &Access, id: Uuid) -> Result<Job, Fault> {
    let caller = Caller::from(access.on_rows(Permission::JobRead, None)?);
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {JOB} FROM jobs u WHERE u.id = :id AND {}",
        builtin(Permission::JobRead)
    ))?;
    let mut rows =
        statement.query(named_params! { ":id": text(id), ":role": caller.role, ":uid": caller.uid })?;
    match rows.next()? {
        Some(row) => job(row),
        None => Err(StorageError::JobNotFound { job: id }.into()),
    }
}

/// Ends a job that waits, and has one that runs end after its step.
pub(in crate::executor::sqlite) fn cancel(
    conn: &Connection,
    access: &Access,
    id: Uuid,
) -> Result<Job, Fault> {
    let caller = Caller::from(access.on_rows(Permission::JobRead, None)?);
    let mut statement = conn.prepare_cached(&format!(
        "UPDATE jobs AS u SET cancel_requested = 1, completed_at = iif(status = 'pending', :now, NULL), \
         status = iif(status = 'pending', 'cancelled', status), updated_at = :now \
         WHERE u.id = :id AND u.status IN ('pending', 'running') AND {} RETURNING {JOB}",
        builtin(Permission::JobRead)
    ))?;
    let mut rows = statement.query(named_params! {
        ":id": text(id), ":role": caller.role, ":uid": caller.uid, ":now": micros(now()),
    })?;
    let mut cancelled = None;
    while let Some(row) = rows.next()? {
        cancelled = Some(job(row)?);
    }
    match cancelled {
        Some(job) => Ok(job),
        None => match show(conn, access, id)? {
            job if job.status == JobStatus::Cancelled => Ok(job),
            _ => Err(StorageError::JobEnded { job: id }.into()),
        },
    }
}
