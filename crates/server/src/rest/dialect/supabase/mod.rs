//! Bodies of the `supabase` dialect: to the letter those of Supabase Storage, and nothing more.

pub(super) mod errors;

use file_storage::executor::Entry;
use file_storage::{Bucket, BucketPolicy, StorageObject};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::wire::{SystemMetadata, Time, cache_control, full_key, quoted, relative};
use super::{Listed, SignedOutcome, SignedUrl, native};
use crate::rest::body::shown;

/// A bucket that was created.
#[derive(Serialize)]
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
}

/// A bucket.
#[derive(Serialize)]
pub(super) struct BucketRow<'a> {
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
    pub(super) fn new(bucket: &'a Bucket, in_list: bool) -> Self {
        Self {
            id: bucket.name.as_str(),
            name: bucket.name.as_str(),
            owner: bucket.owner_id.map(|id| id.to_string()).unwrap_or_default(),
            public: bucket.config.policy == BucketPolicy::Public,
            kind: in_list.then_some("STANDARD"),
            file_size_limit: Some(bucket.config.max_file_size).filter(|limit| *limit != 0),
            allowed_mime_types: native::mime_types(bucket),
            created_at: Time(bucket.created_at),
            updated_at: Time(bucket.updated_at),
        }
    }
}

/// An object's row.
#[derive(Serialize)]
pub(super) struct ObjectRow<'a> {
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
    pub(super) fn new(object: &'a StorageObject) -> Self {
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
pub(super) struct Uploaded {
    key: String,
    id: Uuid,
}

impl Uploaded {
    pub(super) fn new(object: &StorageObject) -> Self {
        Self { key: full_key(object), id: object.id }
    }
}

/// An upload by a signed URL.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Key {
    key: String,
}

impl Key {
    pub(super) fn new(object: &StorageObject) -> Self {
        Self { key: full_key(object) }
    }
}

/// A copy.
#[derive(Serialize)]
pub(super) struct Copied<'a> {
    #[serde(flatten)]
    uploaded: Uploaded,
    #[serde(flatten)]
    row: ObjectRow<'a>,
}

impl<'a> Copied<'a> {
    pub(super) fn new(object: &'a StorageObject) -> Self {
        Self { uploaded: Uploaded::new(object), row: ObjectRow::new(object) }
    }
}

/// What `info` answers.
#[derive(Serialize)]
pub(super) struct Info<'a> {
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
    pub(super) fn new(object: &'a StorageObject) -> Self {
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

/// A row of the first list form; of a folder, all but the name is null.
#[derive(Serialize)]
pub(super) struct ListRow<'a> {
    name: &'a str,
    id: Option<Uuid>,
    updated_at: Option<Time>,
    created_at: Option<Time>,
    last_accessed_at: Option<Time>,
    metadata: Option<SystemMetadata<'a>>,
}

impl<'a> ListRow<'a> {
    pub(super) fn new(entry: &'a Entry, prefix: &str) -> Self {
        match entry {
            Entry::Folder(path) => Self {
                name: relative(path, prefix).trim_end_matches('/'),
                id: None,
                updated_at: None,
                created_at: None,
                last_accessed_at: None,
                metadata: None,
            },
            Entry::Object(object) => Self {
                name: relative(object.path.as_str(), prefix),
                id: Some(object.id),
                updated_at: Some(Time(object.updated_at)),
                created_at: Some(Time(object.created_at)),
                last_accessed_at: Some(Time(object.updated_at)),
                metadata: Some(SystemMetadata::new(object)),
            },
        }
    }
}

/// A page of the second list form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListV2<'a> {
    has_next: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor_key: Option<&'a str>,
    folders: Vec<FolderV2<'a>>,
    objects: Vec<ObjectV2<'a>>,
}

#[derive(Serialize)]
struct FolderV2<'a> {
    key: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct ObjectV2<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    id: Uuid,
    name: &'a str,
    updated_at: Time,
    created_at: Time,
    last_accessed_at: Time,
    metadata: SystemMetadata<'a>,
}

impl<'a> ListV2<'a> {
    pub(super) fn new(listed: &'a Listed<'a>) -> Self {
        let (mut folders, mut objects) = (Vec::new(), Vec::new());
        for entry in &listed.page.entries {
            match entry {
                Entry::Folder(name) => folders.push(FolderV2 { key: name.trim_end_matches('/'), name }),
                Entry::Object(object) => objects.push(ObjectV2 {
                    key: listed.with_delimiter.then_some(object.path.as_str()),
                    id: object.id,
                    name: object.path.as_str(),
                    updated_at: Time(object.updated_at),
                    created_at: Time(object.created_at),
                    last_accessed_at: Time(object.updated_at),
                    metadata: SystemMetadata::new(object),
                }),
            }
        }
        Self {
            has_next: listed.next.is_some(),
            next_cursor: listed.next.as_deref(),
            next_cursor_key: listed.page.next.as_ref().map(|cursor| cursor.path.as_str()),
            folders,
            objects,
        }
    }
}

/// A signed download URL, relative to the base. Clients percent-encode it themselves.
pub(super) fn signed_url(signed: &SignedUrl<'_>) -> String {
    format!("/object/sign/{}/{}?token={}", signed.bucket, signed.path, signed.token.token)
}

/// A signed download.
#[derive(Serialize)]
pub(super) struct Signed {
    #[serde(rename = "signedURL")]
    pub(super) signed_url: String,
}

/// One outcome of a batch of signings.
#[derive(Serialize)]
pub(super) struct SignedEntry<'a> {
    error: Option<&'static str>,
    path: &'a str,
    #[serde(rename = "signedURL")]
    signed_url: Option<String>,
}

impl<'a> SignedEntry<'a> {
    pub(super) fn new(entry: &SignedOutcome<'a>) -> Self {
        let path = entry.asked;
        match &entry.outcome {
            Ok(signed) => Self { error: None, path, signed_url: Some(signed_url(signed)) },
            Err(_) => {
                let words = "Either the object does not exist or you do not have access to it";
                Self { error: Some(words), path, signed_url: None }
            }
        }
    }
}

/// A signed upload URL.
#[derive(Serialize)]
pub(super) struct SignedUpload<'a> {
    url: String,
    token: &'a str,
}

impl<'a> SignedUpload<'a> {
    pub(super) fn new(signed: &'a SignedUrl<'a>) -> Self {
        let SignedUrl { bucket, path, token, .. } = signed;
        Self {
            url: format!("/object/upload/sign/{bucket}/{path}?token={}", token.token),
            token: &token.token,
        }
    }
}
