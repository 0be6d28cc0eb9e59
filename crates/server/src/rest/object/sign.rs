//! `POST /object/sign/…`: URLs that download one object, for whoever has them.

use std::time::Duration;

use axum::response::Response;
use file_storage::storage::SignOptions;
use file_storage::{ObjectPath, Operation, StorageError};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::described::ObjectInUrl;
use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{ErrorBody, Signed, SignedEntry, SignedOutcome, SignedUrl};
use crate::rest::json::{self, Whole};
use crate::rest::query;

/// Most paths of one request.
const MAX_PATHS: usize = 1000;

/// A URL to be signed.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct SignObject {
    /// For how long, in seconds. Also taken from the query: `expires_in`.
    #[schema(value_type = Option<u64>)]
    expires_in: Option<Whole>,
    /// Whether it works only once. Also taken from the query: `single_use`.
    single_use: Option<bool>,
    /// Image transformations are not supported: anything but an empty object is refused.
    #[schema(value_type = Option<Object>)]
    transform: Option<Map<String, Value>>,
}

/// Makes a URL that downloads an object which the caller may read.
#[utoipa::path(
    post, path = "/object/sign/{bucket}/{*path}", tag = "Signed URLs", operation_id = "signObject",
    params(
        ObjectInUrl,
        ("expires_in" = Option<u64>, Query, description = "For how long, in seconds"),
        ("single_use" = Option<bool>, Query, description = "Whether it works only once"),
    ),
    request_body = Option<SignObject>,
    responses(
        (status = 200, description = "The URL", body = Signed),
        (status = 400, description = "A bad path or expiry", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "The bucket is closed to the caller", body = ErrorBody),
        (status = 404, description = "Nothing there that the caller may see", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn one(mut call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::SignDownload);
    let (bucket, path) = call.object("/object/sign/")?;
    let asked: SignObject = json::read_optional(call.body()).await?;
    let options = download_options(&call, asked.expires_in, asked.single_use)?;
    if asked.transform.is_some_and(|transform| !transform.is_empty()) {
        return Err(ApiError::Unsupported { what: "image transformation" });
    }
    let base_url = call.base_url()?;
    let token = call.storage().sign_download(call.context(), &bucket, &path, options).await?;
    Ok(call.dialect().signed(&SignedUrl { bucket: &bucket, path, token, base_url: &base_url }))
}

/// URLs to be signed.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct SignObjects {
    /// For how long, in seconds.
    #[schema(value_type = Option<u64>)]
    expires_in: Option<Whole>,
    /// Whether each works only once.
    single_use: Option<bool>,
    /// The paths, 1 to 1000 of them.
    paths: Vec<String>,
}

/// Makes URLs for many objects; where one can't be made, its entry says why.
#[utoipa::path(
    post, path = "/object/sign/{bucket}", tag = "Signed URLs", operation_id = "signObjects",
    params(("bucket" = String, Path, description = "The bucket")),
    request_body = SignObjects,
    responses(
        (status = 200, description = "One entry per path, in their order", body = Vec<SignedEntry<'static>>),
        (status = 400, description = "A bad body", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn many(mut call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::SignDownload);
    let bucket = call.bucket("/object/sign/")?;
    let asked: SignObjects = json::read(call.body()).await?;
    let options = download_options(&call, asked.expires_in, asked.single_use)?;
    if asked.paths.is_empty() || asked.paths.len() > MAX_PATHS {
        let words = if asked.paths.is_empty() { "fewer than 1" } else { "more than 1000" };
        return Err(ApiError::schema(format!("body/paths must NOT have {words} items")));
    }
    let base_url = call.base_url()?;
    let mut outcomes = Vec::with_capacity(asked.paths.len());
    for asked in &asked.paths {
        let outcome = match ObjectPath::parse(asked) {
            Ok(path) => call
                .storage()
                .sign_download(call.context(), &bucket, &path, options)
                .await
                .map(|token| SignedUrl { bucket: &bucket, path, token, base_url: &base_url }),
            Err(error) => Err(error),
        };
        // The expiry is the same for all of them.
        if let Err(error @ StorageError::InvalidRequest { .. }) = outcome {
            return Err(error.into());
        }
        outcomes.push(SignedOutcome { asked, outcome: outcome.map_err(ApiError::from) });
    }
    Ok(call.dialect().signed_many(&outcomes))
}

/// What is asked of a URL that downloads.
fn download_options(
    call: &Call<Token>,
    expires_in: Option<Whole>,
    single_use: Option<bool>,
) -> Result<SignOptions, ApiError> {
    if expires_in.is_none() && call.dialect().is_strict_about_fields() {
        return Err(ApiError::schema("body must have required property 'expiresIn'"));
    }
    options(call, expires_in, single_use)
}

/// What body and query say of a URL; the body's word counts where both speak.
pub(super) fn options(
    call: &Call<Token>,
    expires_in: Option<Whole>,
    single_use: Option<bool>,
) -> Result<SignOptions, ApiError> {
    let (seconds, place) = match expires_in {
        Some(Whole(seconds)) => (Some(seconds), "body/expiresIn"),
        None => (query::number(call.uri(), "expires_in")?, "querystring/expires_in"),
    };
    if seconds == Some(0) {
        return Err(ApiError::schema(format!("{place} must be >= 1")));
    }
    let single_use = match single_use {
        Some(chosen) => chosen,
        None => query::switch(call.uri(), "single_use")?,
    };
    Ok(SignOptions { expires_in: seconds.map(Duration::from_secs), single_use })
}
