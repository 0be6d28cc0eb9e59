//! `POST /files/batch`.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use file_storage::executor::Written;
use file_storage::storage::BatchItem;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;

use super::intake::Intake;
use super::{BatchObject, BatchResult};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::http::OperationLog;
use crate::management::{Caller, answer};

const OPERATION: &str = "upload_batch";

/// JSON, a line each.
const LINES: &str = "application/x-ndjson";

/// Writes many files: all that are let in become visible at once. What is wrong with one of them is said of that one.
#[utoipa::path(
    post, path = "/files/batch", tag = "Batch", operation_id = "uploadBatch",
    params(
        ("accept" = Option<String>, Header, description = "`application/x-ndjson`: lines `{\"completed\",\"total\",\"current\"}` while files come, and the result as the last one, with status 200"),
    ),
    request_body(
        description = "The fields `bucket` and `upsert` (`true` or `false`), then the files: the filename of each is its path",
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
    let intake = match Intake::open(&app, &caller, &headers, body).await {
        Ok(intake) => intake,
        Err(error) => return answer::<()>(&caller, OPERATION, Err(error)),
    };
    let wants_lines = headers.get_all(header::ACCEPT).iter().any(|value| {
        value.to_str().is_ok_and(|accepted| accepted.split(',').any(|kind| kind.trim().starts_with(LINES)))
    });
    let mut response = if wants_lines {
        lines(intake, caller.context().request_id())
    } else {
        match to_the_end(intake).await {
            Ok(items) => shown(items).respond(),
            Err(error) => return answer::<()>(&caller, OPERATION, Err(error)),
        }
    };
    let user_id = caller.context().user_id();
    response.extensions_mut().insert(OperationLog { user_id, ..OperationLog::new(OPERATION) });
    response
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

/// The answer as it comes about: whoever stops reading it gives the batch up.
fn lines(intake: Intake, request_id: &str) -> Response {
    let begun = Some((intake, request_id.to_owned()));
    let lines = stream::unfold(begun, |begun| async move {
        let (mut intake, request_id) = begun?;
        let (line, rest) = match intake.take().await {
            Ok(Some(current)) => {
                let line = json!({ "completed": intake.files(), "total": null, "current": current });
                (line.to_string(), Some((intake, request_id)))
            }
            Ok(None) => match intake.finish().await {
                Ok(items) => (serde_json::to_string(&shown(items)).unwrap_or_default(), None),
                Err(error) => (failed(&error.into(), &request_id), None),
            },
            Err(error) => (failed(&error, &request_id), None),
        };
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(line + "\n")), rest))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(LINES));
    response
}

/// The last line where nothing was written: what the answer would have been, had it not begun.
fn failed(error: &ApiError, request_id: &str) -> String {
    json!({ "error": error.body(request_id) }).to_string()
}
