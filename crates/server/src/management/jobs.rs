//! `/jobs`: long work that was asked for, shown to who asked and to the service role, and ended before its time.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::executor::{Job, JobError, JobFailure, JobKind, JobListing, JobReport, JobStatus};
use file_storage::{Operation, Timestamp};
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Caller, Path, answer};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::{json, query};

/// Jobs of a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 100;

/// Most jobs of a page.
const MAX_LIMIT: u32 = 1000;

/// A job, and how far it is.
#[derive(Serialize, ToSchema)]
pub(super) struct JobShown {
    id: Uuid,
    /// What it does.
    #[schema(example = "delete_folder")]
    kind: &'static str,
    /// `pending`, `running`, `completed`, `failed` (it could not go on) or `cancelled`.
    #[schema(example = "running")]
    status: &'static str,
    /// Whether somebody wants it to end before it is done: it does, after the step that it is at.
    cancel_requested: bool,
    /// Whether it only looks what it would do.
    dry_run: bool,
    /// Who asked for it; null for the service role.
    user_id: Option<Uuid>,
    /// To what it is done, as it was asked for.
    params: Map<String, Value>,
    /// Objects that it has done, or would do where it only looks.
    done: u64,
    /// Their bytes.
    bytes: u64,
    /// Objects in all, where that is known.
    total: Option<u64>,
    /// Objects that it could not do: it goes on with the next one.
    failures: u64,
    report: ReportShown,
    /// Why it could not go on.
    error: Option<JobErrorShown>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// When it ended. It is forgotten after `jobs.keep`.
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<Timestamp>,
}

/// What it could not do, and what else its kind tells.
#[derive(Serialize, ToSchema)]
pub(super) struct ReportShown {
    /// The first 100 failures.
    failures: Vec<FailureShown>,
    /// How many failures have which code.
    errors_by_code: std::collections::BTreeMap<String, u64>,
    /// What jobs of its kind count besides.
    #[serde(flatten)]
    counts: Map<String, Value>,
}

/// Something that it could not do.
#[derive(Serialize, ToSchema)]
pub(super) struct FailureShown {
    path: String,
    /// What is wrong, for programs.
    #[schema(example = "STORAGE_UNAUTHORIZED")]
    code: String,
    /// What is wrong, for people.
    message: String,
}

/// Why a job could not go on.
#[derive(Serialize, ToSchema)]
pub(super) struct JobErrorShown {
    /// For programs.
    code: String,
    /// For people.
    message: String,
}

/// A page of jobs, the newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct JobPage {
    jobs: Vec<JobShown>,
    /// To be sent as `before` for the next page; null on the last.
    next_before: Option<Uuid>,
}

impl From<Job> for JobShown {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            kind: job.kind.as_str(),
            status: job.status.as_str(),
            cancel_requested: job.cancel_requested,
            dry_run: job.dry_run,
            user_id: job.user_id,
            params: job.params,
            done: job.done,
            bytes: job.bytes,
            total: job.total,
            failures: job.failures,
            report: job.report.into(),
            error: job.error.map(|JobError { code, message }| JobErrorShown { code, message }),
            created_at: job.created_at,
            started_at: job.started_at,
            updated_at: job.updated_at,
            completed_at: job.completed_at,
        }
    }
}

impl From<JobReport> for ReportShown {
    fn from(report: JobReport) -> Self {
        let shown = |JobFailure { path, code, message }| FailureShown { path, code, message };
        Self {
            failures: report.failures.into_iter().map(shown).collect(),
            errors_by_code: report.errors_by_code,
            counts: report.counts,
        }
    }
}

/// Lists jobs: the caller's own, of the service role all. The newest first.
#[utoipa::path(
    get, path = "/jobs", tag = "Jobs", operation_id = "listJobs",
    params(
        ("status" = Option<String>, Query, description = "Only `pending`, `running`, `completed`, `failed` or `cancelled` ones"),
        ("kind" = Option<String>, Query, description = "Only those of this kind"),
        ("limit" = Option<u32>, Query, description = "Most jobs of a page: 100 by default, 1000 at most"),
        ("before" = Option<String>, Query, description = "`next_before` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = JobPage),
        (status = 400, description = "A bad parameter"),
        (status = 401, description = "No token, or a bad one"),
    ),
)]
pub(super) async fn list(State(app): State<AppState>, caller: Caller, uri: Uri) -> Response {
    let outcome = async {
        // Who may not ask is not told what is wrong with the question.
        app.storage.may_ask(caller.context(), Operation::ReadJobs, None).await?;
        let (listing, limit) = listing(&uri)?;
        let mut jobs = app.storage.jobs(caller.context(), &listing).await?;
        let has_more = jobs.len() > limit;
        jobs.truncate(limit);
        let next_before = jobs.last().filter(|_| has_more).map(|last| last.id);
        Ok(JobPage { jobs: jobs.into_iter().map(JobShown::from).collect(), next_before })
    };
    answer(&caller, Operation::ReadJobs.name(), outcome.await)
}

