//! `POST /adopt`: files that were there before become objects, by a job.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::BucketName;
use file_storage::storage::{AdoptRequest, AdoptSource, Folder};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Maintainer;
use super::jobs::{JobShown, accepted};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::json;

/// What is to become objects, and where. Either `directory` or `provider` says where it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Adopt {
    /// A directory of the server's machine, by its absolute path: one of those that `adopt.directories` names, or below one.
    #[serde(default)]
    directory: Option<String>,
    /// A provider of the kinds `s3`, `azure` or `gcs`: what lies there beside Aerostore's own blobs.
    #[serde(default)]
    provider: Option<String>,
    /// Where in the provider, below its own prefix; empty for all of it.
    #[serde(default)]
    path: String,
    /// The bucket that the objects go to.
    bucket: String,
    /// The folder that they go to, with or without the slash at its end; empty for the bucket itself.
    #[serde(default)]
    prefix: String,
    /// The user whose they will be; without one, they are the service's own.
    #[serde(default)]
    owner: Option<Uuid>,
    /// Remove each original as soon as it is an object.
    #[serde(rename = "move", default)]
    moves: bool,
    /// Replace objects that are something else; else they stay.
    #[serde(default)]
    overwrite: bool,
    /// Only look what would become objects, and what could not.
    #[serde(default)]
    dry_run: bool,
}

impl Adopt {
    fn request(self) -> Result<(AdoptRequest, bool), ApiError> {
        let source = match (self.directory, self.provider) {
            (Some(directory), None) if self.path.is_empty() => AdoptSource::Directory(directory),
            (Some(_), None) => return Err(ApiError::schema("body/path is for a provider")),
            (None, Some(name)) => AdoptSource::Provider { name: name.into(), path: self.path },
            (Some(_), Some(_)) | (None, None) => {
                return Err(ApiError::schema("body must have either directory or provider"));
            }
        };
        let to = Folder::new(BucketName::parse(&self.bucket)?, &self.prefix)?;
        let (owner, moves, overwrite) = (self.owner, self.moves, self.overwrite);
        Ok((AdoptRequest { source, to, owner, moves, overwrite }, self.dry_run))
    }
}

/// Has files that are there already become objects, each as an upload would. Bytes stay where they are as far as that can be.
#[utoipa::path(
    post, path = "/adopt", tag = "Management", operation_id = "adopt",
    request_body = Adopt,
    responses(
        (status = 202, description = "The job; `Location` says where to look how far it is. Its report's `present` counts objects that were there already, and `removed` originals that went, of a move", body = JobShown),
        (status = 400, description = "A bad body, or a directory that is not there or not allowed"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such provider or bucket"),
        (status = 429, description = "There are too many unfinished jobs"),
    ),
)]
pub(super) async fn start(State(app): State<AppState>, caller: Maintainer, body: Body) -> Response {
    let outcome = async {
        let asked: Adopt = json::read(body).await?;
        let (request, dry_run) = asked.request()?;
        Ok::<_, ApiError>(app.storage.start_adoption(caller.context(), &request, dry_run).await?)
    };
    accepted(&caller, outcome.await)
}
