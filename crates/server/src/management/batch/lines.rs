//! An answer as it comes about: a line for each file or path, and the result as the last one.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;

use super::BatchResult;
use crate::errors::ApiError;
use crate::http::LogSlot;

/// JSON, a line each.
const LINES: &str = "application/x-ndjson";

/// A batch that is under way.
pub(super) trait Progress: Sized + Send + 'static {
    /// Goes on by one file, or path; or to the end, where there is none left.
    fn step(self) -> impl Future<Output = Result<Step<Self>, ApiError>> + Send;
}

/// How far a batch has come.
pub(super) enum Step<P> {
    /// Another file, or path, is done.
    Done {
        /// How many are.
        completed: usize,
        /// How many there are, where that is known by now.
        total: Option<usize>,
        /// Which one it was.
        current: String,
        /// The others.
        rest: P,
    },
    /// All are.
    End(BatchResult),
}

/// Whether a caller wants to be told so.
pub(super) fn are_wanted(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| {
        value.to_str().is_ok_and(|accepted| accepted.split(',').any(|kind| kind.trim().starts_with(LINES)))
    })
}

/// The answer. Whoever stops reading it ends the batch where it is. `log` is told what became of it.
pub(super) fn told(batch: impl Progress, request_id: &str, log: LogSlot) -> Response {
    let begun = Some((batch, request_id.to_owned(), log));
    let lines = stream::unfold(begun, |begun| async move {
        let (batch, request_id, log) = begun?;
        let (line, rest) = match batch.step().await {
            Ok(Step::Done { completed, total, current, rest }) => {
                let line = json!({ "completed": completed, "total": total, "current": current });
                log.update(|log| log.files = Some(completed as u64));
                (line.to_string(), Some((rest, request_id, log)))
            }
            Ok(Step::End(result)) => {
                log.update(|log| result.note(log));
                (serde_json::to_string(&result).unwrap_or_default(), None)
            }
            Err(error) => {
                log.update(|log| {
                    (log.code, log.cause) = (Some(error.code()), error.cause());
                    log.judged = Some(error.status());
                });
                (failed(&error, &request_id), None)
            }
        };
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(line + "\n")), rest))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(LINES));
    response
}

/// The last line of a batch that failed: what the answer would have been, had it not begun.
fn failed(error: &ApiError, request_id: &str) -> String {
    json!({ "error": error.body(request_id) }).to_string()
}
