//! The one error of the REST protocol and of management: what a request ended with, before any dialect words it.
//!
//! A handler answers an [`ApiError`] by `?`. It travels to the rendering layer in an extension of the response
//! ([`ApiError::of`]), where the dialect gives it status, body and headers. Here is its native form; the other one
//! is in `rest/dialect/supabase.rs`. Causes inside the server go to the log and never to a client.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use file_storage::StorageError;
use file_storage::errors::Denial;
use file_storage::permissions::Permission;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::auth::AuthError;
use crate::rate_limit::RateLimited;

/// Supabase's words for a write that row-level security refuses. Applications compare them.
pub(crate) const RLS_WORDS: &str = "new row violates row-level security policy";

/// What a request ended with, other than success.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// The domain's answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Somebody without a token asked for what is not public: it looks the same whether or not it exists.
    #[error("{0}")]
    ClosedToPublic(StorageError),
    /// An object that is not there, in the code by which `exists()` of `@supabase/storage-js` tells that from a fault:
    /// for that client alone, and only where it asks what is known about an object.
    #[error("{0}")]
    NoSuchKey(StorageError),
    /// A token that is not accepted.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// No token, where the dialect demands one.
    #[error("headers must have required property 'authorization'")]
    TokenMissing,
    /// Only the service role has this route.
    #[error("Access denied: Invalid role")]
    ServiceOnly,
    /// Too many requests from one address.
    #[error("Too many requests from this address")]
    RateLimited(RateLimited),
    /// A body or query of the wrong form. Says where, and what is wrong.
    #[error("{0}")]
    Schema(String),
    /// A body that is no JSON at all.
    #[error("{0}")]
    Json(String),
    /// A JSON body beyond the limit.
    #[error("Request body is too large")]
    JsonTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// No such route.
    #[error("Route {method}:{path} not found")]
    UnknownRoute {
        /// The method asked for.
        method: Method,
        /// The path asked for, below the base.
        path: String,
    },
    /// The route is there, and not for this method.
    #[error("Method {method} is not allowed for {path}")]
    MethodNotAllowed {
        /// The method asked for.
        method: Method,
        /// The path asked for, below the base.
        path: String,
    },
    /// A request that is not as TUS has it.
    #[error("{message}")]
    Tus {
        /// The status that the protocol has for that.
        status: StatusCode,
        /// What is wrong.
        message: &'static str,
    },
    /// Something that Supabase has and this server has not.
    #[error("{what} is not supported by this server")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
}

/// The native form of an error.
struct Native {
    status: StatusCode,
    /// A short label: Supabase's, where it has one.
    error: &'static str,
    message: Cow<'static, str>,
    code: &'static str,
}

impl ApiError {
    /// A body or query of the wrong form.
    pub fn schema(message: impl Into<String>) -> Self {
        Self::Schema(message.into())
    }

    /// The error that a response carries, to be rendered.
    pub fn of(response: &mut Response) -> Option<Arc<Self>> {
        response.extensions_mut().remove()
    }

