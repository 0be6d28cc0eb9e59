//! What runners do: claims, taken, renewed and ended, and how far jobs have come.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio_postgres::types::Json;
use uuid::Uuid;

use super::rows::job;
use crate::executor::columns::{JOB, JOB_WIDTH};
use crate::executor::displaced::span;
use crate::executor::job::{MOST_ATTEMPTS, caller_of_json, given_up};
use crate::executor::postgres::decide::{LOCK, job_place};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::int;
use crate::executor::postgres::session::{Answer, Session, Step, alone};
use crate::executor::{ClaimedJob, Job, JobEnd, JobKind, JobProgress};
use crate::permissions::{Access, Permission};

/// Gives jobs up whose runners ended one after the other.
const GIVE_UP: &str = "UPDATE {schema}.jobs SET status = 'failed', completed_at = now(), error = $1, leased_by = NULL, \
     leased_until = NULL WHERE id = ANY (ARRAY(SELECT id FROM {schema}.jobs WHERE status = 'running' \
         AND leased_until <= now() AND attempts >= $2 FOR UPDATE SKIP LOCKED))";

/// Takes the oldest job that anybody may take. What others are at is passed over. A user has one running at a time, so that
/// their hundred leave places to others.
static CLAIM: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE {{schema}}.jobs SET status = 'running', attempts = attempts + 1, \
         started_at = coalesce(started_at, now()), leased_by = $1, \
         leased_until = now() + $2::bigint * interval '1 microsecond' \
         WHERE id = (SELECT id FROM {{schema}}.jobs WHERE status IN ('pending', 'running') \
             AND (leased_until <= now() OR (status = 'pending' AND (user_id IS NULL OR user_id NOT IN ( \
                 SELECT user_id FROM {{schema}}.jobs WHERE status = 'running' AND leased_until > now() \
                 AND user_id IS NOT NULL)))) AND kind = ANY ($3::text[]) \
             ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {JOB}, caller, state"
    )
});

const RENEW: &str = "UPDATE {schema}.jobs SET leased_until = now() + $3::bigint * interval '1 microsecond' \
     WHERE id = $1 AND status = 'running' AND leased_by = $2 RETURNING cancel_requested";

const SAVE: &str = "UPDATE {schema}.jobs SET state = $3, done = $4, bytes = $5, total = $6, failures = $7, report = $8, \
     attempts = 0, leased_until = now() + $9::bigint * interval '1 microsecond' \
     WHERE id = $1 AND status = 'running' AND leased_by = $2 RETURNING cancel_requested";

/// Without a status it is given back.
static END: LazyLock<String> = LazyLock::new(|| {
    let status = "coalesce($9::text, CASE WHEN cancel_requested THEN 'cancelled' ELSE 'pending' END)";
    format!(
        "UPDATE {{schema}}.jobs SET state = $3, done = $4, bytes = $5, total = $6, failures = $7, report = $8, \
         status = {status}, completed_at = CASE WHEN {status} <> 'pending' THEN now() END, error = $10, \
         attempts = greatest(attempts - 1, 0), leased_by = NULL, leased_until = NULL \
         WHERE id = $1 AND status = 'running' AND leased_by = $2 RETURNING {JOB}"
    )
});

const FORGET: &str = "DELETE FROM {schema}.jobs WHERE id = ANY (ARRAY(SELECT id FROM {schema}.jobs \
     WHERE completed_at IS NOT NULL AND completed_at <= now() - $1::bigint * interval '1 microsecond' \
     AND id IS DISTINCT FROM (SELECT id FROM {schema}.jobs WHERE kind = 'scrub' ORDER BY id DESC LIMIT 1) \
     ORDER BY completed_at LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// Takes the oldest job that anybody may take.
