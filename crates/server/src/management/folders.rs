//! `/folders`: what is to be done to all that lies below a folder, as a job of the caller's.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::storage::{Folder, FolderWay};
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
#[serde(deny_unknown_fields)]
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

/// What is to go where.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RelocateFolder {
    bucket: String,
    /// The folder, with or without the slash at its end; empty for all of the bucket.
    prefix: String,
    /// Another bucket; the same one by default.
    to_bucket: Option<String>,
    /// The folder that takes its place. Neither may lie in the other.
    to_prefix: String,
    /// Replace what is there; else it stays, and so does what would take its place.
    #[serde(default)]
    overwrite: bool,
    /// Only look what would go, and what could not.
    #[serde(default)]
    dry_run: bool,
}

impl RelocateFolder {
    fn way(&self) -> Result<FolderWay, ApiError> {
        let to_bucket = self.to_bucket.as_deref().unwrap_or(&self.bucket);
        let (from, to) = (folder(&self.bucket, &self.prefix)?, folder(to_bucket, &self.to_prefix)?);
        Ok(FolderWay { from, to, overwrite: self.overwrite })
    }
}

/// Moves all that lies below a folder to another one, as a job: each object as by `POST /object/move`. What can't go is in its
/// report, and stays.
#[utoipa::path(
    post, path = "/folders/move", tag = "Jobs", operation_id = "moveFolder",
    request_body = RelocateFolder,
    responses(
        (status = 202, description = "The job; `Location` says where to look how far it is", body = JobShown),
        (status = 400, description = "A bad body, or one of the folders lies in the other"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The caller may not look into one of the buckets"),
        (status = 404, description = "There is no such bucket"),
        (status = 429, description = "The caller has too many unfinished jobs"),
    ),
)]
pub(super) async fn move_to(State(app): State<AppState>, caller: Caller, body: Body) -> Response {
    let outcome = async {
        app.storage.may_ask(caller.context(), Operation::ChangeJobs, None).await?;
        let asked: RelocateFolder = json::read(body).await?;
        Ok(app.storage.move_folder(caller.context(), &asked.way()?, asked.dry_run).await?)
    };
    accepted(&caller, outcome.await)
}

/// Copies all that lies below a folder to another one, as a job: each object as by `POST /object/copy`. What can't be copied is in
/// its report.
#[utoipa::path(
    post, path = "/folders/copy", tag = "Jobs", operation_id = "copyFolder",
    request_body = RelocateFolder,
    responses(
        (status = 202, description = "The job; `Location` says where to look how far it is", body = JobShown),
        (status = 400, description = "A bad body, or one of the folders lies in the other"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The caller may not look into one of the buckets"),
        (status = 404, description = "There is no such bucket"),
        (status = 429, description = "The caller has too many unfinished jobs"),
    ),
)]
pub(super) async fn copy(State(app): State<AppState>, caller: Caller, body: Body) -> Response {
    let outcome = async {
        app.storage.may_ask(caller.context(), Operation::ChangeJobs, None).await?;
        let asked: RelocateFolder = json::read(body).await?;
        Ok(app.storage.copy_folder(caller.context(), &asked.way()?, asked.dry_run).await?)
    };
    accepted(&caller, outcome.await)
}

fn folder(bucket: &str, prefix: &str) -> Result<Folder, ApiError> {
    Ok(Folder::new(BucketName::parse(bucket)?, prefix)?)
}
