//! Objects, and what was done to them.

use file_storage::StorageObject;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::rest::body::shown;
use crate::rest::dialect::wire::{SystemMetadata, Time, cache_control, full_key, quoted};

/// An object.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct ObjectBody<'a> {
    id: Uuid,
    bucket: &'a str,
    bucket_id: &'a str,
    /// Where it is in its bucket.
    path: &'a str,
    /// The same; in the first list form the name relative to the listed folder.
    name: &'a str,
    /// In bytes.
    size: u64,
    content_type: &'a str,
    cache_control: &'a str,
    owner: Option<Uuid>,
    owner_id: Option<Uuid>,
    /// Entity tag, with quotes.
    etag: String,
    /// SHA-256 of its bytes, in hexadecimal.
    checksum: Option<String>,
    /// Another after each change of its bytes or place.
    version: Uuid,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
    #[schema(value_type = String, format = DateTime)]
    last_modified: Time,
    #[schema(value_type = String, format = DateTime)]
    last_accessed_at: Time,
    /// About one object: what its user said of it. In rows of lists, copies and deletions: what the system knows.
    #[schema(value_type = Object)]
    metadata: Metadata<'a>,
    /// What its user said of it.
    #[schema(value_type = Object)]
    user_metadata: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Metadata<'a> {
    User(Map<String, Value>),
    System(SystemMetadata<'a>),
}

impl<'a> ObjectBody<'a> {
    /// For an answer about one object.
    pub(in crate::rest::dialect) fn described(object: &'a StorageObject) -> Self {
        Self::new(object, Metadata::User(shown(&object.metadata)))
    }

    /// For a row among others.
    pub(in crate::rest::dialect) fn row(object: &'a StorageObject) -> Self {
        Self::new(object, Metadata::System(SystemMetadata::new(object)))
    }

    /// The same under another name.
    pub(in crate::rest::dialect) fn named(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    fn new(object: &'a StorageObject, metadata: Metadata<'a>) -> Self {
        Self {
            id: object.id,
            bucket: object.bucket.as_str(),
            bucket_id: object.bucket.as_str(),
            path: object.path.as_str(),
            name: object.path.as_str(),
            size: object.size,
            content_type: &object.content_type,
            cache_control: cache_control(object),
            owner: object.owner_id,
            owner_id: object.owner_id,
            etag: quoted(&object.etag),
            checksum: object.checksum.map(|checksum| checksum.to_hex()),
            version: object.version,
            created_at: Time(object.created_at),
            updated_at: Time(object.updated_at),
            last_modified: Time(object.updated_at),
            last_accessed_at: Time(object.updated_at),
            metadata,
            user_metadata: shown(&object.metadata),
        }
    }
}

/// An object that was uploaded or copied.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct Uploaded<'a> {
    /// Bucket and path.
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "Id")]
    uid: Uuid,
    #[serde(flatten)]
    object: ObjectBody<'a>,
}

impl<'a> Uploaded<'a> {
    pub(in crate::rest::dialect) fn new(object: &'a StorageObject, is_row: bool) -> Self {
        let body = if is_row { ObjectBody::row(object) } else { ObjectBody::described(object) };
        Self { key: full_key(object), uid: object.id, object: body }
    }
}

/// An object that was moved.
#[derive(Serialize)]
pub(in crate::rest::dialect) struct Moved<'a> {
    message: &'static str,
    #[serde(flatten)]
    object: Uploaded<'a>,
}

impl<'a> Moved<'a> {
    pub(in crate::rest::dialect) fn new(object: &'a StorageObject) -> Self {
        Self { message: "Successfully moved", object: Uploaded::new(object, true) }
    }
}
