//! `GET /bucket/{id}`.

use axum::response::Response;
use file_storage::Operation;

use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{BucketBody, ErrorBody};

/// Shows a bucket, with its numbers.
#[utoipa::path(
    get, path = "/bucket/{id}", tag = "Buckets", operation_id = "getBucket",
    params(("id" = String, Path, description = "The bucket")),
    responses(
        (status = 200, description = "The bucket", body = BucketBody<'static>),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "The bucket is closed to the caller", body = ErrorBody),
        (status = 404, description = "No such bucket", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn show(call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::ShowBucket);
    let name = call.bucket("/bucket/")?;
    let bucket = call.storage().bucket(call.context(), &name).await?;
    Ok(call.dialect().bucket(&bucket))
}
