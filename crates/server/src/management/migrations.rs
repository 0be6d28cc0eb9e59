//! `POST /migrations`: bytes that are to go from one provider to another.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::BucketName;
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
pub(super) struct StartMigration {
    /// The provider that has the bytes.
    from: String,
    /// The one that they are for.
    to: String,
    /// Only those of this bucket.
    bucket: Option<String>,
}

/// What was queued.
#[derive(Serialize, ToSchema)]
pub(super) struct MigrationStarted {
    /// Blobs that were queued; what was queued before is not counted again.
    queued: u64,
    /// Their bytes.
    bytes: u64,
}

/// Queues all that a provider keeps for another one. Files stay readable and writable; each is compared by its checksum before its
/// old copy goes. `GET /upload-queue` says how far it is.
#[utoipa::path(
    post, path = "/migrations", tag = "Management", operation_id = "migrateProvider",
    request_body = StartMigration,
    responses(
        (status = 202, description = "It is queued", body = MigrationStarted),
        (status = 400, description = "A bad body, or both are one provider"),
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
    let queued =
        app.storage.migrate_provider(caller.context(), &asked.from, &asked.to, bucket.as_ref()).await?;
    Ok(MigrationStarted { queued: queued.entries, bytes: queued.bytes })
}
