//! What the tables of every engine have in common: which columns are read in which order, and how exact values are.

use chrono::{DateTime, Utc};

use crate::Timestamp;

/// The columns of a bucket `b`.
pub(super) const BUCKET: &str = "b.id, b.uuid, b.owner_id, b.policy, b.allowed_mime_types, b.max_file_size, \
     b.quota_bytes, b.file_count, b.total_bytes, b.created_at, b.updated_at, b.unfinished_bytes, \
     b.versioning";

/// How many they are.
pub(super) const BUCKET_WIDTH: usize = 13;

/// The columns of an object `o`.
pub(super) const OBJECT: &str = "o.id, o.bucket_id, o.path, o.size, o.content_type, o.cache_control, \
     o.checksum, o.etag, o.owner_id, o.metadata, o.version, o.created_at, o.updated_at, o.extra, o.versioned";

/// How many they are.
pub(super) const OBJECT_WIDTH: usize = 15;

/// The same of a version `o` that is not current. A delete marker carries what policies ask of what it hides, and is shown
/// without it: with its own time, and nothing else.
pub(super) const VERSION: &str = "o.id, o.bucket_id, o.path, CASE WHEN o.is_delete_marker THEN 0 ELSE o.size END AS size, \
     CASE WHEN o.is_delete_marker THEN '' ELSE o.content_type END AS content_type, \
     CASE WHEN o.is_delete_marker THEN NULL ELSE o.cache_control END AS cache_control, \
     CASE WHEN o.is_delete_marker THEN NULL ELSE o.checksum END AS checksum, \
     CASE WHEN o.is_delete_marker THEN '' ELSE o.etag END AS etag, o.owner_id, \
     CASE WHEN o.is_delete_marker THEN '{}' ELSE o.metadata END AS metadata, o.version, \
     CASE WHEN o.is_delete_marker THEN o.noncurrent_at ELSE o.created_at END AS created_at, \
     CASE WHEN o.is_delete_marker THEN o.noncurrent_at ELSE o.updated_at END AS updated_at, o.extra, o.versioned";

/// The columns of a segment `s`.
pub(super) const SEGMENT: &str = "s.\"offset\", s.size, s.sha256, s.provider, s.blob_key, s.bytes";

/// A number as databases have it. What is beyond their range is beyond any disk, too.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The time, as exact as rows keep it: what a write answers is what a read finds.
pub(super) fn now() -> Timestamp {
    let now = Utc::now();
    DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}

/// The columns of an unfinished upload `m`, and of `r`, what it has as one that is appended to.
pub(super) const UPLOAD: &str = "m.id, m.bucket_id, m.path, m.role, m.owner_id, m.replaces, m.content_type, \
     m.cache_control, m.metadata, m.checksum, m.held_bytes, m.created_at, m.expires_at, r.length, r.epoch, \
     r.is_partial, r.told, r.completed_at, m.extra, m.nonce";

/// The columns of a part `p`.
pub(super) const PART: &str = "p.number, p.size, p.sha256, p.etag, p.checksums, p.created_at";

/// The columns of an entry of the upload queue: unqualified, as SQLite's RETURNING knows no alias.
pub(super) const ENTRY: &str = "id, user_id, bucket_id, storage_path, file_size_bytes, mime_type, \
     source_provider, target_provider, reason, status, attempt_count, max_attempts, error_message, \
     next_attempt_at, queued_at, started_at, completed_at, created_at, updated_at";

/// How many they are.
pub(super) const ENTRY_WIDTH: usize = 19;

/// The columns of a job: unqualified, as SQLite's RETURNING knows no alias.
pub(super) const JOB: &str = "id, kind, user_id, params, dry_run, status, cancel_requested, done, bytes, total, \
     failures, report, error, attempts, created_at, started_at, updated_at, completed_at";

/// How many they are.
pub(super) const JOB_WIDTH: usize = 18;
