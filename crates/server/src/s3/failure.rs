//! What goes wrong, in S3's codes: the one place where the domain's errors become S3's.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use file_storage::StorageError;
use file_storage::digests::Algorithm;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::object::VERSION_ID;
use super::xml::escaped;
use crate::auth::AuthError;
use crate::errors;
use crate::rate_limit::RateLimited;

/// What a request ended with, other than success.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    /// Further elements of the answer's XML.
    details: Vec<(&'static str, String)>,
    headers: Box<HeaderMap>,
    /// What lies behind a fault of the server, for the log.
    cause: Option<String>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: Vec::new(),
            headers: Box::default(),
            cause: None,
        }
    }

    pub(super) fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A request that makes no sense.
    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request("InvalidRequest", message)
    }

    /// An argument that can't be.
    pub(super) fn argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request("InvalidArgument", message)
    }

    pub(super) fn denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    /// What S3 has and this server has not. It never answers success for what it did not do.
    pub(super) fn not_implemented(what: impl std::fmt::Display) -> Self {
        let message = format!("{what} is not supported by this server");
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    /// Adds an element to the answer's XML.
    pub(super) fn detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The answer.
    pub(super) fn response(&self, resource: &str, request_id: &str) -> Response {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
        let mut element = |name: &str, value: &str| {
            xml.push_str(&format!("<{name}>{}</{name}>", escaped(value)));
        };
        element("Code", self.code);
        element("Message", &self.message);
        for (name, value) in &self.details {
            element(name, value);
        }
        element("Resource", resource);
        element("RequestId", request_id);
        xml.push_str("</Error>");
        let mut response = Response::new(Body::from(xml));
        *response.status_mut() = self.status;
        response.headers_mut().extend((*self.headers).clone());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        response
    }
}

