//! Buckets, and what was done to them.

use file_storage::{Bucket, BucketPolicy};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::rest::dialect::wire::{Time, mime_types};

/// A bucket.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct BucketBody<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    /// `public`, `authenticated` or `private`.
    policy: &'static str,
    /// Whether the policy is `public`.
    public: bool,
    /// The owner's user id; empty for a system bucket.
    owner: String,
    owner_id: Option<Uuid>,
    /// Most bytes of one object; null where only the server's limit holds.
    file_size_limit: Option<u64>,
    /// The same; 0 where only the server's limit holds.
    max_file_size: u64,
    /// Content types that it takes; null for any.
    allowed_mime_types: Option<Vec<&'a str>>,
    /// Most bytes of all its objects; null for no limit.
    quota_bytes: Option<u64>,
    /// Whether it keeps versions: `off`, `enabled` or `suspended`.
    versioning: &'static str,
    /// Objects in it.
    file_count: u64,
    /// Bytes of all its objects, and of all their versions.
    total_size: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

impl<'a> BucketBody<'a> {
    pub(in crate::rest::dialect) fn new(bucket: &'a Bucket) -> Self {
        let config = &bucket.config;
        Self {
            id: bucket.name.as_str(),
            name: bucket.name.as_str(),
            kind: "STANDARD",
            policy: config.policy.as_str(),
            public: config.policy == BucketPolicy::Public,
            owner: bucket.owner_id.map(|id| id.to_string()).unwrap_or_default(),
            owner_id: bucket.owner_id,
            file_size_limit: Some(config.max_file_size).filter(|limit| *limit != 0),
            max_file_size: config.max_file_size,
            allowed_mime_types: mime_types(bucket),
            quota_bytes: config.quota_bytes,
            versioning: config.versioning.as_str(),
            file_count: bucket.file_count,
            total_size: bucket.total_bytes,
            created_at: Time(bucket.created_at),
            updated_at: Time(bucket.updated_at),
        }
    }
}

/// A bucket that was changed, as it now is.
#[derive(Serialize)]
pub(in crate::rest::dialect) struct BucketUpdated<'a> {
    message: &'static str,
    #[serde(flatten)]
    bucket: BucketBody<'a>,
}

impl<'a> BucketUpdated<'a> {
    pub(in crate::rest::dialect) fn new(bucket: &'a Bucket) -> Self {
        Self { message: "Successfully updated", bucket: BucketBody::new(bucket) }
    }
}

/// A bucket that was emptied.
#[derive(Serialize)]
pub(in crate::rest::dialect) struct Emptied {
    message: &'static str,
    deleted: u64,
}

impl Emptied {
    pub(in crate::rest::dialect) fn new(deleted: u64) -> Self {
        Self { message: "Successfully emptied", deleted }
    }
}
