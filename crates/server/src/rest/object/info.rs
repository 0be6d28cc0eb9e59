//! `GET /object/info/…`.

use axum::response::Response;
use file_storage::{Operation, StorageError};
use http::HeaderMap;

use super::described::{ObjectInUrl, OfVersion, PublicReadRefused, ReadRefused};
use super::{closed_to_public, version};
use crate::errors::ApiError;
use crate::rest::call::{Call, Caller, OptionalToken, Public, Token};
use crate::rest::dialect::ObjectBody;

/// Says what is known about an object that the caller may read.
#[utoipa::path(
    get, path = "/object/info/{bucket}/{*path}", tag = "Objects", operation_id = "getObjectInfo",
    params(ObjectInUrl, OfVersion),
    responses(
        (status = 200, description = "The object", body = ObjectBody<'static>),
        ReadRefused,
    ),
)]
pub(in crate::rest) async fn optional(call: Call<OptionalToken>) -> Result<Response, ApiError> {
    let has_token = call.has_token();
    answer(call, "/object/info/", has_token).await
}

/// The same, with a token.
#[utoipa::path(
    get, path = "/object/info/authenticated/{bucket}/{*path}", tag = "Objects",
    operation_id = "getObjectInfoAuthenticated",
    params(ObjectInUrl, OfVersion),
    responses(
        (status = 200, description = "The object", body = ObjectBody<'static>),
        ReadRefused,
    ),
)]
pub(in crate::rest) async fn authenticated(call: Call<Token>) -> Result<Response, ApiError> {
    answer(call, "/object/info/authenticated/", true).await
}

/// The same of a public bucket. Tokens do not count.
#[utoipa::path(
    get, path = "/object/info/public/{bucket}/{*path}", tag = "Objects", operation_id = "getPublicObjectInfo",
    params(ObjectInUrl, OfVersion),
    responses(
        (status = 200, description = "The object", body = ObjectBody<'static>),
        PublicReadRefused,
    ),
)]
pub(in crate::rest) async fn public(call: Call<Public>) -> Result<Response, ApiError> {
    answer(call, "/object/info/public/", false).await
}

async fn answer<C: Caller>(call: Call<C>, prefix: &str, has_token: bool) -> Result<Response, ApiError> {
    call.begin(Operation::Info);
    let (bucket, path) = call.object(prefix)?;
    let found = match version(call.uri())? {
        None => call.storage().info(call.context(), &bucket, &path).await,
        Some(version) => call.storage().version_info(call.context(), &bucket, &path, version).await,
    };
    let supabase_client = is_supabase_client(call.headers());
    let object = found.map_err(|error| match error {
        StorageError::ObjectNotFound { .. } | StorageError::ObjectDeleted { .. } if supabase_client => {
            ApiError::NoSuchKey(error)
        }
        error if has_token => error.into(),
        error => closed_to_public(error),
    })?;
    Ok(call.dialect().info(&object))
}

/// Supabase's JavaScript clients say who they are. Their `exists()` knows an absence by Supabase's code alone.
fn is_supabase_client(headers: &HeaderMap) -> bool {
    let said = headers.get("x-client-info").and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.starts_with("storage-js/") || said.starts_with("supabase-")
}
