//! `DELETE /bucket/{id}`.

use axum::response::Response;
use file_storage::Operation;

use crate::conditional;
use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{ErrorBody, Message};
use crate::rest::query;

/// Deletes a bucket; with `force` also one that has objects.
#[utoipa::path(
    delete, path = "/bucket/{id}", tag = "Buckets", operation_id = "deleteBucket",
    params(
        ("id" = String, Path, description = "The bucket"),
        ("force" = Option<bool>, Query, description = "Delete its objects, too"),
    ),
    responses(
        (status = 200, description = "It is gone", body = Message),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "Only its owner deletes a bucket", body = ErrorBody),
        (status = 404, description = "No such bucket", body = ErrorBody),
        (status = 409, description = "It has objects", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn delete(call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::DeleteBucket);
    conditional::none(call.headers())?;
    let name = call.bucket("/bucket/")?;
    let force = query::switch(call.uri(), "force")?;
    call.storage().delete_bucket(call.context(), &name, force).await?;
    Ok(call.dialect().bucket_deleted())
}
