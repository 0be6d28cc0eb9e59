//! Buckets.

use file_storage::{Bucket, BucketPolicy};
use serde::Serialize;

use crate::rest::dialect::wire::{Time, mime_types};

/// A bucket that was created.
#[derive(Serialize)]
pub(in crate::rest::dialect) struct Named<'a> {
    pub(in crate::rest::dialect) name: &'a str,
}

/// A bucket.
#[derive(Serialize)]
pub(in crate::rest::dialect) struct BucketRow<'a> {
    id: &'a str,
    name: &'a str,
    owner: String,
    public: bool,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    file_size_limit: Option<u64>,
    allowed_mime_types: Option<Vec<&'a str>>,
    created_at: Time,
    updated_at: Time,
}

impl<'a> BucketRow<'a> {
    pub(in crate::rest::dialect) fn new(bucket: &'a Bucket, in_list: bool) -> Self {
        Self {
            id: bucket.name.as_str(),
            name: bucket.name.as_str(),
            owner: bucket.owner_id.map(|id| id.to_string()).unwrap_or_default(),
            public: bucket.config.policy == BucketPolicy::Public,
            kind: in_list.then_some("STANDARD"),
            file_size_limit: Some(bucket.config.max_file_size).filter(|limit| *limit != 0),
            allowed_mime_types: mime_types(bucket),
            created_at: Time(bucket.created_at),
            updated_at: Time(bucket.updated_at),
        }
    }
}
