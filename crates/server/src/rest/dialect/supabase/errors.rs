//! Errors in Supabase's words: exactly four keys, and almost always behind a status of 400.

use std::borrow::Cow;

use axum::response::Response;
use file_storage::StorageError;
use file_storage::errors::{Denial, DenialReason};
use file_storage::permissions::Permission;
use http::StatusCode;
use serde_json::json;

use crate::auth::AuthError;
use crate::errors::{ApiError, RLS_WORDS};

/// An error in Supabase's form.
struct Worded {
    /// The status on the wire.
    wire: StatusCode,
    /// The true one, in the body.
    status: u16,
    error: &'static str,
    code: &'static str,
    message: Cow<'static, str>,
}

/// Renders an error.
pub(in crate::rest::dialect) fn render(error: &ApiError) -> Response {
    let Worded { wire, status, error: label, code, message } = worded(error);
    let body = json!({ "statusCode": status.to_string(), "error": label, "message": message, "code": code });
    error.response(wire, &body)
}

/// The true status of an error, and its words alone: for what is not answered in JSON.
pub(in crate::rest::dialect) fn true_words(error: &ApiError) -> (StatusCode, String) {
    let worded = worded(error);
    (status(worded.status), worded.message.into_owned())
}

/// An error whose true status stands in the body alone.
fn wrapped(
    status: u16,
    error: &'static str,
    code: &'static str,
    message: impl Into<Cow<'static, str>>,
) -> Worded {
    Worded { wire: StatusCode::BAD_REQUEST, status, error, code, message: message.into() }
}

/// One whose status also stands on the wire.
fn open(
    wire: StatusCode,
    error: &'static str,
    code: &'static str,
    message: impl Into<Cow<'static, str>>,
) -> Worded {
    Worded { wire, status: wire.as_u16(), error, code, message: message.into() }
}

fn no_bucket() -> Worded {
    wrapped(404, "Bucket not found", "NoSuchBucket", "Bucket not found")
}

fn no_key() -> Worded {
    wrapped(404, "not_found", "NoSuchKey", "Object not found")
}

fn denied(message: impl Into<Cow<'static, str>>) -> Worded {
    wrapped(403, "Unauthorized", "AccessDenied", message)
}

fn worded(error: &ApiError) -> Worded {
    match error {
        ApiError::Storage(error) | ApiError::NoSuchKey(error) => storage(error),
        ApiError::ClosedToPublic(_) => no_bucket(),
        ApiError::Auth(error) => denied(verifiers_words(*error)),
        ApiError::TokenMissing => wrapped(400, "Error", "InvalidRequest", error.to_string()),
        ApiError::ServiceOnly => {
            open(StatusCode::FORBIDDEN, "Unauthorized", "AccessDenied", error.to_string())
        }
        ApiError::RateLimited(_) => {
            open(StatusCode::TOO_MANY_REQUESTS, "too_many_connections", "SlowDown", error.to_string())
        }
        ApiError::Schema(message) => wrapped(400, "Error", "InvalidRequest", message.clone()),
        ApiError::Json(message) => wrapped(400, "FastifyError", "InvalidRequest", message.clone()),
        ApiError::JsonTooLarge { .. } => {
            open(StatusCode::PAYLOAD_TOO_LARGE, "FastifyError", "InvalidRequest", error.to_string())
        }
        ApiError::UnknownRoute { method, path } | ApiError::MethodNotAllowed { method, path } => {
            let words = format!("Route {method}:{path} not found");
            open(StatusCode::NOT_FOUND, "Not Found", "InvalidRequest", words)
        }
        ApiError::Tus { status, message } => open(*status, "Error", "InvalidRequest", *message),
        ApiError::Unsupported { .. } => {
            wrapped(409, "FeatureNotEnabled", "FeatureNotEnabled", error.to_string())
        }
    }
}

