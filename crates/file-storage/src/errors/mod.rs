//! The one error of the domain: every outcome that a caller can act on, with what it was about.
//!
//! Lower layers (a database, [`crate::backend::BackendError`]) are folded in at one place each
//! and in no other. Protocols map a [`StorageError`] to their statuses by an exhaustive match.

mod causes;
mod classes;
mod denial;

use std::sync::Arc;
use std::time::Duration;

use chrono::SecondsFormat;
use uuid::Uuid;

pub use denial::{Denial, DenialReason};

use crate::bucket::BucketName;
use crate::digests::Algorithm;
use crate::path::ObjectPath;
use crate::sql::SqlFault;
use crate::versions::VersionId;

/// The cause behind an error, for logs alone: a client never sees it.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// What went wrong with an operation, as its caller may know it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The request makes no sense, whoever asks.
    #[error("{message}")]
    InvalidRequest {
        /// What is wrong, in words for the caller.
        message: String,
    },
    /// SQL that is not taken, a policy's or a query's; or a query with a value that can't be computed.
    #[error("{0}")]
    InvalidSql(SqlFault),
    /// A path that no object can have (SPEC 6, rules for a path).
    #[error("Invalid key: {path}")]
    InvalidPath {
        /// The path as it came.
        path: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// A name that no bucket can have.
    #[error("Bucket name invalid")]
    InvalidBucketName {
        /// The name as it came.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// A range that lies outside the object (RFC 9110, section 15.5.17).
    #[error("invalid range provided")]
    InvalidRange {
        /// Size of the whole object, in bytes.
        size: u64,
    },
    /// Nobody in particular asked for what only somebody may have.
    #[error("Authentication required")]
    AuthRequired(Denial),
    /// The caller is known, and may not.
    #[error("{0}")]
    Unauthorized(Denial),
    /// A signed URL whose token does not fit its path, or was not made here.
    #[error("Invalid signature")]
    InvalidSignature {
        /// What does not fit, for the log and the caller.
        reason: &'static str,
    },
    /// A signed URL past its time, or a single-use one that was used.
    #[error("{0}")]
    UrlExpired(UrlEnd),
    /// There is no such bucket.
    #[error("Bucket not found")]
    BucketNotFound {
        /// The name asked for.
        bucket: BucketName,
    },
    /// There is no such object, or none that the caller may know of.
    #[error("Object not found")]
    ObjectNotFound {
        /// The bucket asked for.
        bucket: BucketName,
        /// The path asked for.
        path: ObjectPath,
    },
    /// There is no such object any more: the newest version at its path is a delete marker, which the caller sees.
    #[error("Object not found")]
    ObjectDeleted {
        /// The bucket asked for.
        bucket: BucketName,
        /// The path asked for.
        path: ObjectPath,
        /// The delete marker.
        marker: VersionId,
    },
    /// There is no such version, or none that the caller may know of.
    #[error("Version not found")]
    VersionNotFound {
        /// The bucket asked for.
        bucket: BucketName,
        /// The path asked for.
        path: ObjectPath,
        /// The version asked for.
        version: VersionId,
    },
    /// The version is a delete marker, and has no bytes.
    #[error("The version is a delete marker")]
    VersionIsMarker {
        /// The bucket asked for.
        bucket: BucketName,
        /// The path asked for.
        path: ObjectPath,
        /// The version asked for.
        version: VersionId,
    },
    /// Bucket names are unique (BKT-I1).
    #[error("The resource already exists")]
    BucketExists {
        /// The name that is taken.
        bucket: BucketName,
    },
    /// Paths are unique in a bucket (FS-I4).
    #[error("The resource already exists")]
    ObjectExists {
        /// The bucket.
        bucket: BucketName,
        /// The path that is taken.
        path: ObjectPath,
    },
    /// There is no such provider.
    #[error("The provider \"{provider}\" does not exist")]
    ProviderNotFound {
        /// The name asked for.
        provider: Arc<str>,
    },
    /// There is no such SQL policy.
    #[error("The policy \"{name}\" does not exist")]
    PolicyNotFound {
        /// The name asked for.
        name: Arc<str>,
    },
    /// Names of SQL policies are unique.
    #[error("The policy \"{name}\" already exists")]
    PolicyExists {
        /// The name that is taken.
        name: Arc<str>,
    },
    /// A bucket with objects is not deleted without being asked to.
    #[error("The bucket you tried to delete is not empty")]
    BucketNotEmpty {
        /// The bucket.
        bucket: BucketName,
    },
    /// There is no such unfinished upload, or none that the caller may know of.
    #[error("Upload not found")]
    UploadNotFound {
        /// The upload asked for.
        upload: Uuid,
    },
    /// The time of an unfinished upload is over.
    #[error("The upload has expired")]
    UploadExpired {
        /// The upload asked for.
        upload: Uuid,
    },
    /// The caller has begun as many uploads in the bucket as may be unfinished at a time.
    #[error(
        "Too many unfinished uploads: complete or abort some of the {limit} that you have in this bucket"
    )]
    TooManyUploads {
        /// How many may be.
        limit: u32,
    },
    /// Somebody else goes on with the upload meanwhile: the same client, mostly, by a new connection.
    #[error("The upload was taken over by another request")]
    UploadTakenOver {
        /// The upload asked for.
        upload: Uuid,
    },
    /// What is to be appended does not begin where the upload ends.
    #[error("The upload is at another offset")]
    OffsetMismatch {
        /// Where it ends, in bytes.
        offset: u64,
    },
    /// A part that a completion names is not there, or is not the one that is meant.
    #[error("Part {number} is not there, or has another entity tag")]
    InvalidPart {
        /// Its number.
        number: u32,
    },
    /// A completion names its parts in another order than theirs.
    #[error("The parts are not in ascending order")]
    InvalidPartOrder,
    /// A part other than the last is smaller than its protocol lets it be.
    #[error("Part {number} has {size} bytes; each but the last has at least {minimum}")]
    PartTooSmall {
        /// Its number.
        number: u32,
        /// Its length, in bytes.
        size: u64,
        /// The least length, in bytes.
        minimum: u64,
    },
    /// `If-Match` or `If-None-Match` did not hold (RFC 9110, section 13).
    #[error("At least one of the preconditions did not hold")]
    PreconditionFailed {
        /// The bucket.
        bucket: BucketName,
        /// The path.
        path: ObjectPath,
    },
    /// More bytes than the bucket, or the server, takes for one object.
    #[error("The object exceeded the maximum allowed size")]
    PayloadTooLarge {
        /// The limit in force, in bytes.
        limit: u64,
    },
    /// The bucket does not take this content type.
    #[error("mime type {content_type} is not supported")]
    UnsupportedMediaType {
        /// The content type that was declared.
        content_type: String,
    },
    /// A quota has no room for it.
    #[error(
        "{} is exceeded: {used} of {limit} bytes are in use, {requested} more were requested",
        quota_of(scope, name)
    )]
    QuotaExceeded {
        /// Whose quota: `user`, `bucket`, `folder`, or `global` for all that is stored.
        scope: &'static str,
        /// Which one: the user's id, the bucket's name, the folder behind its bucket's name, nothing of all that is stored.
        name: Arc<str>,
        /// Bytes in use before the request.
        used: u64,
        /// The quota, in bytes.
        limit: u64,
        /// Bytes that the request adds.
        requested: u64,
    },
    /// The body ended before its time: the client hung up, or broke its own framing.
    #[error("The request body was interrupted")]
    BodyInterrupted {
        /// What the transport says.
        reason: String,
    },
    /// The disk has no room.
    #[error("The disk is full")]
    DiskFull {
        /// The provider whose disk it is.
        provider: Arc<str>,
    },
    /// Bytes that came in and are not what was announced. Nothing of them is kept.
    #[error("The bytes do not have the {algorithm} digest that was announced")]
    DigestMismatch {
        /// The digest that differs.
        algorithm: Algorithm,
    },
    /// There is no such S3 credential.
    #[error("There is no such credential")]
    CredentialNotFound {
        /// The access key id asked for.
        access_key_id: String,
    },
    /// There is no such webhook.
    #[error("There is no such webhook")]
    WebhookNotFound {
        /// The webhook asked for.
        webhook: Uuid,
    },
    /// There is no such entry of the upload queue, or none that the caller may know of.
    #[error("There is no such queued upload")]
    QueueEntryNotFound {
        /// The entry asked for.
        entry: Uuid,
    },
    /// An entry of the upload queue is at its end, and can't be queued again or given up.
    #[error("The queued upload is completed")]
    QueueEntryEnded {
        /// The entry asked for.
        entry: Uuid,
    },
    /// There is no such lifecycle rule.
    #[error("There is no such lifecycle rule")]
    LifecycleRuleNotFound {
        /// The rule asked for.
        rule: Uuid,
    },
    /// Names of lifecycle rules are unique among those of a bucket that were made in the same way.
    #[error("The bucket has a lifecycle rule named \"{name}\" already")]
    LifecycleRuleExists {
        /// The name that is taken.
        name: Arc<str>,
    },
    /// Lifecycle rules wait, as the clock has leapt, or nobody looked at it for a day.
    #[error(
        "Lifecycle rules wait until {}: the clock is more than a day ahead of when it was last looked at. Who knows that it is right may force a run",
        .until.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    )]
    LifecycleHeld {
        /// Until when they wait.
        until: crate::Timestamp,
    },
    /// There is no such job, or none that the caller may know of.
    #[error("There is no such job")]
    JobNotFound {
        /// The job asked for.
        job: Uuid,
    },
    /// A job is at its end, and can't be cancelled any more.
    #[error("The job has ended")]
    JobEnded {
        /// The job asked for.
        job: Uuid,
    },
    /// A job of which there is one at a time has not ended.
    #[error("Another one is not at its end yet: {job}")]
    JobRunning {
        /// The one that is there.
        job: Uuid,
    },
    /// The caller has asked for as many jobs as may be unfinished at a time.
    #[error("Too many unfinished jobs: wait for some of the {limit}, or cancel them")]
    TooManyJobs {
        /// How many may be.
        limit: u32,
    },
    /// A file that was there before, and can't become an object as it is.
    #[error("The file can't be adopted: {reason}")]
    OriginalUnusable {
        /// What is wrong with it, in words for who asked.
        reason: &'static str,
    },
    /// Bytes that are not what was stored.
    #[error("The stored bytes do not match their checksum")]
    ChecksumMismatch {
        /// The bucket.
        bucket: BucketName,
        /// The path.
        path: ObjectPath,
    },
    /// The provider of the bytes, or the database, can't be reached just now.
    #[error("{} is unavailable", place(provider))]
    ProviderUnavailable {
        /// Which one.
        provider: Arc<str>,
        /// What was tried.
        operation: &'static str,
        /// For the log.
        source: Option<Cause>,
    },
    /// The caller has more under way than one caller may have.
    #[error("Too many requests of this caller are under way at once")]
    RateLimited {
        /// When to come back.
        retry_after: Duration,
    },
    /// There is more work than the server takes at once.
    #[error("The server is overloaded")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// The operation took longer than it may.
    #[error("The operation timed out")]
    OperationTimeout {
        /// What was tried.
        operation: &'static str,
    },
    /// The provider of the bytes wants to be left alone for a while.
    #[error("Storage provider {provider} is unavailable")]
    ProviderThrottled {
        /// Which one.
        provider: Arc<str>,
        /// What was tried.
        operation: &'static str,
        /// When to come back.
        retry_after: Duration,
        /// For the log.
        source: Cause,
    },
    /// The provider of the bytes failed too often, and is not asked for a while.
    #[error("Storage provider {provider} failed too often and is left alone for a while")]
    CircuitOpen {
        /// Which one.
        provider: Arc<str>,
        /// What was to be tried.
        operation: &'static str,
        /// When it is asked again.
        retry_after: Duration,
    },
    /// The provider of the bytes took longer than the operation may.
    #[error("Storage provider {provider} took too long")]
    ProviderTimeout {
        /// Which one.
        provider: Arc<str>,
        /// What was tried.
        operation: &'static str,
    },
    /// More waits for the provider of the bytes than it can be asked.
    #[error("Storage provider {provider} is overloaded")]
    ProviderOverloaded {
        /// Which one.
        provider: Arc<str>,
        /// What was to be tried.
        operation: &'static str,
        /// When to come back.
        retry_after: Duration,
    },
    /// Reading or writing bytes failed.
    #[error("Input or output failed")]
    Io {
        /// The provider of the bytes.
        provider: Arc<str>,
        /// What was tried.
        operation: &'static str,
        /// For the log.
        source: Cause,
    },
    /// A fault of the server. Its cause goes to the log, not to the client.
    #[error("Internal error")]
    Internal {
        /// What failed, for the log.
        context: String,
        /// For the log.
        source: Option<Cause>,
    },
}

