//! `POST /query`: one `SELECT` over the rows that the caller may see.

use axum::body::Body;
use axum::response::Response;
use file_storage::Operation;
use file_storage::sql::query::Answer;
use file_storage::storage::QueryRequest;
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::call::{Anyone, Call};
use super::dialect::ErrorBody;
use super::json::{self, Whole};
use crate::errors::ApiError;

/// What to ask.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({
    "sql": "SELECT path, size FROM storage_objects WHERE bucket_id = $1 AND owner_id = current_user_id()",
    "params": ["avatars"],
}))]
pub(super) struct Ask {
    /// One SELECT over `storage_objects`, `storage_buckets`, `storage_usage` and `upload_queue`.
    sql: String,
    /// What `$1` and so on stand for. A text takes the type of what stands beside it.
    #[serde(default)]
    params: Vec<Value>,
    /// Most rows of the answer: 1000 by default, unless the query's own LIMIT says otherwise.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    max_rows: Option<Whole>,
}

/// What was found. The rows' objects are written by hand, as long answers should be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer in the API's document")]
pub(super) struct Found {
    /// The columns, in their order.
    columns: Vec<ColumnBody>,
    /// The rows: objects with a member for each column.
    rows: Vec<Value>,
    /// How many rows there are here.
    row_count: u64,
    /// Whether there are more that a limit cut off.
    truncated: bool,
}

/// A column of the answer.
#[derive(Serialize, ToSchema)]
pub(super) struct ColumnBody {
    /// Its name.
    name: String,
    /// PostgreSQL's name of its type.
    #[serde(rename = "type")]
    ty: String,
}

/// Runs one SELECT, which sees the caller's own rows and those open to the caller, and no others.
#[utoipa::path(
    post, path = "/query", tag = "Queries", operation_id = "query",
    request_body = Ask,
    responses(
        (status = 200, description = "The rows", body = Found),
        (status = 400, description = "A query that is not taken: `position` says where, `reason` why", body = ErrorBody),
        (status = 401, description = "A bad token", body = ErrorBody),
        (status = 429, description = "Too many queries of this caller run at once", body = ErrorBody),
        (status = 503, description = "Too many queries run at once", body = ErrorBody),
        (status = 504, description = "The query took too long", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn query(mut call: Call<Anyone>) -> Result<Response, ApiError> {
    call.begin(Operation::Query);
    let asked: Ask = json::read(call.body()).await?;
    let request = QueryRequest {
        sql: &asked.sql,
        parameters: &asked.params,
        max_rows: asked.max_rows.map(|rows| rows.0),
        client: Some(call.client()),
    };
    let answer = call.storage().query(call.context(), request).await?;
    Ok(found(answer))
}

fn found(answer: Answer) -> Response {
    let Answer { columns, rows, row_count, truncated } = answer;
    let columns: Vec<_> =
        columns.into_iter().map(|(name, ty)| ColumnBody { name, ty: ty.to_string() }).collect();
    let columns = serde_json::to_string(&columns).unwrap_or_default();
    let body = format!(
        "{{\"columns\":{columns},\"rows\":[{rows}],\"row_count\":{row_count},\"truncated\":{truncated}}}"
    );
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    // Whoever asks next may see other rows.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
