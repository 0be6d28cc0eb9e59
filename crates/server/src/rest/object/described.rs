//! What the API's document says alike of several routes. These types describe; none of them is ever made.

#![expect(dead_code, reason = "describes routes in the API's document")]

use utoipa::{IntoParams, IntoResponses};

use crate::rest::dialect::ErrorBody;

/// The object that a URL names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ObjectInUrl {
    /// The bucket
    bucket: String,
    /// The path, percent-encoded; slashes stand as they are
    path: String,
}

/// Which version is meant.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfVersion {
    /// A version's id, or `null` for the one written while the bucket kept none; the current one by default
    version: Option<String>,
}

/// How a browser shall take the bytes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AsDownload {
    /// Save it as a file, perhaps under this name
    download: Option<String>,
}

/// Tags that an object must have, or must not have, to be written over.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct WriteConditions {
    /// Only over an object with one of these tags
    #[param(rename = "If-Match")]
    if_match: Option<String>,
    /// Only where none of these tags is; `*`: nothing
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// An object's bytes.
#[derive(IntoResponses)]
pub(super) enum Bytes {
    /// The bytes
    #[response(status = 200, content_type = "*/*")]
    Whole(Vec<u8>),
    /// A range of them
    #[response(status = 206, content_type = "*/*")]
    Range(Vec<u8>),
}

/// Why an object is not shown to a caller.
#[derive(IntoResponses)]
pub(super) enum ReadRefused {
    /// Not public, and no token, or a bad one
    #[response(status = 401)]
    NoToken(ErrorBody),
    /// The bucket is closed to the caller
    #[response(status = 403)]
    Closed(ErrorBody),
    /// Nothing there that the caller may see
    #[response(status = 404)]
    Missing(ErrorBody),
}

/// Why an object is not shown to everybody.
#[derive(IntoResponses)]
pub(super) enum PublicReadRefused {
    /// Not public
    #[response(status = 401)]
    NotPublic(ErrorBody),
    /// Nothing there
    #[response(status = 404)]
    Missing(ErrorBody),
    /// Too many requests from one address
    #[response(status = 429)]
    RateLimited(ErrorBody),
}

/// Why an object is not written.
#[derive(IntoResponses)]
pub(super) enum WriteRefused {
    /// A bad path or body
    #[response(status = 400)]
    Malformed(ErrorBody),
    /// No token, or a bad one
    #[response(status = 401)]
    NoToken(ErrorBody),
    /// The caller may not write here
    #[response(status = 403)]
    Denied(ErrorBody),
    /// No such bucket
    #[response(status = 404)]
    NoBucket(ErrorBody),
    /// A condition does not hold
    #[response(status = 412)]
    Condition(ErrorBody),
    /// It is too large
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The bucket does not take its type
    #[response(status = 415)]
    Type(ErrorBody),
    /// A quota or the disk is full
    #[response(status = 507)]
    Full(ErrorBody),
}
