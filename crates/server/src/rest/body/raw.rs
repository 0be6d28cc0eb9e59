//! An upload whose body is the object.

use axum::body::Body;
use file_storage::file::ObjectAttributes;
use http::{HeaderMap, HeaderName, header};

use super::{Incoming, body_stream, content_length, user_metadata};
use crate::errors::ApiError;
use crate::rest::dialect::Dialect;

/// What an object is of which nothing is said.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Takes what the headers say. The body is not touched.
pub(super) fn open(headers: &HeaderMap, body: Body, dialect: Dialect) -> Result<Incoming, ApiError> {
    let mut metadata = user_metadata::from_header(headers, dialect)?.unwrap_or_default();
    user_metadata::keep_robots_tag(headers, &mut metadata)?;
    let attributes = ObjectAttributes {
        content_type: text(headers, &header::CONTENT_TYPE)?.unwrap_or(UNKNOWN_TYPE).to_owned(),
        cache_control: text(headers, &header::CACHE_CONTROL)?.map(str::to_owned),
        metadata,
        ..Default::default()
    };
    Ok(Incoming { attributes, length: content_length(headers), bytes: body_stream(body) })
}

/// A header that is served again as it came, and must be able to.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| ApiError::schema(format!("headers/{name} must be text")))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}
