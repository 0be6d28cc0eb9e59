//! Buckets: made, found, listed, deleted, and what S3 keeps beside them, or would.

pub(super) mod absent;
pub(super) mod acl;
pub(super) mod cors;
pub(super) mod lifecycle;
pub(super) mod manage;
pub(super) mod policy;
pub(super) mod tagging;
pub(super) mod versioning;

use s3s::dto::Timestamp;

/// A moment in S3's form.
pub(super) fn timestamp(time: file_storage::Timestamp) -> Timestamp {
    Timestamp::from(std::time::SystemTime::from(time))
}
