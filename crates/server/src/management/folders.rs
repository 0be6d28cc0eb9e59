//! `/folders`: what is to be done to all that lies below a folder, as a job of the caller's.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::storage::Folder;
use file_storage::{BucketName, Operation};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Caller;
use super::jobs::{JobShown, accepted};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::json;

/// What is to be deleted.
#[derive(Deserialize, ToSchema)]
pub(super) struct DeleteFolder {
    bucket: String,
    /// The folder, with or without the slash at its end; empty for all of the bucket.
    prefix: String,
    /// Only count what would be deleted.
    #[serde(default)]
    dry_run: bool,
}

/// Deletes all that lies below a folder and that the caller may delete, as a job. What may not be deleted is in its report.
#[utoipa::path(
    post, path = "/folders/delete", tag = "Jobs", operation_id = "deleteFolder",
    request_body = DeleteFolder,
    responses(
        (status = 202, description = "The job; `Location` says where to look how far it is", body = JobShown),
        (status = 400, description = "A bad body"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The caller may not look into the bucket"),
        (status = 404, description = "There is no such bucket"),
        (status = 429, description = "The caller has too many unfinished jobs"),
    ),
)]
pub(super) async fn delete(State(app): State<AppState>, caller: Caller, body: Body) -> Response {
    let outcome = async {
        app.storage.may_ask(caller.context(), Operation::ChangeJobs, None).await?;
        let asked: DeleteFolder = json::read(body).await?;
        let folder = folder(&asked.bucket, &asked.prefix)?;
        Ok(app.storage.delete_folder(caller.context(), &folder, asked.dry_run).await?)
    };
    accepted(&caller, outcome.await)
}

fn folder(bucket: &str, prefix: &str) -> Result<Folder, ApiError> {
    Ok(Folder::new(BucketName::parse(bucket)?, prefix)?)
}
