//! `/files/batch`: many files written, or deleted, in one request. What is wrong with one of them is said of that one.

mod delete;
mod intake;
mod lines;
mod upload;

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use file_storage::StorageError;
use file_storage::storage::BatchItem;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Caller;
use crate::errors::ApiError;
use crate::http::{LogSlot, OperationLog};

pub(super) use delete::delete;
pub(super) use upload::upload;
pub(super) use {delete::__path_delete, upload::__path_upload};

/// What became of all files, or paths, of a request.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchResult {
    /// What was done, in the order of the request.
    successful: Vec<BatchDone>,
    /// What was not, in the order of the request.
    failed: Vec<BatchFailed>,
    /// How many there were.
    total: usize,
    success_count: usize,
    failure_count: usize,
    /// How many failures have which code.
    errors_by_code: BTreeMap<&'static str, usize>,
}

/// One that was done.
#[derive(Serialize, ToSchema)]
struct BatchDone {
    path: String,
    /// The object that was written.
    #[serde(flatten)]
    object: Option<BatchObject>,
}

/// An object that was written.
#[derive(Serialize, ToSchema)]
struct BatchObject {
    id: uuid::Uuid,
    version: uuid::Uuid,
    etag: String,
    /// In bytes.
    size: u64,
    /// Whether there was none before.
    created: bool,
}

/// One that was not done.
#[derive(Serialize, ToSchema)]
struct BatchFailed {
    path: String,
    error: BatchError,
}

/// Why not.
#[derive(Serialize, ToSchema)]
struct BatchError {
    /// For programs.
    #[schema(example = "OBJECT_EXISTS")]
    code: &'static str,
    /// For people.
    message: String,
    /// The status that it would have alone.
    status: u16,
    /// Whether the same may succeed later.
    retryable: bool,
    /// What else a program can act on, as beside an error of its own: of a quota `scope`, `name`, `used`, `limit`, `requested`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
    /// For the log.
    #[serde(skip)]
    cause: Option<String>,
}

impl From<&StorageError> for BatchError {
    fn from(error: &StorageError) -> Self {
        let shown = ApiError::from(error.clone());
        let (status, cause, context) = (shown.status().as_u16(), shown.cause(), shown.context());
        Self {
            code: error.code(),
            message: error.to_string(),
            status,
            retryable: error.is_retryable(),
            context,
            cause,
        }
    }
}

impl BatchError {
    /// Whether the server is to blame, and not what was asked for.
    fn is_fault(&self) -> bool {
        self.status >= 500 && self.status != 501 && self.code != "QUOTA_EXCEEDED"
    }
}

impl BatchResult {
    /// What became of each; `object` shows what was written.
    fn of<T>(items: Vec<BatchItem<T>>, object: impl Fn(T) -> Option<BatchObject>) -> Self {
        let total = items.len();
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        let mut errors_by_code = BTreeMap::new();
        for BatchItem { name: path, outcome } in items {
            match outcome {
                Ok(done) => successful.push(BatchDone { path, object: object(done) }),
                Err(error) => {
                    *errors_by_code.entry(error.code()).or_insert(0) += 1;
                    failed.push(BatchFailed { path, error: BatchError::from(&error) });
                }
            }
        }
        let (success_count, failure_count) = (successful.len(), failed.len());
        Self { successful, failed, total, success_count, failure_count, errors_by_code }
    }

    /// Tells the log how it went. Of its failures, one of the server's own stands for all, where there is one; where nothing was
    /// done, that is what the whole is judged by.
    fn note(&self, log: &mut OperationLog) {
        (log.files, log.failures) = (Some(self.total as u64), Some(self.failure_count as u64));
        let fault = self.failed.iter().find(|one| one.error.is_fault());
        let Some(BatchFailed { error, .. }) = fault.or(self.failed.first()) else { return };
        (log.code, log.cause) = (Some(error.code), error.cause.clone());
        if self.success_count == 0 {
            log.judged = StatusCode::from_u16(error.status).ok();
        }
    }

    /// 200 where all was done, else 207.
    fn respond(self, log: &LogSlot) -> Response {
        log.update(|log| self.note(log));
        let status = if self.failure_count == 0 { StatusCode::OK } else { StatusCode::MULTI_STATUS };
        (status, axum::Json(self)).into_response()
    }
}

/// What the log will say of a batch. More of it is known as it goes on.
fn begin(caller: &Caller, operation: &'static str) -> LogSlot {
    let log = LogSlot::default();
    log.update(|log| (log.operation, log.user_id) = (operation, caller.context().user_id()));
    log
}

/// The answer, with what the log says about it by the time that it is sent.
fn answered(caller: &Caller, log: LogSlot, outcome: Result<Response, ApiError>) -> Response {
    let mut response = outcome.unwrap_or_else(|error| {
        log.update(|log| (log.code, log.cause) = (Some(error.code()), error.cause()));
        error.render(caller.context().request_id())
    });
    response.extensions_mut().insert(log);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_finds_no_room_says_in_which_quota() {
        let error = StorageError::QuotaExceeded {
            scope: "folder",
            name: "photos/in".into(),
            used: 3,
            limit: 4,
            requested: 2,
        };
        let shown = serde_json::to_value(BatchError::from(&error)).unwrap();
        let context = &shown["context"];
        assert_eq!((&context["name"], &context["limit"]), (&"photos/in".into(), &4.into()), "{shown}");
        let none = serde_json::to_value(BatchError::from(&StorageError::InvalidPartOrder)).unwrap();
        assert!(none.get("context").is_none(), "{none}");
    }
}