pub(in crate::executor::postgres) async fn claim(
    pool: &Arc<Pool>,
    access: &Access,
    worker: Uuid,
    kinds: &[JobKind],
    lease: Duration,
) -> Result<Option<ClaimedJob>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let most = i32::try_from(MOST_ATTEMPTS).unwrap_or(i32::MAX);
    // One after the other: two at once would not see that the other one takes a job of the same user.
    let places = vec![job_place(pool.schema(), "claims")];
    let steps = [
        Step::As(&Caller::keeper()),
        Step::Run(LOCK, &[&places]),
        Step::Run(GIVE_UP, &[&Json(given_up()), &most]),
        Step::Run(&CLAIM, &[&worker, &span(lease), &kinds]),
        Step::Commit,
    ];
    let answers = Session::start(pool, "claim_job").await?.run(&steps).await?;
    let Some(row) = answers.last().and_then(|answer| answer.rows.first()) else { return Ok(None) };
    let job = job(row)?;
    let Json(caller) = row.try_get(JOB_WIDTH)?;
    let Json(state) = row.try_get(JOB_WIDTH + 1)?;
    let caller = caller_of_json(caller, job.id).ok_or_else(|| Fault::corrupt("caller of a job"))?;
    Ok(Some(ClaimedJob { progress: job.progress(state), job, caller }))
}

/// Lengthens a claim; whether somebody wants the job to end.
pub(in crate::executor::postgres) async fn renew(
    pool: &Arc<Pool>,
    access: &Access,
    worker: Uuid,
    id: Uuid,
    lease: Duration,
) -> Result<Option<bool>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&id as _, &worker as _, &span(lease) as _];
    is_to_end(&alone(pool, "renew_job", &Caller::keeper(), RENEW, &values).await?)
}

/// Writes down how far a job has come; whether somebody wants it to end.
pub(in crate::executor::postgres) async fn save(
    pool: &Arc<Pool>,
    access: &Access,
    worker: Uuid,
    id: Uuid,
    progress: &JobProgress,
    lease: Duration,
) -> Result<Option<bool>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [
        &id as _,
        &worker as _,
        &Json(&progress.state) as _,
        &int(progress.done) as _,
        &int(progress.bytes) as _,
        &progress.total.map(int) as _,
        &int(progress.failures) as _,
        &Json(&progress.report) as _,
        &span(lease) as _,
    ];
    is_to_end(&alone(pool, "save_job", &Caller::keeper(), SAVE, &values).await?)
}

/// Ends a claim, and mostly the job.
pub(in crate::executor::postgres) async fn end(
    pool: &Arc<Pool>,
    access: &Access,
    worker: Uuid,
    id: Uuid,
    end: &JobEnd,
    progress: &JobProgress,
) -> Result<Option<Job>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let (status, error) = match end {
        JobEnd::Completed => (Some("completed"), None),
        JobEnd::Failed(error) => (Some("failed"), Some(Json(error))),
        JobEnd::Cancelled => (Some("cancelled"), None),
        JobEnd::GivenBack => (None, None),
    };
    let values = [
        &id as _,
        &worker as _,
        &Json(&progress.state) as _,
        &int(progress.done) as _,
        &int(progress.bytes) as _,
        &progress.total.map(int) as _,
        &int(progress.failures) as _,
        &Json(&progress.report) as _,
        &status as _,
        &error as _,
    ];
    let ended = alone(pool, "end_job", &Caller::keeper(), &END, &values).await?;
    ended.rows.first().map(job).transpose()
}

/// Forgets jobs that ended at least so long ago; gives their number.
pub(in crate::executor::postgres) async fn forget(
    pool: &Arc<Pool>,
    access: &Access,
    older_than: Duration,
    limit: u32,
) -> Result<u64, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let values = [&span(older_than) as _, &i64::from(limit) as _];
    Ok(alone(pool, "forget_jobs", &Caller::keeper(), FORGET, &values).await?.affected)
}

fn is_to_end(answer: &Answer) -> Result<Option<bool>, Fault> {
    answer.rows.first().map(|row| Ok(row.try_get(0)?)).transpose()
}
