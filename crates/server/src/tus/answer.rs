//! What TUS's answers have in common: its headers, and errors with their true status.

use axum::response::{IntoResponse, Response};
use file_storage::StorageError;
use file_storage::multipart::MultipartUpload;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::VERSION;
use crate::errors::ApiError;
use crate::rest::Dialect;

/// Marks an answer of TUS, whose errors have words of their own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spoken;

/// Adds what every answer has.
pub(super) async fn spoken(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert("tus-resumable", HeaderValue::from_static(VERSION));
    if response.status() == StatusCode::PRECONDITION_FAILED {
        response.headers_mut().insert("tus-version", HeaderValue::from_static(VERSION));
    }
    response.extensions_mut().insert(Spoken);
    response
}

/// An error: natively the JSON of any other one, in the other dialect text. Its status is true in both.
pub(crate) fn render(error: &ApiError, dialect: Dialect, request_id: &str) -> Response {
    let mut response = match dialect {
        Dialect::Native => error.render(request_id),
        Dialect::Supabase => {
            let (status, text) = in_supabases_words(error, dialect);
            let mut response = (status, text).into_response();
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, plain);
            response
        }
    };
    if let ApiError::Storage(StorageError::DigestMismatch { .. }) = error
        && let Ok(mismatch) = StatusCode::from_u16(460)
    {
        *response.status_mut() = mismatch;
    }
    if let ApiError::Storage(StorageError::OffsetMismatch { offset }) = error {
        response.headers_mut().insert("upload-offset", HeaderValue::from(*offset));
    }
    let headers = response.headers_mut();
    headers.insert("tus-resumable", HeaderValue::from_static(VERSION));
    if let ApiError::Tus { status: StatusCode::PRECONDITION_FAILED, .. } = error {
        headers.insert("tus-version", HeaderValue::from_static(VERSION));
    }
    response
}

/// As Supabase's server and the library behind it word it.
fn in_supabases_words(error: &ApiError, dialect: Dialect) -> (StatusCode, String) {
    use StorageError as E;
    match error {
        ApiError::Storage(E::UploadNotFound { .. }) => {
            (StatusCode::NOT_FOUND, "The file for this url was not found\n".to_owned())
        }
        ApiError::Storage(E::UploadExpired { .. }) => {
            (StatusCode::GONE, "The file for this url no longer exists\n".to_owned())
        }
        ApiError::Storage(E::OffsetMismatch { .. }) => {
            (StatusCode::CONFLICT, "Upload-Offset conflict\n".to_owned())
        }
        ApiError::Storage(E::PayloadTooLarge { .. }) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "Maximum size exceeded\n".to_owned())
        }
        ApiError::Tus { status, message } => (*status, format!("{message}\n")),
        other => dialect.true_words(other),
    }
}

/// What an upload tells in headers: how far it is, and until when it stands.
pub(super) fn describe(headers: &mut HeaderMap, upload: &MultipartUpload) -> Result<(), StorageError> {
    let resumable = upload.resumable()?;
    headers.insert("upload-offset", HeaderValue::from(resumable.offset));
    match resumable.completed_at {
        Some(_) => {
            headers.insert("tus-complete", HeaderValue::from_static("1"));
        }
        None => {
            let expires = httpdate::fmt_http_date(upload.expires_at.into());
            if let Ok(expires) = HeaderValue::try_from(expires) {
                headers.insert("upload-expires", expires);
            }
        }
    }
    Ok(())
}

/// An answer without a body, of which no cache keeps anything.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = status.into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A header whose value came from a client, where it can be sent.
pub(super) fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
