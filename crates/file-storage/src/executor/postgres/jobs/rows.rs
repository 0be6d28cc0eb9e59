//! Jobs as rows: made and cancelled by the keeper, shown and listed to the caller as such.

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::errors::StorageError;
use crate::executor::columns::JOB;
use crate::executor::job::caller_to_json;
use crate::executor::postgres::decide::{LOCK, job_place};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::{Caller, Subject};
use crate::executor::postgres::rows::{count, opt_count};
use crate::executor::postgres::session::{Answer, Session, Step, alone, read};
use crate::executor::{Job, JobKind, JobListing, JobStatus, NewJob};
use crate::permissions::{Access, Permission};

/// Two at once may be one too many: the bound is there so that there is one.
static CREATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO {{schema}}.jobs (id, kind, caller, user_id, params, dry_run) SELECT $1, $2, $3, $4::uuid, $5, $6 \
         WHERE (SELECT count(*) FROM (SELECT FROM {{schema}}.jobs WHERE user_id IS NOT DISTINCT FROM $4::uuid \
             AND status IN ('pending', 'running') LIMIT $7::bigint) unfinished) < $7::bigint RETURNING {JOB}"
    )
});

const UNFINISHED: &str =
    "SELECT id FROM {schema}.jobs WHERE kind = $1 AND status IN ('pending', 'running') LIMIT 1";

static SHOW: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {JOB} FROM {{schema}}.jobs u WHERE u.id = $1"));

/// Rows of others are kept away by policies.
static LIST: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {JOB} FROM {{schema}}.jobs u WHERE u.id < $1 AND ($3::text IS NULL OR u.status = $3) \
         AND ($4::text IS NULL OR u.kind = $4) ORDER BY u.id DESC LIMIT $2"
    )
});

static CANCEL: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE {{schema}}.jobs u SET cancel_requested = true, \
         completed_at = CASE WHEN u.status = 'pending' THEN now() END, \
         status = CASE WHEN u.status = 'pending' THEN 'cancelled' ELSE u.status END \
         WHERE u.id = $1 AND u.status IN ('pending', 'running') \
         AND ($2::text = 'service_role' OR ($2::text = 'authenticated' AND u.user_id = $3::uuid)) RETURNING {JOB}"
    )
});

/// Writes a job down, unless its caller has too many of them.
pub(in crate::executor::postgres) async fn create(
    pool: &Arc<Pool>,
    access: &Access,
    new: &NewJob,
) -> Result<Job, Fault> {
    let row = NewRow::of(access, new)?;
    let values = row.values();
    let made = match new.kind.is_alone() {
        false => alone(pool, "create_job", &Caller::keeper(), &CREATE, &values).await?,
        true => create_alone(pool, new.kind, &values).await?,
    };
    row.made(&made)
}

/// The same, in a transaction of the keeper's that goes on. Whether there is one of its kind at a time is not asked.
pub(in crate::executor::postgres) async fn create_on(
    session: &mut Session,
    access: &Access,
    new: &NewJob,
) -> Result<Job, Fault> {
    let row = NewRow::of(access, new)?;
    let made = session.run(&[Step::Run(&CREATE, &row.values())]).await?;
    row.made(made.first().unwrap_or(&Answer::default()))
}

/// The values of [`CREATE`].
struct NewRow<'a> {
    new: &'a NewJob,
    kind: &'static str,
    caller: Json<Value>,
    user: Option<Uuid>,
    params: Json<&'a Map<String, Value>>,
    limit: i64,
}

impl<'a> NewRow<'a> {
    fn of(access: &Access, new: &'a NewJob) -> Result<Self, Fault> {
        let context = access.on_rows(Permission::JobRead, None)?;
        // Whatever its token says: the service role has a bound of its own, and users do not see what it asks for.
        let user = if context.is_service() { None } else { context.user_id() };
        let (kind, limit) = (new.kind.as_str(), i64::from(NewJob::most_before(user)));
        Ok(Self { new, kind, caller: Json(caller_to_json(context)), user, params: Json(&new.params), limit })
    }

    fn values(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 7] {
        let Self { new, kind, caller, user, params, limit } = self;
        [&new.id, kind, caller, user, params, &new.dry_run, limit]
    }

