//! `GET /bucket`.

use axum::response::Response;
use file_storage::Operation;
use file_storage::executor::{BucketListing, BucketSort, SortOrder};
use http::Uri;

use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{BucketBody, ErrorBody};
use crate::rest::query;

/// Lists the buckets that the caller may see.
#[utoipa::path(
    get, path = "/bucket", tag = "Buckets", operation_id = "listBuckets",
    params(
        ("limit" = Option<u32>, Query, description = "Most buckets to answer; all by default"),
        ("offset" = Option<u64>, Query, description = "Buckets to skip"),
        ("sortColumn" = Option<String>, Query, description = "`name` (default), `id`, `created_at` or `updated_at`"),
        ("sortOrder" = Option<String>, Query, description = "`asc` (default) or `desc`"),
        ("search" = Option<String>, Query, description = "Only names that contain this"),
    ),
    responses(
        (status = 200, description = "The buckets", body = Vec<BucketBody<'static>>),
        (status = 400, description = "A bad parameter", body = ErrorBody),
        (status = 401, description = "A bad token", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn list(call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::ListBuckets);
    let buckets = call.storage().list_buckets(call.context(), &listing(call.uri())?).await?;
    Ok(call.dialect().buckets(&buckets))
}

fn listing(uri: &Uri) -> Result<BucketListing, ApiError> {
    let limit = query::number(uri, "limit")?.unwrap_or(u32::MAX);
    if limit == 0 {
        return Err(ApiError::schema("querystring/limit must be >= 1"));
    }
    let column = match query::parameter(uri, "sortColumn").as_deref() {
        None | Some("" | "id" | "name") => BucketSort::Name,
        Some("created_at") => BucketSort::CreatedAt,
        Some("updated_at") => BucketSort::UpdatedAt,
        Some(_) => return Err(not_allowed("sortColumn")),
    };
    let order = match query::parameter(uri, "sortOrder").as_deref() {
        None | Some("" | "asc") => SortOrder::Ascending,
        Some("desc") => SortOrder::Descending,
        Some(_) => return Err(not_allowed("sortOrder")),
    };
    Ok(BucketListing {
        limit,
        offset: query::number(uri, "offset")?.unwrap_or(0),
        sort: (column, order),
        search: query::parameter(uri, "search").unwrap_or_default().into_owned(),
        ..BucketListing::default()
    })
}

fn not_allowed(name: &str) -> ApiError {
    ApiError::schema(format!("querystring/{name} must be equal to one of the allowed values"))
}