fn storage(error: &StorageError) -> Worded {
    use StorageError as E;
    let message = error.to_string();
    match error {
        E::InvalidRequest { .. } | E::InvalidSql(_) => wrapped(400, "Error", "InvalidRequest", message),
        E::InvalidPath { .. } => wrapped(400, "InvalidKey", "InvalidKey", message),
        E::InvalidBucketName { .. } => wrapped(400, "Invalid Input", "InvalidBucketName", message),
        E::InvalidRange { .. } => {
            open(StatusCode::RANGE_NOT_SATISFIABLE, "invalid_range", "InvalidRange", message)
        }
        E::AuthRequired(denial) | E::Unauthorized(denial) => denial_worded(denial),
        E::InvalidSignature { reason } => signature(reason),
        E::UrlExpired(_) => wrapped(400, "InvalidJWT", "InvalidJWT", EXPIRED),
        E::BucketNotFound { .. } => no_bucket(),
        E::ObjectNotFound { .. } | E::ObjectDeleted { .. } => no_key(),
        // Supabase has no versions.
        E::VersionNotFound { .. } => wrapped(404, "not_found", "NoSuchVersion", message),
        E::VersionIsMarker { .. } => wrapped(405, "DeleteMarker", "MethodNotAllowed", message),
        E::PolicyNotFound { .. }
        | E::CredentialNotFound { .. }
        | E::WebhookNotFound { .. }
        | E::ProviderNotFound { .. }
        | E::LifecycleRuleNotFound { .. }
        | E::QueueEntryNotFound { .. }
        | E::JobNotFound { .. } => wrapped(404, "not_found", "InvalidRequest", message),
        E::QueueEntryEnded { .. } => wrapped(409, "Completed", "InvalidRequest", message),
        E::JobEnded { .. } => wrapped(409, "Ended", "InvalidRequest", message),
        E::JobRunning { .. } => wrapped(409, "Running", "InvalidRequest", message),
        E::OriginalUnusable { .. } => wrapped(409, "Unusable", "InvalidRequest", message),
        E::LifecycleHeld { .. } => wrapped(409, "Held", "InvalidRequest", message),
        E::TooManyJobs { .. } => wrapped(429, "TooManyJobs", "InvalidRequest", message),
        E::DigestMismatch { .. } => wrapped(400, "InvalidChecksum", "InvalidChecksum", message),
        E::PolicyExists { .. } | E::LifecycleRuleExists { .. } => {
            wrapped(409, "Duplicate", "ResourceAlreadyExists", message)
        }
        E::BucketExists { .. } => wrapped(409, "Duplicate", "BucketAlreadyExists", message),
        E::ObjectExists { .. } => wrapped(409, "Duplicate", "KeyAlreadyExists", message),
        E::BucketNotEmpty { .. } => wrapped(409, "ResourceNotEmpty", "ResourceNotEmpty", message),
        E::UploadNotFound { .. } => wrapped(404, "NoSuchUpload", "NoSuchUpload", message),
        E::UploadExpired { .. } => wrapped(410, "NoSuchUpload", "NoSuchUpload", message),
        E::TooManyUploads { .. } => wrapped(429, "TooManyUploads", "InvalidRequest", message),
        E::UploadTakenOver { .. } => wrapped(423, "ResourceLocked", "ResourceLocked", message),
        E::OffsetMismatch { .. } => wrapped(409, "InvalidRequest", "InvalidRequest", message),
        E::InvalidPart { .. } | E::InvalidPartOrder => wrapped(400, "MissingPart", "MissingPart", message),
        E::PartTooSmall { .. } => wrapped(400, "InvalidRequest", "InvalidRequest", message),
        E::PreconditionFailed { .. } => {
            open(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", "PreconditionFailed", message)
        }
        E::PayloadTooLarge { .. } => wrapped(413, "Payload too large", "EntityTooLarge", message),
        E::UnsupportedMediaType { .. } => wrapped(415, "invalid_mime_type", "InvalidMimeType", message),
        // Supabase has no quotas and says nothing of full disks.
        E::QuotaExceeded { .. } => wrapped(507, "QuotaExceeded", "QuotaExceeded", message),
        E::DiskFull { .. } => open(StatusCode::INSUFFICIENT_STORAGE, "DiskFull", "InternalError", message),
        E::BodyInterrupted { .. } => open(status(499), "Aborted", "Aborted", message),
        E::ChecksumMismatch { .. } | E::Io { .. } | E::Internal { .. } => {
            open(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "InternalError", message)
        }
        E::ProviderUnavailable { .. } | E::ProviderThrottled { .. } | E::CircuitOpen { .. } => {
            open(StatusCode::SERVICE_UNAVAILABLE, "InternalError", "InternalError", message)
        }
        E::RateLimited { .. } | E::Overloaded { .. } | E::ProviderOverloaded { .. } => {
            open(StatusCode::TOO_MANY_REQUESTS, "too_many_connections", "SlowDown", message)
        }
        E::OperationTimeout { .. } => open(status(544), "DatabaseTimeout", "DatabaseTimeout", message),
        E::ProviderTimeout { .. } => {
            open(StatusCode::GATEWAY_TIMEOUT, "InternalError", "InternalError", message)
        }
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Rows that are not visible do not exist, and writes that a policy refuses say so.
fn denial_worded(denial: &Denial) -> Worded {
    match (denial.permission, &denial.reason) {
        (Permission::ObjectRead, _) | (Permission::ObjectDelete, DenialReason::BucketPolicy) => no_key(),
        (Permission::BucketRead | Permission::BucketUpdate | Permission::BucketDelete, _) => no_bucket(),
        (
            Permission::BucketCreate
            | Permission::ObjectCreate
            | Permission::ObjectOverwrite
            | Permission::ObjectDelete,
            _,
        ) => denied(RLS_WORDS),
        (
            Permission::UploadContinue
            | Permission::UsageRead
            | Permission::QueueRead
            | Permission::JobRead
            | Permission::Explain
            | Permission::Maintain,
            _,
        ) => denied(denial.to_string()),
    }
}

/// The words of the verifier that Supabase uses, for a token that has expired.
const EXPIRED: &str = "\"exp\" claim timestamp check failed";
/// For one that is none.
const MALFORMED: &str = "Invalid Compact JWS";
/// For one that somebody else signed.
const FORGED: &str = "signature verification failed";

/// The same for a caller's token.
fn verifiers_words(error: AuthError) -> Cow<'static, str> {
    match error {
        AuthError::UserNotFound => error.to_string().into(),
        AuthError::InvalidToken { reason } => match reason {
            "the token has expired" => EXPIRED.into(),
            "the token is malformed" | "the token is empty" => MALFORMED.into(),
            "the token's signature does not fit" | "the token is not signed by a known key" => FORGED.into(),
            "the token's algorithm is not accepted" => {
                "\"alg\" (Algorithm) Header Parameter value not allowed".into()
            }
            "the token is not valid yet" => "\"nbf\" claim timestamp check failed".into(),
            other => other.into(),
        },
    }
}

/// What is wrong with the token of a signed URL.
fn signature(reason: &'static str) -> Worded {
    let invalid = |words| wrapped(400, "InvalidSignature", "InvalidSignature", words);
    let not_ours = |words| wrapped(400, "InvalidJWT", "InvalidJWT", words);
    match reason {
        "the token is not scoped for download" => invalid("Token is not scoped for download"),
        "the token is not scoped for upload" => invalid("Token is not scoped for upload"),
        "the token is malformed" => not_ours(MALFORMED),
        "the token was not signed by this server" | "the signature does not match" => not_ours(FORGED),
        _ => invalid("Invalid signature"),
    }
}
