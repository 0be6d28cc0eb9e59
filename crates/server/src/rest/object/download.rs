//! `GET` and `HEAD` of an object's bytes, by any of its four doors.

use axum::body::Body;
use axum::response::Response;
use file_storage::storage::{Download, DownloadBody};
use file_storage::{Operation, StorageError, StorageObject, Timestamp};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::described::{AsDownload, Bytes, ObjectInUrl, OfVersion, PublicReadRefused, ReadRefused};
use super::{closed_to_public, version};
use crate::conditional::{self, Verdict};
use crate::errors::{self, ApiError};
use crate::range::{self, Asked};
use crate::rest::call::{Call, Caller, OptionalToken, Public, Signed, Token};
use crate::rest::dialect::ErrorBody;
use crate::rest::{body, query};

/// Users' content runs no script and loads nothing, wherever it is opened.
const SANDBOX: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");

/// Downloads an object that the caller may read; without a token, one that everybody may read.
#[utoipa::path(
    method(get, head), path = "/object/{bucket}/{*path}", tag = "Objects", operation_id = "getObject",
    params(
        ObjectInUrl,
        AsDownload,
        OfVersion,
        ("Range" = Option<String>, Header, description = "One range of bytes; several are answered with the whole"),
        ("If-None-Match" = Option<String>, Header, description = "304 where the tag is one of these"),
    ),
    responses(
        Bytes,
        ReadRefused,
        (status = 304, description = "The client has them already"),
        (status = 412, description = "A condition does not hold", body = ErrorBody),
        (status = 416, description = "The range lies outside", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn optional(call: Call<OptionalToken>) -> Result<Response, ApiError> {
    let has_token = call.has_token();
    open(call, "/object/", has_token).await
}

/// Downloads an object that the caller may read.
#[utoipa::path(
    method(get, head),
    path = "/object/authenticated/{bucket}/{*path}",
    tag = "Objects",
    operation_id = "getObjectAuthenticated",
    params(ObjectInUrl, AsDownload, OfVersion),
    responses(Bytes, ReadRefused)
)]
pub(in crate::rest) async fn authenticated(call: Call<Token>) -> Result<Response, ApiError> {
    open(call, "/object/authenticated/", true).await
}

/// Downloads an object of a public bucket. Tokens do not count.
#[utoipa::path(
    method(get, head),
    path = "/object/public/{bucket}/{*path}",
    tag = "Objects",
    operation_id = "getPublicObject",
    params(ObjectInUrl, AsDownload, OfVersion),
    responses(Bytes, PublicReadRefused)
)]
pub(in crate::rest) async fn public(call: Call<Public>) -> Result<Response, ApiError> {
    open(call, "/object/public/", false).await
}

