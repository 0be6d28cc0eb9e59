//! `DELETE /files/batch`.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::storage::BatchItem;
use file_storage::{BucketName, ObjectPath, Operation};
use http::HeaderMap;
use serde::Deserialize;
use utoipa::ToSchema;

use super::BatchResult;
use crate::app::AppState;
use crate::errors::ApiError;
use crate::http::OperationLog;
use crate::management::{Caller, answer};
use crate::rest::json;

const OPERATION: &str = "delete_batch";

/// What is to be deleted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::management) struct DeleteBatch {
    bucket: String,
    /// Whole paths, 1 to `batch.max_files` of them.
    paths: Vec<String>,
}

/// Deletes many objects in one transaction. What is not there counts as deleted, as it does alone.
#[utoipa::path(
    delete, path = "/files/batch", tag = "Batch", operation_id = "deleteBatch",
    request_body = DeleteBatch,
    responses(
        (status = 200, description = "All are gone", body = BatchResult),
        (status = 207, description = "Some, or all, are not", body = BatchResult),
        (status = 400, description = "A bad body, no path, or too many"),
        (status = 401, description = "No token, or a bad one"),
    ),
)]
pub(in crate::management) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match deleted(&app, &caller, &headers, body).await {
        Ok(result) => {
            let mut response = result.respond();
            let user_id = caller.context().user_id();
            response.extensions_mut().insert(OperationLog { user_id, ..OperationLog::new(OPERATION) });
            response
        }
        Err(error) => answer::<()>(&caller, OPERATION, Err(error)),
    }
}

async fn deleted(
    app: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<BatchResult, ApiError> {
    let (storage, context) = (&app.storage, caller.context());
    storage.may_ask(context, Operation::Delete, None).await?;
    crate::conditional::none(headers)?;
    let asked: DeleteBatch = json::read(body).await?;
    let bucket = BucketName::parse(&asked.bucket)?;
    let most = storage.options().batch.max_files;
    if asked.paths.is_empty() || asked.paths.len() > most {
        let words = if asked.paths.is_empty() { "fewer than 1" } else { "too many" };
        return Err(ApiError::schema(format!("body/paths must NOT have {words} items")));
    }
    let parsed: Vec<_> = asked.paths.iter().map(|path| ObjectPath::parse(path)).collect();
    let paths: Vec<ObjectPath> = parsed.iter().flatten().cloned().collect();
    let mut outcomes = storage.delete_each(context, &bucket, &paths).await?.into_iter();
    let items = asked.paths.into_iter().zip(parsed).filter_map(|(name, parsed)| {
        let outcome = match parsed {
            Ok(_) => outcomes.next()?,
            Err(error) => Err(error),
        };
        Some(BatchItem { name, outcome })
    });
    Ok(BatchResult::of(items.collect(), |_was_there: bool| None))
}
