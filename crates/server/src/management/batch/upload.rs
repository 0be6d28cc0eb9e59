//! `POST /files/batch`.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::executor::Written;
use file_storage::storage::BatchItem;
use http::HeaderMap;

use super::intake::Intake;
use super::lines::{self, Progress, Step};
use super::{BatchObject, BatchResult, answered, begin};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::management::Caller;

const OPERATION: &str = "upload_batch";

/// Writes many files: all that are let in become visible at once. What is wrong with one of them is said of that one.
#[utoipa::path(
    post, path = "/files/batch", tag = "Batch", operation_id = "uploadBatch",
    params(
        ("accept" = Option<String>, Header, description = "`application/x-ndjson`: lines `{\"completed\",\"total\",\"current\"}` while files come, and the result as the last one, with status 200; `total` is null without the field `total`"),
    ),
    request_body(
        description = "The fields `bucket`, `upsert` (`true` or `false`) and `total` (how many files there are; with another number of them the batch is refused), then the files: the filename of each is its path, as it stands, unless a field `path` right before it says another",
        content((String = "multipart/form-data")),
    ),
    responses(
        (status = 200, description = "All were written", body = BatchResult),
        (status = 207, description = "Some, or all, were not", body = BatchResult),
        (status = 400, description = "A bad form, no file, or too many"),
        (status = 401, description = "No token, or a bad one"),
        (status = 507, description = "The disk is full"),
    ),
)]
pub(in crate::management) async fn upload(
    State(app): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let log = begin(&caller, OPERATION);
    let outcome = async {
        let intake = Intake::open(&app, &caller, &headers, body, &log).await?;
        if lines::are_wanted(&headers) {
            return Ok(lines::told(intake, caller.context().request_id(), log.clone()));
        }
        Ok(shown(to_the_end(intake).await?).respond(&log))
    };
    let outcome = outcome.await;
    answered(&caller, log, outcome)
}

async fn to_the_end(mut intake: Intake) -> Result<Vec<BatchItem<Written>>, ApiError> {
    while intake.take().await?.is_some() {}
    Ok(intake.finish().await?)
}

fn shown(items: Vec<BatchItem<Written>>) -> BatchResult {
    BatchResult::of(items, |written| {
        let Written { object, created, .. } = written;
        let (id, version, etag, size) = (object.id, object.version, object.etag, object.size);
        Some(BatchObject { id, version, etag, size, created })
    })
}

/// Whoever stops reading gives the batch up.
impl Progress for Intake {
    async fn step(mut self) -> Result<Step<Self>, ApiError> {
        Ok(match self.take().await? {
            Some(current) => Step::Done { completed: self.files(), total: self.total(), current, rest: self },
            None => Step::End(shown(self.finish().await?)),
        })
    }
}
