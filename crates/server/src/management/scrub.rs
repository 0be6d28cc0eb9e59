//! `POST /scrub`: what is kept is read and compared with its checksums, by a job.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::BucketName;
use file_storage::executor::ScrubScope;
use file_storage::storage::ScrubRequest;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Maintainer;
use super::jobs::{JobShown, accepted};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::json;

/// What is to be scrubbed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Scrub {
    /// Only what this provider keeps.
    #[serde(default)]
    provider: Option<String>,
    /// Only what this bucket's objects, versions and uploads are made of.
    #[serde(default)]
    bucket: Option<String>,
    /// Whether bad bytes are made anew from a good copy, and bad copies from good bytes.
    #[serde(default)]
    repair: bool,
}

/// Has all that is kept read, at a bounded rate, and compared with its SHA-256. One at a time.
#[utoipa::path(
    post, path = "/scrub", tag = "Management", operation_id = "scrub",
    request_body = Scrub,
    responses(
        (status = 202, description = "The job; `Location` says where to look how far it is. Its report has `findings`", body = JobShown),
        (status = 400, description = "A bad body"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such provider or bucket"),
        (status = 409, description = "One is not at its end yet: `job` names it"),
    ),
)]
pub(super) async fn start(State(app): State<AppState>, caller: Maintainer, body: Body) -> Response {
    let outcome = async {
        let asked: Scrub = json::read(body).await?;
        let bucket = asked.bucket.as_deref().map(BucketName::parse).transpose()?;
        let scope = ScrubScope { provider: asked.provider.map(Into::into), bucket };
        let request = ScrubRequest { scope, repair: asked.repair };
        Ok::<_, ApiError>(app.storage.start_scrub(caller.context(), &request).await?)
    };
    accepted(&caller, outcome.await)
}