    /// The stable code, which applications compare.
    pub fn code(&self) -> &'static str {
        self.native().code
    }

    /// The true status.
    pub(crate) fn status(&self) -> StatusCode {
        self.native().status
    }

    /// The answer in native form.
    pub fn render(&self, request_id: &str) -> Response {
        self.response(self.status(), &self.body(request_id))
    }

    /// What such an answer has for a body: also for those whose status went out before anything was wrong.
    pub(crate) fn body(&self, request_id: &str) -> Value {
        let Native { status, error, message, code } = self.native();
        let mut body = Map::new();
        body.insert("statusCode".to_owned(), status.as_str().into());
        body.insert("error".to_owned(), error.into());
        body.insert("message".to_owned(), message.into());
        body.insert("code".to_owned(), code.into());
        body.insert("retryable".to_owned(), self.is_retryable().into());
        body.insert("request_id".to_owned(), request_id.into());
        body.extend(self.context());
        Value::Object(body)
    }

    /// A JSON answer with the headers that the error calls for, in any dialect.
    pub(crate) fn response(&self, status: StatusCode, body: &Value) -> Response {
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Self::Storage(StorageError::InvalidRange { size }) = self
            && let Ok(value) = HeaderValue::try_from(format!("bytes */{size}"))
        {
            headers.insert(header::CONTENT_RANGE, value);
        }
        if let Self::Auth(_) | Self::Storage(StorageError::AuthRequired(_)) = self {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// What lies behind a fault of the server, for the log.
    pub(crate) fn cause(&self) -> Option<String> {
        match self {
            Self::Storage(error) if native_storage(error).status.is_server_error() => cause(error),
            _ => None,
        }
    }

    fn is_retryable(&self) -> bool {
        match self {
            Self::Storage(error) | Self::ClosedToPublic(error) | Self::NoSuchKey(error) => {
                error.is_retryable()
            }
            Self::RateLimited(_) => true,
            Self::Auth(_)
            | Self::TokenMissing
            | Self::ServiceOnly
            | Self::Schema(_)
            | Self::Json(_)
            | Self::JsonTooLarge { .. }
            | Self::UnknownRoute { .. }
            | Self::MethodNotAllowed { .. }
            | Self::Tus { .. }
            | Self::Unsupported { .. } => false,
        }
    }

    fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::RateLimited(limited) => Some(limited.retry_after_seconds()),
            Self::Storage(error) => error.retry_after().map(whole_seconds),
            _ => None,
        }
    }

    fn native(&self) -> Native {
        let (status, error, code) = match self {
            Self::Storage(error) | Self::ClosedToPublic(error) => return native_storage(error),
            Self::NoSuchKey(error) => return Native { code: "NoSuchKey", ..native_storage(error) },
            Self::Auth(error) => (StatusCode::UNAUTHORIZED, "Unauthorized", error.code()),
            Self::TokenMissing => (StatusCode::UNAUTHORIZED, "Unauthorized", "AUTH_REQUIRED"),
            Self::ServiceOnly => (StatusCode::FORBIDDEN, "Unauthorized", "STORAGE_UNAUTHORIZED"),
            Self::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "SlowDown", "RATE_LIMITED"),
            Self::Schema(_) | Self::Json(_) => (StatusCode::BAD_REQUEST, "Error", "INVALID_REQUEST"),
            Self::JsonTooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "Payload too large", "PAYLOAD_TOO_LARGE")
            }
            Self::UnknownRoute { .. } => (StatusCode::NOT_FOUND, "Not Found", "INVALID_REQUEST"),
            Self::MethodNotAllowed { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", "INVALID_REQUEST")
            }
            Self::Tus { status, .. } => (*status, "Error", "INVALID_REQUEST"),
            Self::Unsupported { .. } => (StatusCode::NOT_IMPLEMENTED, "NotSupported", "INVALID_REQUEST"),
        };
        Native { status, error, message: self.to_string().into(), code }
    }

    /// What else a client can act on.
    pub(crate) fn context(&self) -> Map<String, Value> {
        let value = match self {
            Self::Storage(error) | Self::ClosedToPublic(error) | Self::NoSuchKey(error) => {
                storage_context(error)
            }
            Self::JsonTooLarge { limit } => json!({ "limit": limit }),
            Self::RateLimited(limited) => json!({ "retry_after": limited.retry_after_seconds() }),
            Self::Auth(_)
            | Self::TokenMissing
            | Self::ServiceOnly
            | Self::Schema(_)
            | Self::Json(_)
            | Self::UnknownRoute { .. }
            | Self::MethodNotAllowed { .. }
            | Self::Tus { .. }
            | Self::Unsupported { .. } => Value::Null,
        };
        match value {
            Value::Object(context) => context,
            _ => Map::new(),
        }
    }
}

