//! `POST` and `PUT /object/{bucket}/{path}`.

use axum::response::Response;
use file_storage::executor::Written;
use file_storage::file::PutMode;
use file_storage::storage::PendingUpload;
use file_storage::{ObjectPath, Operation, Role, StorageError};
use http::{HeaderValue, StatusCode, header};

use super::described::{ObjectInUrl, WriteConditions, WriteRefused};
use super::put_mode;
use crate::conditional;
use crate::errors::ApiError;
use crate::rest::body;
use crate::rest::call::{Call, Caller, Token};
use crate::rest::dialect::{ErrorBody, Uploaded};
use crate::rest::{prefer, upload_queue};

/// Creates an object; with `x-upsert: true` also over one that is there.
#[utoipa::path(
    post, path = "/object/{bucket}/{*path}", tag = "Objects", operation_id = "createObject",
    params(
        ObjectInUrl,
        ("x-upsert" = Option<bool>, Header, description = "Replace an object that is there"),
        ("x-metadata" = Option<String>, Header, description = "User metadata: base64 of a JSON object"),
        ("cache-control" = Option<String>, Header, description = "Kept for downloads"),
        ("prefer" = Option<String>, Header, description = "`respond-async`: do not wait for the provider that the bytes are for"),
        WriteConditions,
    ),
    request_body(
        description = "The bytes; or a form with one file and the fields `cacheControl`, `metadata`, `contentType` before it",
        content((Vec<u8> = "application/octet-stream"), (String = "multipart/form-data")),
    ),
    responses(
        (status = 201, description = "The object", body = Uploaded<'static>),
        (status = 202, description = "The object, which is there; its bytes are on their way: `Location` is their entry of the upload queue", body = Uploaded<'static>),
        WriteRefused,
        (status = 409, description = "There is an object already", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn create(call: Call<Token>) -> Result<Response, ApiError> {
    let mode = put_mode(call.headers());
    write(call, mode, StatusCode::CREATED).await
}

/// Writes an object, whether or not there is one: the last write wins, unless `If-Match` or `If-None-Match` decide.
#[utoipa::path(
    put, path = "/object/{bucket}/{*path}", tag = "Objects", operation_id = "putObject",
    params(
        ObjectInUrl,
        ("x-metadata" = Option<String>, Header, description = "User metadata: base64 of a JSON object"),
        ("prefer" = Option<String>, Header, description = "`respond-async`, as for POST"),
        WriteConditions,
    ),
    request_body(
        description = "The bytes, or a form, as for POST",
        content((Vec<u8> = "application/octet-stream"), (String = "multipart/form-data")),
    ),
    responses(
        (status = 200, description = "The object", body = Uploaded<'static>),
        (status = 202, description = "The object, whose bytes are on their way, as for POST", body = Uploaded<'static>),
        WriteRefused,
    ),
)]
pub(in crate::rest) async fn overwrite(call: Call<Token>) -> Result<Response, ApiError> {
    write(call, PutMode::Upsert, StatusCode::OK).await
}

async fn write(mut call: Call<Token>, mode: PutMode, status: StatusCode) -> Result<Response, ApiError> {
    call.begin(Operation::Upload(&mode));
    let (bucket, path) = call.new_object("/object/")?;
    let mode = conditional::write(call.headers(), mode)?;
    let pending = call.storage().admit_upload(call.context(), &bucket, &path, mode).await?;
    // Nobody without a user could ask for the entry.
    let may_ask = call.context().role() != Role::Anon;
    if !may_ask || !prefer::wants_async(call.headers()) {
        let written = take_in(&mut call, pending, &path).await?;
        return Ok(call.dialect().uploaded(&written, status));
    }
    let base_url = call.base_url()?;
    let written = take_in(&mut call, pending.deferrable(), &path).await?;
    let response = call.dialect().uploaded(&written, status);
    Ok(match written.queued {
        Some(entry) => accepted(response, &format!("{base_url}{}/{entry}", upload_queue::ROUTE)),
        None => response,
    })
}

/// The answer to an upload that is kept, and not yet where it belongs.
fn accepted(mut response: Response, entry: &str) -> Response {
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    headers.insert(prefer::PREFERENCE_APPLIED, HeaderValue::from_static(prefer::RESPOND_ASYNC));
    if let Ok(entry) = HeaderValue::try_from(entry) {
        headers.insert(header::LOCATION, entry);
    }
    response
}

/// Takes in the body of an upload that was let in, to this path.
pub(super) async fn take_in<C: Caller>(
    call: &mut Call<C>,
    pending: PendingUpload,
    path: &ObjectPath,
) -> Result<Written, ApiError> {
    let marks_folder = call.dialect().is_folder_marker(path);
    let pending = if marks_folder { pending.as_folder_marker() } else { pending };
    if let (Some(announced), Some(limit)) = (body::announced(call.headers()), pending.size_limit())
        && announced > limit
        && body::is_form(call.headers())
    {
        // A form is read in part before the storage knows anything of its file: too large is too large before that.
        return Err(StorageError::PayloadTooLarge { limit }.into());
    }
    let stream = call.body();
    let incoming = body::open(call.headers(), stream, call.dialect()).await?;
    let written = pending.store(incoming.attributes, incoming.length, incoming.bytes).await?;
    call.log_size(written.object.size);
    Ok(written)
}
