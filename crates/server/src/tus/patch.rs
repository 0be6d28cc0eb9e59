//! `PATCH`: appends to an upload.

use axum::response::Response;
use file_storage::Operation;
use file_storage::file::PutMode;
use file_storage::storage::PartBody;
use http::StatusCode;

use super::head::target;
use super::headers::{check_version, content_length, has_piece, number};
use super::uploader::Bearer;
use super::{answer, checksum};
use crate::errors::ApiError;
use crate::rest::body_stream;
use crate::rest::call::Call;

/// Appends the body. What came of one that broke off is kept, unless it has a checksum.
pub(super) async fn append<C: Bearer>(mut call: Call<C>) -> Result<Response, ApiError> {
    call.begin(Operation::UploadPart(&PutMode::Create));
    check_version(call.headers())?;
    let at = target(&call)?;
    let shown = C::shows(&call, &at.bucket, &at.path)?;
    let refuse = |status, message| ApiError::Tus { status, message };
    if !has_piece(call.headers()) {
        let message = "Content-Type must be application/offset+octet-stream";
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let offset = number(call.headers(), "upload-offset")?;
    let offset = offset.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "Upload-Offset header required"))?;
    let length = number(call.headers(), "upload-length")?;
    let wanted = checksum::parse(call.headers())?;
    let announced = content_length(call.headers());
    let body = PartBody { bytes: body_stream(call.body()), length: announced, wanted };
    let storage = call.storage();
    let progress = storage.append_resumable(&shown.uploader(&call), &at, offset, length, body).await?;
    call.log_size(progress.upload.resumable()?.offset);
    let mut response = answer::empty(StatusCode::NO_CONTENT);
    answer::describe(response.headers_mut(), &progress.upload)?;
    Ok(response)
}
