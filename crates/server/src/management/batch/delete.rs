//! `DELETE /files/batch`.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::storage::{BatchItem, DeletedTogether};
use file_storage::{BucketName, FileStorage, ObjectPath, Operation, RlsContext, StorageError};
use http::HeaderMap;
use serde::Deserialize;
use utoipa::ToSchema;

use super::lines::{self, Progress, Step};
use super::{BatchResult, answered, begin};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::http::LogSlot;
use crate::management::Caller;
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

/// Deletes many objects: all that are there, and that the caller may delete, in one transaction. What is not there counts as deleted, as it does alone.
#[utoipa::path(
    delete, path = "/files/batch", tag = "Batch", operation_id = "deleteBatch",
    params(
        ("accept" = Option<String>, Header, description = "`application/x-ndjson`: lines `{\"completed\",\"total\",\"current\"}`, one for each path, and the result as the last one, with status 200"),
    ),
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
    let log = begin(&caller, OPERATION);
    let outcome = async {
        let deletion = Deletion::admit(&app, &caller, &headers, body, &log).await?;
        if lines::are_wanted(&headers) {
            return Ok(lines::told(deletion, caller.context().request_id(), log.clone()));
        }
        Ok(to_the_end(deletion).await?.respond(&log))
    };
    let outcome = outcome.await;
    answered(&caller, log, outcome)
}

async fn to_the_end(mut deletion: Deletion) -> Result<BatchResult, ApiError> {
    loop {
        match deletion.step().await? {
            Step::Done { rest, .. } => deletion = rest,
            Step::End(result) => return Ok(result),
        }
    }
}

/// Paths that are to be deleted, and what became of those before.
struct Deletion {
    storage: FileStorage,
    context: RlsContext,
    bucket: BucketName,
    paths: std::vec::IntoIter<(String, Result<ObjectPath, StorageError>)>,
    total: usize,
    /// What went in one transaction, once that was tried.
    together: Option<DeletedTogether>,
    items: Vec<BatchItem<bool>>,
}

impl Deletion {
    /// Reads what is asked for, and asks whether the caller may delete at all. Deletes nothing. `log` is told of the bucket.
    async fn admit(
        app: &AppState,
        caller: &Caller,
        headers: &HeaderMap,
        body: Body,
        log: &LogSlot,
    ) -> Result<Self, ApiError> {
        let (storage, context) = (&app.storage, caller.context());
        storage.may_ask(context, Operation::Delete, None).await?;
        crate::conditional::none(headers)?;
        let asked: DeleteBatch = json::read(body).await?;
        let bucket = BucketName::parse(&asked.bucket)?;
        log.update(|log| log.bucket = Some(bucket.as_str().to_owned()));
        let (total, most) = (asked.paths.len(), storage.options().batch.max_files);
        if total == 0 || total > most {
            let words = if total == 0 { "fewer than 1" } else { "too many" };
            return Err(ApiError::schema(format!("body/paths must NOT have {words} items")));
        }
        let parse = |path: String| {
            let parsed = ObjectPath::parse(&path);
            (path, parsed)
        };
        let paths = asked.paths.into_iter().map(parse).collect::<Vec<_>>().into_iter();
        let (storage, context, items) = (storage.clone(), context.clone(), Vec::with_capacity(total));
        Ok(Self { storage, context, bucket, paths, total, together: None, items })
    }

    /// Tries all of them in one transaction.
    async fn together(&self) -> Result<DeletedTogether, StorageError> {
        let parsed = self.paths.as_slice().iter().filter_map(|(_, path)| path.as_ref().ok());
        let paths: Vec<ObjectPath> = parsed.cloned().collect();
        self.storage.begin_delete_each(&self.context, &self.bucket, &paths).await
    }
}

/// Whoever stops reading keeps what was not deleted until then.
impl Progress for Deletion {
    async fn step(mut self) -> Result<Step<Self>, ApiError> {
        let together = match self.together.take() {
            Some(together) => together,
            None => self.together().await?,
        };
        let Some((name, path)) = self.paths.next() else {
            return Ok(Step::End(BatchResult::of(self.items, |_was_there: bool| None)));
        };
        let outcome = match path {
            Ok(path) => together.outcome(&path).await?,
            Err(error) => Err(error),
        };
        let current = name.clone();
        self.items.push(BatchItem { name, outcome });
        self.together = Some(together);
        Ok(Step::Done { completed: self.items.len(), total: Some(self.total), current, rest: self })
    }
}
