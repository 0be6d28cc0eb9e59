//! The headers of a request that every one of TUS has, and its numbers.

use http::{HeaderMap, StatusCode};

use super::VERSION;
use crate::errors::ApiError;

/// Refuses a request that does not speak our version of the protocol.
pub(super) fn check_version(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get("tus-resumable").map(http::HeaderValue::as_bytes) {
        Some(version) if version == VERSION.as_bytes() => Ok(()),
        _ => {
            Err(ApiError::Tus { status: StatusCode::PRECONDITION_FAILED, message: "Tus-Resumable Required" })
        }
    }
}

/// A number in a header, where there is one.
pub(super) fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    // What no disk can hold is a number, too, and is refused as too large later on.
    let parsed =
        text.and_then(|text| text.parse::<u64>().ok()).filter(|number| i64::try_from(*number).is_ok());
    parsed.map(Some).ok_or_else(|| ApiError::schema(format!("headers/{name} must be a number")))
}

/// Bytes of the body, where that is announced.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Whether the body is a piece of an upload.
pub(super) fn has_piece(headers: &HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|text| text.trim().eq_ignore_ascii_case("application/offset+octet-stream"))
}