/// What ended the life of a signed URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlEnd {
    /// Its time is over.
    Expired,
    /// It works once, and did.
    Used,
}

impl UrlEnd {
    /// A stable word, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Used => "used",
        }
    }
}

impl std::fmt::Display for UrlEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Expired => "The signed URL has expired",
            Self::Used => "The signed URL works once and was used",
        })
    }
}

/// A quota as an error names it.
fn quota_of(scope: &str, name: &str) -> String {
    match scope {
        "global" => "The quota of all that is stored".to_owned(),
        _ => format!("The quota of the {scope} {name}"),
    }
}

/// What does not answer, as its users call it.
fn place(provider: &str) -> String {
    match provider {
        "database" => "The database".to_owned(),
        "audit log" => "The audit log".to_owned(),
        provider => format!("Storage provider {provider}"),
    }
}

impl StorageError {
    /// The same answer about one version of the object.
    pub(crate) fn of_version(self, version: VersionId) -> Self {
        match self {
            Self::ObjectNotFound { bucket, path } | Self::ObjectDeleted { bucket, path, .. } => {
                Self::VersionNotFound { bucket, path, version }
            }
            error => error,
        }
    }

    /// An internal fault, for what cannot happen while the code is right.
    pub fn internal(context: impl Into<String>) -> Self {
        Self::Internal { context: context.into(), source: None }
    }
}