/// A wait as clients are told it: never none, and never too short.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn native_storage(error: &StorageError) -> Native {
    use StorageError as E;
    let (status, label) = match error {
        E::InvalidRequest { .. } => (StatusCode::BAD_REQUEST, "Error"),
        E::InvalidSql(_) => (StatusCode::BAD_REQUEST, "InvalidSql"),
        E::InvalidPath { .. } => (StatusCode::BAD_REQUEST, "InvalidKey"),
        E::InvalidBucketName { .. } => (StatusCode::BAD_REQUEST, "Invalid Input"),
        E::InvalidRange { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "invalid_range"),
        E::AuthRequired(_) => (StatusCode::UNAUTHORIZED, "Unauthorized"),
        E::Unauthorized(_) => (StatusCode::FORBIDDEN, "Unauthorized"),
        E::InvalidSignature { .. } => (StatusCode::FORBIDDEN, "InvalidSignature"),
        E::UrlExpired(_) => (StatusCode::GONE, "ExpiredToken"),
        E::BucketNotFound { .. } => (StatusCode::NOT_FOUND, "Bucket not found"),
        E::ObjectNotFound { .. } | E::ObjectDeleted { .. } | E::VersionNotFound { .. } => {
            (StatusCode::NOT_FOUND, "not_found")
        }
        E::VersionIsMarker { .. } => (StatusCode::METHOD_NOT_ALLOWED, "DeleteMarker"),
        E::PolicyNotFound { .. }
        | E::CredentialNotFound { .. }
        | E::WebhookNotFound { .. }
        | E::ProviderNotFound { .. }
        | E::LifecycleRuleNotFound { .. }
        | E::QueueEntryNotFound { .. }
        | E::JobNotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
        E::QueueEntryEnded { .. } => (StatusCode::CONFLICT, "Completed"),
        E::JobEnded { .. } => (StatusCode::CONFLICT, "Ended"),
        E::JobRunning { .. } => (StatusCode::CONFLICT, "Running"),
        E::OriginalUnusable { .. } => (StatusCode::CONFLICT, "Unusable"),
        E::LifecycleHeld { .. } => (StatusCode::CONFLICT, "Held"),
        E::TooManyJobs { .. } => (StatusCode::TOO_MANY_REQUESTS, "TooManyJobs"),
        E::DigestMismatch { .. } => (StatusCode::BAD_REQUEST, "InvalidChecksum"),
        E::BucketExists { .. }
        | E::ObjectExists { .. }
        | E::PolicyExists { .. }
        | E::LifecycleRuleExists { .. } => (StatusCode::CONFLICT, "Duplicate"),
        E::BucketNotEmpty { .. } => (StatusCode::CONFLICT, "ResourceNotEmpty"),
        E::UploadNotFound { .. } => (StatusCode::NOT_FOUND, "NoSuchUpload"),
        E::UploadExpired { .. } => (StatusCode::GONE, "ExpiredUpload"),
        E::TooManyUploads { .. } => (StatusCode::TOO_MANY_REQUESTS, "TooManyUploads"),
        E::UploadTakenOver { .. } => (StatusCode::LOCKED, "ResourceLocked"),
        E::OffsetMismatch { .. } => (StatusCode::CONFLICT, "InvalidUploadOffset"),
        E::InvalidPart { .. } => (StatusCode::BAD_REQUEST, "InvalidPart"),
        E::InvalidPartOrder => (StatusCode::BAD_REQUEST, "InvalidPartOrder"),
        E::PartTooSmall { .. } => (StatusCode::BAD_REQUEST, "EntityTooSmall"),
        E::PreconditionFailed { .. } => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
        E::PayloadTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "Payload too large"),
        E::UnsupportedMediaType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_mime_type"),
        E::QuotaExceeded { .. } => (StatusCode::INSUFFICIENT_STORAGE, "QuotaExceeded"),
        E::BodyInterrupted { .. } => (StatusCode::BAD_REQUEST, "Aborted"),
        E::DiskFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, "DiskFull"),
        E::ChecksumMismatch { .. } | E::Io { .. } | E::Internal { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
        }
        E::ProviderUnavailable { .. } | E::ProviderThrottled { .. } | E::CircuitOpen { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
        }
        E::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "SlowDown"),
        E::Overloaded { .. } | E::ProviderOverloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        E::OperationTimeout { .. } | E::ProviderTimeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "Timeout"),
    };
    let message = match error {
        E::Unauthorized(denial) if is_row_write(denial.permission) => RLS_WORDS.into(),
        // The reason has a field of its own.
        E::Unauthorized(denial) => denial.summary().into(),
        other => other.to_string().into(),
    };
    Native { status, error: label, message, code: error.code() }
}

/// Whether Supabase's words for a refused write fit this permission.
pub(crate) fn is_row_write(permission: Permission) -> bool {
    match permission {
        Permission::BucketCreate | Permission::ObjectCreate | Permission::ObjectOverwrite => true,
        Permission::BucketRead
        | Permission::BucketUpdate
        | Permission::BucketDelete
        | Permission::ObjectRead
        | Permission::ObjectDelete
        | Permission::UploadContinue
        | Permission::UsageRead
        | Permission::QueueRead
        | Permission::JobRead
        | Permission::Explain
        | Permission::Maintain => false,
    }
}

