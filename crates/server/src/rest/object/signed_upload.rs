//! `POST` and `PUT /object/upload/sign/{bucket}/{path}`: URLs that upload one object, and their use.

use axum::response::Response;
use file_storage::Operation;
use file_storage::file::PutMode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::described::ObjectInUrl;
use super::download::of_this_kind;
use super::upload::take_in;
use super::{sign, wants_upsert};
use crate::errors::ApiError;
use crate::rest::call::{Call, Signed, Token};
use crate::rest::dialect::{ErrorBody, SignedUrl, UploadTarget, Uploaded};
use crate::rest::json::{self, Whole};
use crate::rest::query;

/// An upload URL to be signed.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct SignUpload {
    /// For how long, in seconds: two hours by default. Also taken from the query: `expires_in`.
    #[schema(value_type = Option<u64>)]
    expires_in: Option<Whole>,
    /// Whether it works only once. Also taken from the query: `single_use`.
    single_use: Option<bool>,
}

/// Makes a URL that uploads one object in the caller's name. Whether they may write over what is there and they
/// cannot see is told by the use of the URL, not by its making.
#[utoipa::path(
    post, path = "/object/upload/sign/{bucket}/{*path}", tag = "Signed URLs", operation_id = "signUpload",
    params(
        ObjectInUrl,
        ("x-upsert" = Option<bool>, Header, description = "Whether the URL may replace an object"),
        ("expires_in" = Option<u64>, Query, description = "For how long, in seconds"),
        ("single_use" = Option<bool>, Query, description = "Whether it works only once"),
    ),
    request_body = Option<SignUpload>,
    responses(
        (status = 200, description = "The URL", body = UploadTarget<'static>),
        (status = 400, description = "A bad path or expiry", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "The caller may not write here", body = ErrorBody),
        (status = 404, description = "No such bucket", body = ErrorBody),
        (status = 409, description = "There is an object already that the caller can see", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn make(mut call: Call<Token>) -> Result<Response, ApiError> {
    let upsert = wants_upsert(call.headers());
    call.begin(Operation::SignUpload(&if upsert { PutMode::Upsert } else { PutMode::Create }));
    let (bucket, path) = call.new_object("/object/upload/sign/")?;
    let asked: SignUpload = json::read_optional(call.body()).await?;
    let options = sign::options(&call, asked.expires_in, asked.single_use)?;
    let base_url = call.base_url()?;
    let token = call.storage().sign_upload(call.context(), &bucket, &path, upsert, options).await?;
    Ok(call.dialect().signed_upload(&SignedUrl { bucket: &bucket, path, token, base_url: &base_url }))
}

/// Uploads the object that a signed URL was made for. Its owner, and whether it may replace anything, are the URL's.
#[utoipa::path(
    put, path = "/object/upload/sign/{bucket}/{*path}", tag = "Signed URLs", operation_id = "putSignedUpload",
    params(
        ObjectInUrl,
        ("token" = String, Query, description = "The token of the signed URL"),
    ),
    request_body(
        description = "The bytes, or a form",
        content((Vec<u8> = "application/octet-stream"), (String = "multipart/form-data")),
    ),
    responses(
        (status = 200, description = "The object", body = Uploaded<'static>),
        (status = 403, description = "The token is not this object's, or its signer may not write there", body = ErrorBody),
        (status = 409, description = "There is an object already", body = ErrorBody),
        (status = 410, description = "The URL has expired, or was used", body = ErrorBody),
        (status = 413, description = "It is too large", body = ErrorBody),
        (status = 415, description = "The bucket does not take its type", body = ErrorBody),
        (status = 429, description = "Too many requests from one address", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn put(mut call: Call<Signed>) -> Result<Response, ApiError> {
    call.begin(Operation::Upload(&PutMode::Create));
    let token = query::required(call.uri(), "token")?.into_owned();
    let (bucket, path) = call.new_object("/object/upload/sign/")?;
    let verified = call.storage().verify_upload(&token, &bucket, &path);
    let verified = verified.map_err(|error| of_this_kind(error, "the token is not scoped for upload"))?;
    let pending = call.storage().admit_signed_upload(&verified, call.context()).await?;
    let written = take_in(&mut call, pending, &path).await?;
    Ok(call.dialect().uploaded_by_url(&written))
}
