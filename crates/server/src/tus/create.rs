//! `POST`: begins an upload, perhaps with its first bytes; or makes an object of partial ones.

use axum::response::Response;
use file_storage::Operation;
use file_storage::file::PutMode;
use file_storage::multipart::NewResumable;
use file_storage::path::PathRules;
use file_storage::storage::PartBody;
use http::{HeaderMap, StatusCode, header};

use super::concat::{self, Concat};
use super::headers::{check_version, content_length, has_piece, number};
use super::metadata::Told;
use super::uploader::{Bearer, Shown};
use super::{ROOT, answer, checksum, location};
use crate::errors::ApiError;
use crate::rest::call::Call;
use crate::rest::{Dialect, body_stream, wants_upsert};

/// Begins an upload.
pub(super) async fn create<C: Bearer>(mut call: Call<C>) -> Result<Response, ApiError> {
    call.begin(Operation::CreateMultipart(&PutMode::Create));
    check_version(call.headers())?;
    let (told, concat) = (Told::parse(call.headers())?, concat::parse(call.headers())?);
    let length = length(call.headers(), &concat)?;
    check_piece(call.headers(), length, &concat)?;
    let rules = match call.dialect() {
        Dialect::Native => PathRules::Lenient,
        Dialect::Supabase => PathRules::Supabase,
    };
    let (bucket, path) = told.object(rules)?;
    call.log_target(&bucket, Some(&path));
    let attributes = told.attributes()?;
    let shown = C::shows(&call, &bucket, &path)?;
    let replaces = match &shown {
        Shown::Token => wants_upsert(call.headers()),
        Shown::Signed(token) => token.upsert(),
    };
    let mode = if replaces { PutMode::Upsert } else { PutMode::Create };
    let wanted = checksum::parse(call.headers())?;
    // Asked for before anything is begun.
    let base_url = call.base_url()?;
    let storage = call.storage().clone();
    let at = (&bucket, &path);
    let is_final = matches!(concat, Concat::Final(_));
    let progress = match concat {
        Concat::Final(parts) => {
            let told = kept(&told, call.headers());
            storage.concatenate(&shown.uploader(&call), at, mode, attributes, told, parts).await?
        }
        Concat::Whole | Concat::Partial => {
            let is_partial = concat == Concat::Partial;
            let new = NewResumable { length, is_partial, told: kept(&told, call.headers()) };
            match has_piece(call.headers()) {
                true => {
                    let length = content_length(call.headers());
                    let body = PartBody { bytes: body_stream(call.body()), length, wanted };
                    let uploader = shown.uploader(&call);
                    storage.create_resumable_with(&uploader, at, mode, attributes, new, body).await?
                }
                false => storage.create_resumable(&shown.uploader(&call), at, mode, attributes, new).await?,
            }
        }
    };
    // An upload without bytes was an object before anything could come.
    let brings = has_piece(call.headers()) && length != Some(0) && !is_final;
    call.log_size(progress.upload.resumable()?.offset);
    let mut response = answer::empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    let url = format!("{base_url}{ROOT}{}{}", C::SEGMENT, location::encode(&progress.upload.at));
    answer::put(headers, "location", &url);
    answer::describe(headers, &progress.upload)?;
    if !brings {
        headers.remove("upload-offset");
    }
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

/// Refuses bytes that nothing takes: those of no piece, and those of an upload that has none of its own.
fn check_piece(headers: &HeaderMap, length: Option<u64>, concat: &Concat) -> Result<(), ApiError> {
    let refuse = |status, message| Err(ApiError::Tus { status, message });
    let brings =
        content_length(headers).map_or(headers.contains_key(header::TRANSFER_ENCODING), |length| length > 0);
    match brings {
        false => Ok(()),
        true if !has_piece(headers) => {
            let message = "A body must be of the type application/offset+octet-stream";
            refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
        }
        true if matches!(concat, Concat::Final(_)) => {
            refuse(StatusCode::BAD_REQUEST, "A final upload has no bytes of its own")
        }
        true if length == Some(0) => {
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "The body is longer than Upload-Length says")
        }
        true => Ok(()),
    }
}

/// How long the upload will be; `None` leaves it open.
fn length(headers: &HeaderMap, concat: &Concat) -> Result<Option<u64>, ApiError> {
    let length = number(headers, "upload-length")?;
    let deferred = headers.get("upload-defer-length").map(http::HeaderValue::as_bytes);
    let refuse = |message| Err(ApiError::Tus { status: StatusCode::BAD_REQUEST, message });
    match (concat, length, deferred) {
        (Concat::Final(_), None, None) => Ok(None),
        (Concat::Final(_), ..) => refuse("Upload-Length is not for final uploads"),
        (_, Some(length), None) => Ok(Some(length)),
        (_, None, Some(b"1")) => Ok(None),
        (_, None, Some(_)) => refuse("Upload-Defer-Length must be 1"),
        (_, Some(_), Some(_)) => refuse("Upload-Length and Upload-Defer-Length exclude each other"),
        (_, None, None) => refuse("Upload-Length or Upload-Defer-Length header required"),
    }
}

/// What is told again when somebody asks: two headers, on a line each.
fn kept(told: &Told, headers: &HeaderMap) -> String {
    let concat = headers.get("upload-concat").and_then(|value| value.to_str().ok()).unwrap_or_default();
    format!("{}\n{concat}", told.text)
}