fn storage_context(error: &StorageError) -> Value {
    use StorageError as E;
    match error {
        E::InvalidPath { path, reason } => json!({ "path": path, "reason": reason }),
        E::InvalidBucketName { name, reason } => json!({ "bucket": name, "reason": reason }),
        E::InvalidSql(fault) => {
            let position = fault.position.map(|at| json!({ "line": at.line, "column": at.column }));
            json!({ "position": position, "reason": fault.reason, "hint": fault.hint })
        }
        E::PolicyExists { name } | E::PolicyNotFound { name } => json!({ "policy": &**name }),
        E::InvalidRange { size } => json!({ "size": size }),
        E::AuthRequired(denial) | E::Unauthorized(denial) => denial_context(denial),
        E::InvalidSignature { reason } => json!({ "reason": reason }),
        E::BucketNotFound { bucket } | E::BucketExists { bucket } | E::BucketNotEmpty { bucket } => {
            json!({ "bucket": bucket.as_str() })
        }
        E::ObjectDeleted { bucket, path, marker: version }
        | E::VersionNotFound { bucket, path, version }
        | E::VersionIsMarker { bucket, path, version } => {
            json!({ "bucket": bucket.as_str(), "path": path.as_str(), "version": version.to_string() })
        }
        E::ObjectNotFound { bucket, path }
        | E::ObjectExists { bucket, path }
        | E::PreconditionFailed { bucket, path }
        | E::ChecksumMismatch { bucket, path } => {
            json!({ "bucket": bucket.as_str(), "path": path.as_str() })
        }
        E::DigestMismatch { algorithm } => json!({ "algorithm": algorithm.as_str() }),
        E::OriginalUnusable { reason } => json!({ "reason": reason }),
        E::JobNotFound { job } | E::JobEnded { job } | E::JobRunning { job } => json!({ "job": job }),
        E::TooManyJobs { limit } => json!({ "limit": limit }),
        E::QueueEntryNotFound { entry } | E::QueueEntryEnded { entry } => json!({ "entry": entry }),
        E::WebhookNotFound { webhook } => json!({ "webhook": webhook }),
        E::LifecycleRuleNotFound { rule } => json!({ "rule": rule }),
        E::LifecycleRuleExists { name } => json!({ "name": &**name }),
        E::LifecycleHeld { until } => json!({ "until": until }),
        E::CredentialNotFound { access_key_id } => json!({ "access_key_id": access_key_id }),
        E::PayloadTooLarge { limit } => json!({ "limit": limit }),
        E::UnsupportedMediaType { content_type } => json!({ "content_type": content_type }),
        E::QuotaExceeded { scope, name, used, limit, requested } => {
            json!({
                "scope": scope, "name": &**name, "used": used, "quota": limit, "limit": limit,
                "requested": requested,
            })
        }
        E::BodyInterrupted { reason } => json!({ "reason": reason }),
        E::DiskFull { provider } | E::ProviderNotFound { provider } => json!({ "provider": &**provider }),
        E::ProviderTimeout { provider, operation } | E::Io { provider, operation, .. } => {
            json!({ "provider": &**provider, "operation": operation })
        }
        E::ProviderUnavailable { provider, operation, .. }
        | E::ProviderThrottled { provider, operation, .. }
        | E::ProviderOverloaded { provider, operation, .. }
        | E::CircuitOpen { provider, operation, .. } => {
            let retry_after = error.retry_after().map(whole_seconds);
            json!({ "provider": &**provider, "operation": operation, "retry_after": retry_after })
        }
        E::RateLimited { retry_after } | E::Overloaded { retry_after } => {
            json!({ "retry_after": whole_seconds(*retry_after) })
        }
        E::OperationTimeout { operation: "query" } => {
            json!({ "operation": "query", "hint": "narrow it by WHERE, above all on bucket_id and path, and join less" })
        }
        E::OperationTimeout { operation } => json!({ "operation": operation }),
        E::UploadNotFound { upload } | E::UploadExpired { upload } | E::UploadTakenOver { upload } => {
            json!({ "upload": upload })
        }
        E::TooManyUploads { limit } => json!({ "limit": limit }),
        E::OffsetMismatch { offset } => json!({ "offset": offset }),
        E::InvalidPart { number } => json!({ "part": number }),
        E::PartTooSmall { number, size, minimum } => {
            json!({ "part": number, "size": size, "minimum": minimum })
        }
        E::UrlExpired(end) => json!({ "reason": end.as_str() }),
        E::InvalidRequest { .. } | E::InvalidPartOrder | E::Internal { .. } => Value::Null,
    }
}

/// Which permission was missing, on what, and why: the answer to "why was I refused?".
fn denial_context(denial: &Denial) -> Value {
    let bucket = denial.bucket.as_ref().map(file_storage::BucketName::as_str);
    json!({ "permission": denial.permission.as_str(), "bucket": bucket, "reason": denial.reason.to_string() })
}

/// Too late for an answer: the head is sent, and all that is left is to cut the body off, and to log why.
pub(crate) fn broken(error: &StorageError) -> std::io::Error {
    let cause = cause(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    std::io::Error::other(cause)
}

/// What an error does not tell a client: where it happened and why, outermost first.
pub(crate) fn cause(error: &StorageError) -> Option<String> {
    let place = match error {
        StorageError::Internal { context, .. } => Some(context.clone()),
        StorageError::Io { provider, operation, .. } => Some(format!("{provider}: {operation}")),
        StorageError::ProviderUnavailable { operation, .. }
        | StorageError::ProviderThrottled { operation, .. }
        | StorageError::ProviderTimeout { operation, .. }
        | StorageError::ProviderOverloaded { operation, .. }
        | StorageError::CircuitOpen { operation, .. } => Some((*operation).to_owned()),
        StorageError::DiskFull { provider } => Some(format!("{provider}: no room")),
        _ => None,
    };
    let sources = std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string);
    let text: Vec<String> = place.into_iter().chain(sources).collect();
    (!text.is_empty()).then(|| text.join(": "))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // Rendered later, by the dialect; without that layer the status alone is still true.
        let mut response = self.native().status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
