//! `HEAD`: how far an upload is.

use axum::response::Response;
use file_storage::Operation;
use http::{HeaderValue, StatusCode};

use super::headers::check_version;
use super::uploader::Bearer;
use super::{ROOT, answer, location};
use crate::errors::ApiError;
use crate::rest::call::Call;
use file_storage::multipart::UploadAt;

/// Tells how far an upload is; a request that appends to it ends.
pub(super) async fn show<C: Bearer>(call: Call<C>) -> Result<Response, ApiError> {
    call.begin(Operation::FindUpload);
    check_version(call.headers())?;
    let at = target(&call)?;
    let shown = C::shows(&call, &at.bucket, &at.path)?;
    let upload = call.storage().resumable(&shown.uploader(&call), &at).await?;
    let resumable = upload.resumable()?;
    let mut response = answer::empty(StatusCode::OK);
    let headers = response.headers_mut();
    match resumable.length {
        Some(length) => headers.insert("upload-length", HeaderValue::from(length)),
        None => headers.insert("upload-defer-length", HeaderValue::from_static("1")),
    };
    let (metadata, concat) = resumable.told.split_once('\n').unwrap_or((&resumable.told, ""));
    for (name, text) in [("upload-metadata", metadata), ("upload-concat", concat)] {
        if !text.is_empty() {
            answer::put(headers, name, text);
        }
    }
    answer::describe(headers, &upload)?;
    Ok(response)
}

/// The upload that stands in the URL.
pub(super) fn target<C: Bearer>(call: &Call<C>) -> Result<UploadAt, ApiError> {
    let path = call.uri().path();
    let name = path.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix(C::SEGMENT)).unwrap_or_default();
    let at = location::decode(name)?;
    call.log_target(&at.bucket, Some(&at.path));
    Ok(at)
}
