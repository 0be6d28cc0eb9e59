//! `GET /upload-queue` and `/upload-queue/{id}`: uploads on their way to where they belong.

use axum::response::Response;
use file_storage::executor::{QueueEntry, QueueListing, QueueStatus};
use file_storage::{BucketName, Operation, Role};
use uuid::Uuid;

use super::call::{Call, Token};
use super::dialect::{ErrorBody, QueueEntryBody, QueueEntryPage};
use super::query;
use crate::errors::ApiError;

/// Where the entries are, below the base.
pub(super) const ROUTE: &str = "/upload-queue";

/// Entries of a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 100;

/// Most entries of a page.
const MAX_LIMIT: u32 = 1000;

/// Lists uploads that wait for their provider, or waited: the caller's own, of the service role all. The newest first.
#[utoipa::path(
    get, path = "/upload-queue", tag = "Upload queue", operation_id = "listUploadQueue",
    params(
        ("status" = Option<String>, Query, description = "Only `pending`, `in_progress`, `completed` or `failed` ones"),
        ("bucket" = Option<String>, Query, description = "Only those of this bucket"),
        ("limit" = Option<u32>, Query, description = "Most entries of a page: 100 by default, 1000 at most"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = QueueEntryPage<'static>),
        (status = 400, description = "A bad parameter", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn list(call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::ReadQueue);
    // Who may not ask is not told what is wrong with the question.
    call.storage().may_ask(call.context(), Operation::ReadQueue, None).await?;
    let (listing, limit) = listing(&call)?;
    let mut entries = call.storage().queue_entries(call.context(), &listing).await?;
    let next = next(&mut entries, limit);
    Ok(call.dialect().queue_entries(&entries, next, shows_providers(&call)))
}

/// Shows one of them. Once its upload is where it belongs it is `completed`, and forgotten after a while.
#[utoipa::path(
    get, path = "/upload-queue/{id}", tag = "Upload queue", operation_id = "showUploadQueueEntry",
    params(("id" = String, Path, description = "The entry, as `Location` named it")),
    responses(
        (status = 200, description = "The entry", body = QueueEntryBody<'static>),
        (status = 400, description = "What stands there is no id", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 404, description = "No such entry that the caller may see", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn show(call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::ReadQueue);
    call.storage().may_ask(call.context(), Operation::ReadQueue, None).await?;
    let id = call.uri().path().rsplit('/').next().unwrap_or_default();
    let id = Uuid::try_parse(id).map_err(|_| ApiError::schema("params/id must be a UUID"))?;
    let entry = call.storage().queue_entry(call.context(), id).await?;
    Ok(call.dialect().queue_entry(&entry, shows_providers(&call)))
}

/// Where bytes are is nobody's business but the operator's.
fn shows_providers(call: &Call<Token>) -> bool {
    call.context().role() == Role::ServiceRole
}

/// What the query asks for, with one entry more than a page has; and how many that is.
fn listing(call: &Call<Token>) -> Result<(QueueListing, usize), ApiError> {
    let uri = call.uri();
    let given = |name: &str| query::parameter(uri, name).filter(|text| !text.is_empty());
    let status = given("status").map(|word| QueueStatus::parse(&word).ok_or_else(no_status)).transpose()?;
    let bucket = given("bucket").map(|name| BucketName::parse(&name)).transpose()?;
    let foreign = |_| ApiError::schema("querystring/cursor must be a cursor that a list answered");
    let before = given("cursor").map(|cursor| Uuid::try_parse(&cursor).map_err(foreign)).transpose()?;
    let limit = query::number(uri, "limit")?.unwrap_or(DEFAULT_LIMIT);
    match limit {
        0 => return Err(ApiError::schema("querystring/limit must be >= 1")),
        1..=MAX_LIMIT => {}
        _ => return Err(ApiError::schema(format!("querystring/limit must be <= {MAX_LIMIT}"))),
    }
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok((QueueListing { status, bucket, before, limit: limit.saturating_add(1) }, page))
}

fn no_status() -> ApiError {
    let words = QueueStatus::ALL.map(QueueStatus::as_str).join(", ");
    ApiError::schema(format!("querystring/status must be equal to one of the allowed values: {words}"))
}

/// The next page's cursor, where there is one: the last entry of this one.
fn next(entries: &mut Vec<QueueEntry>, limit: usize) -> Option<Uuid> {
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    entries.last().filter(|_| has_more).map(|last| last.id)
}
