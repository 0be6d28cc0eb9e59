//! Objects, and what was done to them.

use file_storage::StorageObject;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::rest::body::shown;
use crate::rest::dialect::wire::{SystemMetadata, Time, cache_control, full_key, quoted};

/// An object's row.
#[derive(Serialize)]
pub(in crate::rest::dialect) struct ObjectRow<'a> {
    id: Uuid,
    name: &'a str,
    bucket_id: &'a str,
    owner: Option<Uuid>,
    owner_id: Option<Uuid>,
    version: Uuid,
    created_at: Time,
    updated_at: Time,
    last_accessed_at: Time,
    metadata: SystemMetadata<'a>,
    user_metadata: Map<String, Value>,
}

impl<'a> ObjectRow<'a> {
    pub(in crate::rest::dialect) fn new(object: &'a StorageObject) -> Self {
        Self {
            id: object.id,
            name: object.path.as_str(),
            bucket_id: object.bucket.as_str(),
            owner: object.owner_id,
            owner_id: object.owner_id,
            version: object.version,
            created_at: Time(object.created_at),
            updated_at: Time(object.updated_at),
            last_accessed_at: Time(object.updated_at),
            metadata: SystemMetadata::new(object),
            user_metadata: shown(&object.metadata),
        }
    }
}

/// An upload.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::rest::dialect) struct Uploaded {
    key: String,
    id: Uuid,
}

impl Uploaded {
    pub(in crate::rest::dialect) fn new(object: &StorageObject) -> Self {
        Self { key: full_key(object), id: object.id }
    }
}

/// An upload by a signed URL.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::rest::dialect) struct Key {
    key: String,
}

impl Key {
    pub(in crate::rest::dialect) fn new(object: &StorageObject) -> Self {
        Self { key: full_key(object) }
    }
}

/// A copy.
#[derive(Serialize)]
pub(in crate::rest::dialect) struct Copied<'a> {
    #[serde(flatten)]
    uploaded: Uploaded,
    #[serde(flatten)]
    row: ObjectRow<'a>,
}

impl<'a> Copied<'a> {
    pub(in crate::rest::dialect) fn new(object: &'a StorageObject) -> Self {
        Self { uploaded: Uploaded::new(object), row: ObjectRow::new(object) }
    }
}

/// What `info` answers.
#[derive(Serialize)]
pub(in crate::rest::dialect) struct Info<'a> {
    id: Uuid,
    name: &'a str,
    version: Uuid,
    bucket_id: &'a str,
    size: u64,
    content_type: &'a str,
    cache_control: &'a str,
    etag: String,
    metadata: Map<String, Value>,
    last_modified: Time,
    created_at: Time,
}

impl<'a> Info<'a> {
    pub(in crate::rest::dialect) fn new(object: &'a StorageObject) -> Self {
        Self {
            id: object.id,
            name: object.path.as_str(),
            version: object.version,
            bucket_id: object.bucket.as_str(),
            size: object.size,
            content_type: &object.content_type,
            cache_control: cache_control(object),
            etag: quoted(&object.etag),
            metadata: shown(&object.metadata),
            last_modified: Time(object.updated_at),
            created_at: Time(object.created_at),
        }
    }
}
