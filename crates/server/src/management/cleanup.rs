//! `GET` and `POST /cleanup`: blobs without metadata, metadata without blobs.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::upkeep::{CleanupReport, MissingBlob, OrphanBlob};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Maintainer, answer};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::json;

const OPERATION: &str = "cleanup";

/// How a cleanup goes.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplyCleanup {
    /// Whether it only says what it would find, as `GET` does.
    #[serde(default)]
    dry_run: bool,
}

/// What a run found, and did.
#[derive(Serialize, ToSchema)]
pub(super) struct Cleanup {
    /// Blobs without metadata, past the grace time.
    orphan_blobs: u64,
    /// Their bytes.
    orphan_bytes: u64,
    /// Objects whose blob is missing.
    missing_blobs: u64,
    /// Objects whose blob has another length than it should. Reported, never deleted.
    damaged_blobs: u64,
    /// Copies that are not where they should be, or have another length: they are made anew.
    missing_copies: u64,
    /// Orphans that this run deleted.
    deleted_blobs: u64,
    /// Rows of lost objects that this run deleted.
    deleted_rows: u64,
    /// Blobs that wait for their ordinary deletion.
    pending_deletions: u64,
    /// Why the run did not touch rows, where something looked wrong. An operator should look.
    halted: Option<String>,
    /// The first 100 orphans.
    orphans: Vec<Orphan>,
    /// The first 100 objects whose blob is missing.
    missing: Vec<Missing>,
}

/// A blob without metadata.
#[derive(Serialize, ToSchema)]
#[schema(as = OrphanBlob)]
struct Orphan {
    /// The provider that has it.
    provider: String,
    /// Its name there.
    blob: String,
    /// Its length, in bytes.
    size: u64,
}

/// An object whose blob is missing.
#[derive(Serialize, ToSchema)]
#[schema(as = MissingBlob)]
struct Missing {
    /// The provider that should have it.
    provider: String,
    /// The object's bucket.
    bucket: String,
    /// The object's path.
    path: String,
}

impl From<OrphanBlob> for Orphan {
    fn from(orphan: OrphanBlob) -> Self {
        Self { provider: orphan.provider, blob: orphan.key.to_string(), size: orphan.size }
    }
}

impl From<MissingBlob> for Missing {
    fn from(missing: MissingBlob) -> Self {
        let (bucket, path) = (missing.bucket.to_string(), missing.path.to_string());
        Self { provider: missing.provider, bucket, path }
    }
}

impl From<CleanupReport> for Cleanup {
    fn from(report: CleanupReport) -> Self {
        Self {
            orphan_blobs: report.orphan_blobs,
            orphan_bytes: report.orphan_bytes,
            missing_blobs: report.missing_blobs,
            damaged_blobs: report.damaged_blobs,
            missing_copies: report.missing_copies,
            deleted_blobs: report.deleted_blobs,
            deleted_rows: report.deleted_rows,
            pending_deletions: report.pending_deletions,
            halted: report.halted,
            orphans: report.orphans.into_iter().map(Orphan::from).collect(),
            missing: report.missing.into_iter().map(Missing::from).collect(),
        }
    }
}

/// Says what a cleanup would find, and deletes nothing.
#[utoipa::path(
    get, path = "/cleanup", tag = "Management", operation_id = "previewCleanup",
    responses(
        (status = 200, description = "What was found", body = Cleanup),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn preview(State(app): State<AppState>, caller: Maintainer) -> Response {
    run(&app, &caller, false).await
}

/// Deletes blobs without metadata, and rows whose bytes are lost for sure.
#[utoipa::path(
    post, path = "/cleanup", tag = "Management", operation_id = "applyCleanup",
    request_body = ApplyCleanup,
    responses(
        (status = 200, description = "What was found and done", body = Cleanup),
        (status = 400, description = "A bad body"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn apply(State(app): State<AppState>, caller: Maintainer, body: Body) -> Response {
    match json::read_optional::<ApplyCleanup>(body).await {
        Ok(asked) => run(&app, &caller, !asked.dry_run).await,
        Err(error) => answer::<()>(&caller, OPERATION, Err(error)),
    }
}

async fn run(app: &AppState, caller: &Maintainer, apply: bool) -> Response {
    let report = app.upkeep.cleanup(apply).await;
    answer(caller, OPERATION, report.map(Cleanup::from).map_err(ApiError::from))
}