/// Downloads the object that a signed URL was made for. One for a single use is used up by the first GET that is
/// answered with bytes, be it a range of them.
#[utoipa::path(
    method(get, head), path = "/object/sign/{bucket}/{*path}", tag = "Signed URLs", operation_id = "getSignedObject",
    params(
        ObjectInUrl,
        ("token" = String, Query, description = "The token of the signed URL"),
        ("expires" = Option<i64>, Query, description = "The expiry of the signed URL, which must be the token's"),
        AsDownload,
    ),
    responses(
        Bytes,
        (status = 403, description = "The token is not this object's", body = ErrorBody),
        (status = 404, description = "The object is gone", body = ErrorBody),
        (status = 410, description = "The URL has expired, or was used", body = ErrorBody),
        (status = 429, description = "Too many requests from one address", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn signed(call: Call<Signed>) -> Result<Response, ApiError> {
    call.begin(Operation::Download);
    let token = query::required(call.uri(), "token")?;
    let (bucket, path) = call.object("/object/sign/")?;
    if version(call.uri())?.is_some() {
        return Err(ApiError::schema("querystring/version is not what a URL is signed for"));
    }
    let expires = query::parameter(call.uri(), "expires").map(|text| text.parse().unwrap_or(i64::MIN));
    let verified = call.storage().verify_download(&token, &bucket, &path, expires);
    let verified = verified.map_err(|error| of_this_kind(error, "the token is not scoped for download"))?;
    let download = call.storage().download_signed(&verified, call.context()).await?;
    answer(call, download, Validity::Until(verified.object().expires_at())).await
}

/// A token that is well signed and no token of this route.
pub(super) fn of_this_kind(error: StorageError, scope: &'static str) -> StorageError {
    match error {
        StorageError::InvalidSignature { reason: "the token is of another kind" } => {
            StorageError::InvalidSignature { reason: scope }
        }
        other => other,
    }
}

async fn open<C: Caller>(call: Call<C>, prefix: &str, has_token: bool) -> Result<Response, ApiError> {
    call.begin(Operation::Download);
    let (bucket, path) = call.object(prefix)?;
    let opened = match version(call.uri())? {
        None => call.storage().download(call.context(), &bucket, &path).await,
        Some(version) => call.storage().download_version(call.context(), &bucket, &path, version).await,
    };
    let download = if has_token { opened? } else { opened.map_err(closed_to_public)? };
    answer(call, download, if has_token { Validity::Private } else { Validity::Public }).await
}

/// How long an answer is good for.
#[derive(Clone, Copy)]
enum Validity {
    /// As its object says; else for the caller alone.
    Private,
    /// As its object says.
    Public,
    /// As long as its URL.
    Until(Timestamp),
}

async fn answer<C: Caller>(
    call: Call<C>,
    download: Download,
    validity: Validity,
) -> Result<Response, ApiError> {
    let object = download.object();
    let mut response = Response::new(Body::empty());
    describe(&call, object, validity, response.headers_mut());
    match conditional::read(call.headers(), object) {
        Verdict::Serve => {}
        Verdict::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(header::CONTENT_TYPE);
            return Ok(response);
        }
        Verdict::Failed => {
            let (bucket, path) = (object.bucket.clone(), object.path.clone());
            return Err(StorageError::PreconditionFailed { bucket, path }.into());
        }
    }
    let size = object.size;
    let range = match wanted_range(call.headers(), object) {
        Asked::Whole => None,
        Asked::Part(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let told = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
            insert(response.headers_mut(), header::CONTENT_RANGE, told);
            Some(range)
        }
        Asked::Outside => return Err(StorageError::InvalidRange { size }.into()),
    };
    let length = range.as_ref().map_or(size, |range| range.end.saturating_sub(range.start));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    call.log_size(length);
    if !call.is_head() {
        *response.body_mut() = match download.body(range).await? {
            DownloadBody::Bytes(bytes) => Body::from(bytes),
            DownloadBody::Stream(stream) => Body::from_stream(stream.map_err(|error| errors::broken(&error))),
        };
    }
    Ok(response)
}

fn wanted_range(headers: &HeaderMap, object: &StorageObject) -> Asked {
    match headers.get(header::RANGE).and_then(|value| value.to_str().ok()) {
        Some(value) if conditional::range_holds(headers, object) => range::parse(value, object.size),
        Some(_) | None => Asked::Whole,
    }
}

/// The headers that say what it is. They are the same for a GET, a HEAD, a part and a 304.
fn describe<C: Caller>(call: &Call<C>, object: &StorageObject, validity: Validity, headers: &mut HeaderMap) {
    let dialect = call.dialect();
    let kind = HeaderValue::from_str(dialect.served_type(&object.content_type));
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.reserve(12);
    headers.insert(header::CONTENT_TYPE, kind);
    insert(headers, header::ETAG, ["\"", &object.etag, "\""].concat());
    insert(headers, header::LAST_MODIFIED, httpdate::fmt_http_date(object.updated_at.into()));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, SANDBOX);
    match validity {
        Validity::Until(time) => insert(headers, header::EXPIRES, httpdate::fmt_http_date(time.into())),
        Validity::Public | Validity::Private => {
            let default = dialect.default_cache_control(matches!(validity, Validity::Public));
            let control = object.cache_control.as_deref().unwrap_or(default);
            let asked_again = call.headers().contains_key(header::IF_NONE_MATCH);
            match dialect.revalidation().filter(|_| asked_again) {
                Some(more) => insert(headers, header::CACHE_CONTROL, format!("{control}, {more}")),
                None => insert(headers, header::CACHE_CONTROL, control),
            }
        }
    }
    let robots = body::robots_tag(&object.metadata).or(dialect.default_robots_tag());
    if let Some(robots) = robots {
        headers.insert("x-robots-tag", robots);
    }
    if let Some(name) = query::parameter(call.uri(), "download") {
        headers.insert(header::CONTENT_DISPOSITION, dialect.attachment(&name, &object.path));
    }
}

/// Sets a header, unless the value can't be one.
fn insert<V>(headers: &mut HeaderMap, name: header::HeaderName, value: V)
where
    HeaderValue: TryFrom<V>,
{
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