/// Shows a job.
#[utoipa::path(
    get, path = "/jobs/{id}", tag = "Jobs", operation_id = "showJob",
    params(("id" = String, Path, description = "The job")),
    responses(
        (status = 200, description = "The job", body = JobShown),
        (status = 400, description = "What stands there is no id"),
        (status = 401, description = "No token, or a bad one"),
        (status = 404, description = "No such job that the caller may see"),
    ),
)]
pub(super) async fn show(State(app): State<AppState>, caller: Caller, Path(id): Path<String>) -> Response {
    let outcome = async {
        app.storage.may_ask(caller.context(), Operation::ReadJobs, None).await?;
        Ok(JobShown::from(app.storage.job(caller.context(), parse(&id)?).await?))
    };
    answer(&caller, Operation::ReadJobs.name(), outcome.await)
}

/// Ends a job: at once where it waits, else after the step that it is at. What it has done stays done.
#[utoipa::path(
    post, path = "/jobs/{id}/cancel", tag = "Jobs", operation_id = "cancelJob",
    params(("id" = String, Path, description = "The job")),
    responses(
        (status = 200, description = "The job as it is now: one that runs has `cancel_requested`", body = JobShown),
        (status = 400, description = "What stands there is no id"),
        (status = 401, description = "No token, or a bad one"),
        (status = 404, description = "No such job that the caller may see"),
        (status = 409, description = "It has ended"),
    ),
)]
pub(super) async fn cancel(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    let outcome = async {
        app.storage.may_ask(caller.context(), Operation::ChangeJobs, None).await?;
        json::none(body).await?;
        Ok(JobShown::from(app.storage.cancel_job(caller.context(), parse(&id)?).await?))
    };
    answer(&caller, Operation::ChangeJobs.name(), outcome.await)
}

/// The answer to who asked for a job: it is written down, and `Location` says where to look how far it is.
pub(super) fn accepted(caller: &Caller, outcome: Result<Job, ApiError>) -> Response {
    let location = outcome.as_ref().ok().map(|job| format!("{}/jobs/{}", super::BASE, job.id));
    let mut response = answer(caller, Operation::ChangeJobs.name(), outcome.map(JobShown::from));
    if let Some(location) = location.and_then(|location| location.parse().ok()) {
        *response.status_mut() = StatusCode::ACCEPTED;
        response.headers_mut().insert(http::header::LOCATION, location);
    }
    response
}

fn parse(id: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(id).map_err(|_| ApiError::schema("params/id must be a UUID"))
}

/// What the query asks for, with one job more than a page has; and how many that is.
fn listing(uri: &Uri) -> Result<(JobListing, usize), ApiError> {
    let given = |name: &str| query::parameter(uri, name).filter(|text| !text.is_empty());
    let one_of = |name: &str, words: &[&str]| {
        let words = words.join(", ");
        ApiError::schema(format!("querystring/{name} must be equal to one of the allowed values: {words}"))
    };
    let no_status = || one_of("status", &JobStatus::ALL.map(JobStatus::as_str));
    let no_kind = || one_of("kind", &JobKind::ALL.map(JobKind::as_str));
    let foreign = |_| ApiError::schema("querystring/before must be a job's id");
    let status = given("status").map(|word| JobStatus::parse(&word).ok_or_else(no_status)).transpose()?;
    let kind = given("kind").map(|word| JobKind::parse(&word).ok_or_else(no_kind)).transpose()?;
    let before = given("before").map(|id| Uuid::try_parse(&id).map_err(foreign)).transpose()?;
    let limit = query::number(uri, "limit")?.unwrap_or(DEFAULT_LIMIT);
    match limit {
        0 => return Err(ApiError::schema("querystring/limit must be >= 1")),
        1..=MAX_LIMIT => {}
        _ => return Err(ApiError::schema(format!("querystring/limit must be <= {MAX_LIMIT}"))),
    }
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok((JobListing { status, kind, before, limit: limit.saturating_add(1) }, page))
}
