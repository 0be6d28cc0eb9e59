//! The bytes of an upload: raw, or one file of a form. Chunks go to the storage as they came, uncopied.

mod multipart;
mod raw;
mod user_metadata;

use std::error::Error;

use axum::body::Body;
use file_storage::StorageError;
use file_storage::body::ByteStream;
use file_storage::file::ObjectAttributes;
use futures_util::StreamExt;
use http::{HeaderMap, header};

pub(crate) use multipart::failed_body as form_failed;
pub(crate) use user_metadata::parse as metadata_of_user;
pub(super) use user_metadata::{from_header as metadata_from_header, robots_tag, shown};

use super::dialect::Dialect;
use crate::errors::ApiError;

/// An upload whose head was read: what it says of the object, and the bytes that follow.
pub(super) struct Incoming {
    /// What it says of the object.
    pub(super) attributes: ObjectAttributes,
    /// The object's length, where it is known beforehand.
    pub(super) length: Option<u64>,
    /// The object's bytes.
    pub(super) bytes: ByteStream,
}

/// Reads the head of an upload: of a raw body nothing, of a form all up to the file.
pub(super) async fn open(headers: &HeaderMap, body: Body, dialect: Dialect) -> Result<Incoming, ApiError> {
    match multipart::boundary(headers)? {
        Some(boundary) => multipart::open(headers, boundary, body, dialect).await,
        None => raw::open(headers, body, dialect),
    }
}

/// The fewest bytes that an object can have whose upload announces this length: known before the body is touched.
pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    let length = content_length(headers)?;
    Some(if is_form(headers) { length.saturating_sub(multipart::MAX_OVERHEAD) } else { length })
}

/// Whether the body is a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    multipart::boundary(headers).ok().flatten().is_some()
}

/// A body as a stream of bytes.
pub(crate) fn body_stream(body: Body) -> ByteStream {
    body.into_data_stream().map(|chunk| chunk.map_err(|error| interrupted(&error))).boxed()
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// A body that ended before its time.
pub(crate) fn interrupted(error: &(dyn Error + Send + Sync + 'static)) -> StorageError {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        source = cause.source();
    }
    StorageError::BodyInterrupted { reason }
}