/// Says that what was asked for is a delete marker.
const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        use StorageError as E;
        let message = error.to_string();
        let (status, code) = match &error {
            E::InvalidRequest { .. } | E::InvalidSql(_) => (StatusCode::BAD_REQUEST, "InvalidRequest"),
            E::InvalidPath { path, .. } if path.len() > file_storage::path::MAX_PATH_BYTES => {
                (StatusCode::BAD_REQUEST, "KeyTooLongError")
            }
            E::InvalidPath { .. } => (StatusCode::BAD_REQUEST, "InvalidArgument"),
            E::InvalidBucketName { .. } => (StatusCode::BAD_REQUEST, "InvalidBucketName"),
            E::InvalidRange { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"),
            E::AuthRequired(_) | E::Unauthorized(_) => (StatusCode::FORBIDDEN, "AccessDenied"),
            E::InvalidSignature { .. } => (StatusCode::FORBIDDEN, "SignatureDoesNotMatch"),
            E::UrlExpired(_) => (StatusCode::FORBIDDEN, "AccessDenied"),
            E::BucketNotFound { .. } => (StatusCode::NOT_FOUND, "NoSuchBucket"),
            E::ObjectNotFound { .. } | E::ObjectDeleted { .. } => (StatusCode::NOT_FOUND, "NoSuchKey"),
            E::VersionNotFound { .. } => (StatusCode::NOT_FOUND, "NoSuchVersion"),
            E::VersionIsMarker { .. } => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            // Of management, which S3 has no words for.
            E::PolicyNotFound { .. }
            | E::CredentialNotFound { .. }
            | E::WebhookNotFound { .. }
            | E::ProviderNotFound { .. }
            | E::LifecycleRuleNotFound { .. }
            | E::QueueEntryNotFound { .. }
            | E::JobNotFound { .. } => (StatusCode::NOT_FOUND, "NoSuchEntity"),
            E::QueueEntryEnded { .. }
            | E::JobEnded { .. }
            | E::JobRunning { .. }
            | E::OriginalUnusable { .. }
            | E::LifecycleHeld { .. } => (StatusCode::CONFLICT, "InvalidState"),
            E::TooManyJobs { .. } => (StatusCode::BAD_REQUEST, "InvalidRequest"),
            E::PolicyExists { .. } | E::LifecycleRuleExists { .. } => {
                (StatusCode::CONFLICT, "EntityAlreadyExists")
            }
            E::BucketExists { .. } => (StatusCode::CONFLICT, "BucketAlreadyExists"),
            E::ObjectExists { .. } | E::PreconditionFailed { .. } => {
                (StatusCode::PRECONDITION_FAILED, "PreconditionFailed")
            }
            E::BucketNotEmpty { .. } => (StatusCode::CONFLICT, "BucketNotEmpty"),
            E::PayloadTooLarge { .. } => (StatusCode::BAD_REQUEST, "EntityTooLarge"),
            E::UnsupportedMediaType { .. } => (StatusCode::BAD_REQUEST, "InvalidArgument"),
            E::QuotaExceeded { .. } => (StatusCode::FORBIDDEN, "QuotaExceeded"),
            E::BodyInterrupted { .. } => (StatusCode::BAD_REQUEST, "IncompleteBody"),
            E::UploadNotFound { .. } | E::UploadExpired { .. } => (StatusCode::NOT_FOUND, "NoSuchUpload"),
            E::InvalidPart { .. } => (StatusCode::BAD_REQUEST, "InvalidPart"),
            E::InvalidPartOrder => (StatusCode::BAD_REQUEST, "InvalidPartOrder"),
            E::PartTooSmall { .. } => (StatusCode::BAD_REQUEST, "EntityTooSmall"),
            // S3 has no such bound, and no word for it.
            E::TooManyUploads { .. } => (StatusCode::BAD_REQUEST, "InvalidRequest"),
            // Of uploads that are appended to, which S3 has not.
            E::UploadTakenOver { .. } | E::OffsetMismatch { .. } => {
                (StatusCode::CONFLICT, "OperationAborted")
            }
            E::DigestMismatch { algorithm: Algorithm::Sha256 } => {
                (StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch")
            }
            E::DigestMismatch { .. } => (StatusCode::BAD_REQUEST, "BadDigest"),
            E::DiskFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, "StorageFull"),
            E::ChecksumMismatch { .. } | E::Io { .. } | E::Internal { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
            }
            E::ProviderUnavailable { .. }
            | E::ProviderThrottled { .. }
            | E::CircuitOpen { .. }
            | E::OperationTimeout { .. }
            | E::ProviderTimeout { .. } => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            E::RateLimited { .. } | E::Overloaded { .. } | E::ProviderOverloaded { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "SlowDown")
            }
        };
        let mut failure = Self::new(status, code, message);
        match &error {
            E::InvalidPath { reason, .. } | E::InvalidBucketName { reason, .. } => {
                failure.message = format!("{}: {reason}", failure.message).into();
            }
            E::BodyInterrupted { reason } => {
                failure.message = format!("{}: {reason}", failure.message).into();
            }
            E::ObjectDeleted { marker: version, .. } | E::VersionIsMarker { version, .. } => {
                failure = failure.header(DELETE_MARKER, HeaderValue::from_static("true"));
                if let Ok(value) = HeaderValue::try_from(version.to_string()) {
                    failure.headers.insert(VERSION_ID, value);
                }
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    failure.headers.insert(header::ALLOW, HeaderValue::from_static("DELETE"));
                }
            }
            E::InvalidRange { size } => {
                if let Ok(value) = HeaderValue::try_from(format!("bytes */{size}")) {
                    failure.headers.insert(header::CONTENT_RANGE, value);
                }
            }
            _ => {}
        }
        if let Some(wait) = error.retry_after() {
            failure.headers.insert(header::RETRY_AFTER, HeaderValue::from(errors::whole_seconds(wait)));
        }
        if status.is_server_error() {
            failure.cause = errors::cause(&error);
        }
        failure
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        let message = format!("The security token in the request is not accepted: {error}");
        match error {
            AuthError::InvalidToken { reason: "the token has expired" } => {
                Self::bad_request("ExpiredToken", message)
            }
            AuthError::InvalidToken { .. } => Self::bad_request("InvalidToken", message),
            AuthError::UserNotFound => Self::denied(message),
        }
    }
}

impl From<RateLimited> for Failure {
    fn from(limited: RateLimited) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Too many requests from this address")
            .header(header::RETRY_AFTER, HeaderValue::from(limited.retry_after_seconds()))
    }
}
