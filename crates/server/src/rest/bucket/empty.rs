//! `POST /bucket/{id}/empty`.

use axum::response::Response;
use file_storage::Operation;

use crate::conditional;
use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{ErrorBody, Message};

/// Deletes all objects of a bucket.
#[utoipa::path(
    post, path = "/bucket/{id}/empty", tag = "Buckets", operation_id = "emptyBucket",
    params(("id" = String, Path, description = "The bucket")),
    responses(
        (status = 200, description = "It is empty now", body = Message),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "Only its owner empties a bucket", body = ErrorBody),
        (status = 404, description = "No such bucket", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn empty(call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::EmptyBucket);
    conditional::none(call.headers())?;
    if call.dialect().only_service_empties() && !call.context().is_service() {
        return Err(ApiError::ServiceOnly);
    }
    let name = call.bucket("/bucket/")?;
    let deleted = call.storage().empty_bucket(call.context(), &name).await?;
    Ok(call.dialect().bucket_emptied(deleted))
}
