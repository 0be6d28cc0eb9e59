//! `/upload-queue`: how much waits for its provider, and what an operator does about it.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use file_storage::executor::{QueueDepth, QueueEntry, QueueStatus};
use file_storage::{BucketName, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Maintainer, Path, answer};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::{QueueEntryBody, json};

const OPERATION: &str = "manage_queue";

/// What is asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// Only entries of this bucket.
    bucket: Option<String>,
}

/// How much there is to do.
#[derive(Serialize, ToSchema)]
pub(super) struct Depths {
    /// Entries that wait for a worker.
    pending: u64,
    /// Entries that a worker has.
    in_progress: u64,
    /// Entries that were given up.
    failed: u64,
    /// The same by way, reason and status.
    ways: Vec<DepthShown>,
}

/// Entries of one way, reason and status.
#[derive(Serialize, ToSchema)]
pub(super) struct DepthShown {
    /// Where their bytes are.
    source_provider: String,
    /// Where they are for.
    target_provider: String,
    /// `deferred`, `failover`, `migration` or `copy`.
    reason: &'static str,
    /// `pending`, `in_progress` or `failed`.
    status: &'static str,
    /// How many they are.
    entries: u64,
    /// Their bytes.
    bytes: u64,
    /// When the oldest was queued.
    #[schema(value_type = String, format = DateTime)]
    oldest: Timestamp,
}

impl From<Vec<QueueDepth>> for Depths {
    fn from(depths: Vec<QueueDepth>) -> Self {
        let of =
            |status| depths.iter().filter(|depth| depth.status == status).map(|depth| depth.entries).sum();
        Self {
            pending: of(QueueStatus::Pending),
            in_progress: of(QueueStatus::InProgress),
            failed: of(QueueStatus::Failed),
            ways: depths.iter().map(DepthShown::from).collect(),
        }
    }
}

impl From<&QueueDepth> for DepthShown {
    fn from(depth: &QueueDepth) -> Self {
        Self {
            source_provider: depth.source.to_string(),
            target_provider: depth.target.to_string(),
            reason: depth.reason.as_str(),
            status: depth.status.as_str(),
            entries: depth.entries,
            bytes: depth.bytes,
            oldest: depth.oldest,
        }
    }
}

/// Says how much is not yet where it belongs. The entries themselves: `GET /storage/v1/upload-queue`.
#[utoipa::path(
    get, path = "/upload-queue", tag = "Management", operation_id = "uploadQueueDepths",
    params(("bucket" = Option<String>, Query, description = "Only entries of this bucket")),
    responses(
        (status = 200, description = "What there is to do", body = Depths),
        (status = 400, description = "No bucket has this name"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn depths(
    State(app): State<AppState>,
    caller: Maintainer,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let depths = async {
        let Query(asked) = asked.map_err(|error| ApiError::schema(error.body_text()))?;
        let bucket = asked.bucket.as_deref().map(BucketName::parse).transpose()?;
        Ok(app.storage.queue_depths(caller.context(), bucket.as_ref()).await?)
    };
    answer(&caller, OPERATION, depths.await.map(Depths::from))
}

/// Queues an entry again that was given up; one that waits has its turn now.
#[utoipa::path(
    post, path = "/upload-queue/{id}/retry", tag = "Management", operation_id = "retryUploadQueueEntry",
    params(("id" = String, Path, description = "The entry")),
    responses(
        (status = 200, description = "The entry as it is now", body = QueueEntryBody<'static>),
        (status = 400, description = "What stands there is no id"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such entry"),
        (status = 409, description = "It is completed"),
    ),
)]
pub(super) async fn retry(
    State(app): State<AppState>,
    caller: Maintainer,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    let outcome = async {
        json::none(body).await?;
        Ok(app.storage.retry_entry(caller.context(), parse(&id)?).await?)
    };
    shown(&caller, outcome.await)
}

/// Gives an entry up that waits or is being copied: its bytes stay where they are.
#[utoipa::path(
    post, path = "/upload-queue/{id}/cancel", tag = "Management", operation_id = "cancelUploadQueueEntry",
    params(("id" = String, Path, description = "The entry")),
    responses(
        (status = 200, description = "The entry as it is now", body = QueueEntryBody<'static>),
        (status = 400, description = "What stands there is no id"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such entry"),
        (status = 409, description = "It is completed"),
    ),
)]
pub(super) async fn cancel(
    State(app): State<AppState>,
    caller: Maintainer,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    let outcome = async {
        json::none(body).await?;
        Ok(app.storage.cancel_entry(caller.context(), parse(&id)?).await?)
    };
    shown(&caller, outcome.await)
}

/// What was queued again.
#[derive(Serialize, ToSchema)]
pub(super) struct Retried {
    /// How many entries that were.
    retried: u64,
}

/// Queues all entries again that were given up.
#[utoipa::path(
    post, path = "/upload-queue/retry", tag = "Management", operation_id = "retryUploadQueue",
    responses(
        (status = 200, description = "What was queued again", body = Retried),
        (status = 400, description = "There is a body that asks for something"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn retry_failed(State(app): State<AppState>, caller: Maintainer, body: Body) -> Response {
    let outcome = async {
        json::none(body).await?;
        Ok(Retried { retried: app.storage.retry_failed(caller.context()).await? })
    };
    answer(&caller, OPERATION, outcome.await)
}

fn parse(id: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(id).map_err(|_| ApiError::schema("params/id must be a UUID"))
}

fn shown(caller: &Maintainer, outcome: Result<QueueEntry, ApiError>) -> Response {
    match outcome {
        Ok(entry) => answer(caller, OPERATION, Ok(QueueEntryBody::new(&entry, true))),
        Err(error) => answer::<()>(caller, OPERATION, Err(error)),
    }
}
