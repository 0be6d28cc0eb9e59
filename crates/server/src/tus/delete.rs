//! `DELETE`: gives an upload up.

use axum::response::Response;
use file_storage::Operation;
use http::StatusCode;

use super::answer;
use super::head::target;
use super::headers::check_version;
use super::uploader::Bearer;
use crate::errors::ApiError;
use crate::rest::call::Call;

/// Gives an upload up, and all that came of it. What became an object is deleted as one.
pub(super) async fn delete<C: Bearer>(call: Call<C>) -> Result<Response, ApiError> {
    call.begin(Operation::AbortMultipart);
    check_version(call.headers())?;
    let at = target(&call)?;
    let shown = C::shows(&call, &at.bucket, &at.path)?;
    call.storage().abort_resumable(&shown.uploader(&call), &at).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}
