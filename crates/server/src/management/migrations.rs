//! `POST /migrations`: bytes that are to go from one provider to another.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::BucketName;
use file_storage::storage::MigrationRequest;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Maintainer, answer};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::json;

const OPERATION: &str = "migrate_provider";

/// What is to go where.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartMigration {
    /// The provider that has the bytes.
    from: String,
    /// The one that they are for.
    to: String,
    /// Only those of this bucket.
    bucket: Option<String>,
    /// Where to go on: the `next` of the answer before.
    next: Option<String>,
    /// How many of all files' pieces are looked at: 10000 by default, and at most.
    limit: Option<u32>,
}

/// What was queued.
#[derive(Serialize, ToSchema)]
pub(super) struct MigrationStarted {
    /// Blobs that were queued; what was queued before is not counted again.
    queued: u64,
    /// Their bytes.
    bytes: u64,
    /// There is more to be looked at: to be sent as `next`, with the rest as it was.
    next: Option<String>,
}

/// Queues what a provider keeps for another one: a part of it, which takes a moment however much there is, and goes on with `next`. Files stay readable and writable; each is compared by its checksum before its
/// old copy goes. `GET /upload-queue` says how far it is.
#[utoipa::path(
    post, path = "/migrations", tag = "Management", operation_id = "migrateProvider",
    request_body = StartMigration,
    responses(
        (status = 202, description = "It is queued", body = MigrationStarted),
        (status = 400, description = "A bad body, both are one provider, or the spool is to get them"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such provider"),
    ),
)]
pub(super) async fn start(State(app): State<AppState>, caller: Maintainer, body: Body) -> Response {
    let outcome = started(&app, &caller, body).await;
    let is_queued = outcome.is_ok();
    let mut response = answer(&caller, OPERATION, outcome);
    if is_queued {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    response
}

async fn started(app: &AppState, caller: &Maintainer, body: Body) -> Result<MigrationStarted, ApiError> {
    let asked: StartMigration = json::read(body).await?;
    if asked.from == asked.to {
        return Err(ApiError::schema("body/to must be another provider than body/from"));
    }
    let bucket = asked.bucket.as_deref().map(BucketName::parse).transpose()?;
    if asked.limit == Some(0) {
        return Err(ApiError::schema("body/limit must be >= 1"));
    }
    let request = MigrationRequest {
        bucket: bucket.as_ref(),
        after: asked.next.as_deref(),
        limit: asked.limit,
        ..MigrationRequest::new(&asked.from, &asked.to)
    };
    let queued = app.storage.migrate_provider(caller.context(), &request).await?;
    Ok(MigrationStarted { queued: queued.entries, bytes: queued.bytes, next: queued.next })
}