    fn made(&self, made: &Answer) -> Result<Job, Fault> {
        match made.rows.first() {
            Some(row) => job(row),
            None => Err(StorageError::TooManyJobs { limit: NewJob::most_before(self.user) }.into()),
        }
    }
}

/// Of what there is one of at a time, a second one is refused. Who asks at the same time waits for the lock.
async fn create_alone(
    pool: &Arc<Pool>,
    kind: JobKind,
    values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<Answer, Fault> {
    let mut session = Session::start(pool, "create_job").await?;
    let (word, places) = (kind.as_str(), vec![job_place(pool.schema(), kind.as_str())]);
    let begin = [Step::As(&Caller::keeper()), Step::Run(LOCK, &[&places]), Step::Run(UNFINISHED, &[&word])];
    let answers = session.run(&begin).await?;
    if let Some(row) = answers.last().and_then(|answer| answer.rows.first()) {
        let running = row.try_get(0)?;
        session.run(&[Step::Once("ROLLBACK")]).await?;
        return Err(StorageError::JobRunning { job: running }.into());
    }
    let mut answers = session.run(&[Step::Run(&CREATE, values), Step::Commit]).await?;
    Ok(answers.pop().unwrap_or_default())
}

/// A job, whose columns start the row.
pub(super) fn job(row: &Row) -> Result<Job, Fault> {
    let Json(params): Json<Map<String, Value>> = row.try_get(3)?;
    Ok(Job {
        id: row.try_get(0)?,
        kind: JobKind::parse(row.try_get(1)?).ok_or_else(|| Fault::corrupt("kind of a job"))?,
        user_id: row.try_get(2)?,
        params,
        dry_run: row.try_get(4)?,
        status: JobStatus::parse(row.try_get(5)?).ok_or_else(|| Fault::corrupt("status"))?,
        cancel_requested: row.try_get(6)?,
        done: count(row, 7)?,
        bytes: count(row, 8)?,
        total: opt_count(row, 9)?,
        failures: count(row, 10)?,
        report: row.try_get::<_, Json<_>>(11)?.0,
        error: row.try_get::<_, Option<Json<_>>>(12)?.map(|Json(error)| error),
        attempts: u32::try_from(row.try_get::<_, i32>(13)?).map_err(|_| Fault::corrupt("counter"))?,
        created_at: row.try_get(14)?,
        started_at: row.try_get(15)?,
        updated_at: row.try_get(16)?,
        completed_at: row.try_get(17)?,
    })
}

/// Jobs that the caller may see, the newest first.
pub(in crate::executor::postgres) async fn list(
    pool: &Arc<Pool>,
    access: &Access,
    listing: &JobListing,
) -> Result<Vec<Job>, Fault> {
    let context = access.on_rows(Permission::JobRead, None)?;
    // Above all that an identity can be.
    let before = listing.before.unwrap_or(Uuid::max());
    let status = listing.status.map(JobStatus::as_str);
    let kind = listing.kind.map(JobKind::as_str);
    let values = [&before as _, &i64::from(listing.limit) as _, &status as _, &kind as _];
    let found = read(pool, "jobs", &Caller::of(context), &LIST, &values).await?;
    found.iter().map(job).collect()
}

/// A job that the caller may see.
pub(in crate::executor::postgres) async fn show(
    pool: &Arc<Pool>,
    access: &Access,
    id: Uuid,
) -> Result<Job, Fault> {
    let context = access.on_rows(Permission::JobRead, None)?;
    let found = read(pool, "job", &Caller::of(context), &SHOW, &[&id]).await?;
    match found.first() {
        Some(row) => job(row),
        None => Err(StorageError::JobNotFound { job: id }.into()),
    }
}

/// Ends a job that waits, and has one that runs end after its step.
pub(in crate::executor::postgres) async fn cancel(
    pool: &Arc<Pool>,
    access: &Access,
    id: Uuid,
) -> Result<Job, Fault> {
    let subject = Subject::from(access.on_rows(Permission::JobRead, None)?);
    let values = [&id as _, &subject.role as _, &subject.user as _];
    let cancelled = alone(pool, "cancel_job", &Caller::keeper(), &CANCEL, &values).await?;
    match cancelled.rows.first() {
        Some(row) => job(row),
        None => match show(pool, access, id).await? {
            job if job.status == JobStatus::Cancelled => Ok(job),
            _ => Err(StorageError::JobEnded { job: id }.into()),
        },
    }
}
