//! What programs do with an outcome without reading its words: its code, whether to come again, and when.

use std::time::Duration;

use super::StorageError;

impl StorageError {
    /// Whether the same request may succeed later without being changed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ProviderUnavailable { .. }
            | Self::ProviderThrottled { .. }
            | Self::ProviderTimeout { .. }
            | Self::ProviderOverloaded { .. }
            | Self::CircuitOpen { .. }
            | Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::OperationTimeout { .. }
            | Self::UploadTakenOver { .. }
            | Self::BodyInterrupted { .. } => true,
            Self::InvalidRequest { .. }
            | Self::InvalidSql(_)
            | Self::InvalidPath { .. }
            | Self::InvalidBucketName { .. }
            | Self::InvalidRange { .. }
            | Self::AuthRequired(_)
            | Self::Unauthorized(_)
            | Self::InvalidSignature { .. }
            | Self::UrlExpired(_)
            | Self::BucketNotFound { .. }
            | Self::ObjectNotFound { .. }
            | Self::ObjectDeleted { .. }
            | Self::VersionNotFound { .. }
            | Self::VersionIsMarker { .. }
            | Self::BucketExists { .. }
            | Self::ObjectExists { .. }
            | Self::PolicyExists { .. }
            | Self::PolicyNotFound { .. }
            | Self::ProviderNotFound { .. }
            | Self::BucketNotEmpty { .. }
            | Self::UploadNotFound { .. }
            | Self::UploadExpired { .. }
            | Self::TooManyUploads { .. }
            | Self::OffsetMismatch { .. }
            | Self::InvalidPart { .. }
            | Self::InvalidPartOrder
            | Self::PartTooSmall { .. }
            | Self::PreconditionFailed { .. }
            | Self::PayloadTooLarge { .. }
            | Self::UnsupportedMediaType { .. }
            | Self::QuotaExceeded { .. }
            | Self::DiskFull { .. }
            | Self::DigestMismatch { .. }
            | Self::CredentialNotFound { .. }
            | Self::WebhookNotFound { .. }
            | Self::QueueEntryNotFound { .. }
            | Self::QueueEntryEnded { .. }
            | Self::LifecycleRuleNotFound { .. }
            | Self::LifecycleRuleExists { .. }
            | Self::LifecycleHeld { .. }
            | Self::JobNotFound { .. }
            | Self::JobEnded { .. }
            | Self::TooManyJobs { .. }
            | Self::JobRunning { .. }
            | Self::OriginalUnusable { .. }
            | Self::ChecksumMismatch { .. }
            | Self::Io { .. }
            | Self::Internal { .. } => false,
        }
    }

    /// When the same request may succeed, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after }
            | Self::Overloaded { retry_after }
            | Self::ProviderOverloaded { retry_after, .. }
            | Self::ProviderThrottled { retry_after, .. }
            | Self::CircuitOpen { retry_after, .. } => Some(*retry_after),
            Self::ProviderUnavailable { .. } => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The stable code of SPEC 6's table, which applications compare.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } | Self::BodyInterrupted { .. } => "INVALID_REQUEST",
            Self::InvalidSql(_) => "INVALID_SQL",
            Self::InvalidPath { .. } => "INVALID_PATH",
            Self::InvalidBucketName { .. } => "INVALID_BUCKET_NAME",
            Self::InvalidRange { .. } => "INVALID_RANGE",
            Self::AuthRequired(_) => "AUTH_REQUIRED",
            Self::Unauthorized(_) => "STORAGE_UNAUTHORIZED",
            Self::InvalidSignature { .. } => "INVALID_SIGNATURE",
            Self::UrlExpired(_) => "URL_EXPIRED",
            Self::BucketNotFound { .. } => "BUCKET_NOT_FOUND",
            Self::ObjectNotFound { .. } | Self::ObjectDeleted { .. } => "OBJECT_NOT_FOUND",
            Self::VersionNotFound { .. } => "VERSION_NOT_FOUND",
            Self::VersionIsMarker { .. } => "VERSION_IS_DELETE_MARKER",
            Self::PolicyNotFound { .. } => "POLICY_NOT_FOUND",
            Self::ProviderNotFound { .. } => "PROVIDER_NOT_FOUND",
            Self::BucketExists { .. } => "BUCKET_EXISTS",
            Self::ObjectExists { .. } => "OBJECT_EXISTS",
            Self::PolicyExists { .. } => "POLICY_EXISTS",
            Self::BucketNotEmpty { .. } => "BUCKET_NOT_EMPTY",
            Self::UploadNotFound { .. } => "UPLOAD_NOT_FOUND",
            Self::UploadExpired { .. } => "UPLOAD_EXPIRED",
            Self::TooManyUploads { .. } => "TOO_MANY_UPLOADS",
            Self::UploadTakenOver { .. } => "UPLOAD_TAKEN_OVER",
            Self::OffsetMismatch { .. } => "OFFSET_MISMATCH",
            Self::InvalidPart { .. } => "INVALID_PART",
            Self::InvalidPartOrder => "INVALID_PART_ORDER",
            Self::PartTooSmall { .. } => "PART_TOO_SMALL",
            Self::PreconditionFailed { .. } => "PRECONDITION_FAILED",
            Self::PayloadTooLarge { .. } => "PAYLOAD_TOO_LARGE",
            Self::UnsupportedMediaType { .. } => "UNSUPPORTED_MEDIA_TYPE",
            Self::QuotaExceeded { .. } => "QUOTA_EXCEEDED",
            Self::DiskFull { .. } => "DISK_FULL",
            Self::DigestMismatch { .. } => "WRONG_CHECKSUM",
            Self::CredentialNotFound { .. } => "CREDENTIAL_NOT_FOUND",
            Self::WebhookNotFound { .. } => "WEBHOOK_NOT_FOUND",
            Self::QueueEntryNotFound { .. } => "QUEUE_ENTRY_NOT_FOUND",
            Self::QueueEntryEnded { .. } => "QUEUE_ENTRY_COMPLETED",
            Self::LifecycleRuleNotFound { .. } => "LIFECYCLE_RULE_NOT_FOUND",
            Self::LifecycleRuleExists { .. } => "LIFECYCLE_RULE_EXISTS",
            Self::LifecycleHeld { .. } => "LIFECYCLE_HELD",
            Self::JobNotFound { .. } => "JOB_NOT_FOUND",
            Self::JobEnded { .. } => "JOB_ENDED",
            Self::TooManyJobs { .. } => "TOO_MANY_JOBS",
            Self::JobRunning { .. } => "JOB_RUNNING",
            Self::OriginalUnusable { .. } => "ORIGINAL_UNUSABLE",
            Self::ChecksumMismatch { .. } => "CHECKSUM_MISMATCH",
            Self::ProviderUnavailable { .. } | Self::ProviderThrottled { .. } => "PROVIDER_UNAVAILABLE",
            Self::CircuitOpen { .. } => "CIRCUIT_OPEN",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Overloaded { .. } | Self::ProviderOverloaded { .. } => "OVERLOADED",
            Self::OperationTimeout { .. } | Self::ProviderTimeout { .. } => "OPERATION_TIMEOUT",
            Self::Io { .. } => "IO_ERROR",
            Self::Internal { .. } => "INTERNAL",
        }
    }
}
