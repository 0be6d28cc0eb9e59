//! Bodies of the native dialect: the fields of the product and those of Supabase, so that either kind of client finds
//! its own.
//!
//! `metadata` means what it means at Supabase: what the user said, in answers about one object; what the system
//! knows, in rows. `user_metadata` is always the former.

use file_storage::executor::Entry;
use file_storage::{Bucket, BucketPolicy, StorageObject};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::wire::{SystemMetadata, Time, cache_control, full_key, in_url, quoted, relative};
use super::{Listed, SignedOutcome, SignedUrl};
use crate::rest::body::shown;

/// An error, with what else a client can act on: `bucket`, `path`, `permission`, `reason`, `limit`, `quota`, …
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::rest) struct ErrorBody {
    /// The HTTP status, as text.
    #[schema(example = "404")]
    #[serde(rename = "statusCode")]
    status_code: String,
    /// A short label: Supabase's, where it has one.
    #[schema(example = "not_found")]
    error: String,
    /// What is wrong, for people.
    #[schema(example = "Object not found")]
    message: String,
    /// What is wrong, for programs.
    #[schema(example = "OBJECT_NOT_FOUND")]
    code: String,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// Identity of the request, as in the server's log.
    request_id: String,
}

/// A word to people.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct Message {
    /// What was done.
    pub(in crate::rest) message: &'static str,
}

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
    /// Objects in it.
    file_count: u64,
    /// Bytes of all its objects.
    total_size: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

impl<'a> BucketBody<'a> {
    pub(super) fn new(bucket: &'a Bucket) -> Self {
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
            file_count: bucket.file_count,
            total_size: bucket.total_bytes,
            created_at: Time(bucket.created_at),
            updated_at: Time(bucket.updated_at),
        }
    }
}

pub(super) fn mime_types(bucket: &Bucket) -> Option<Vec<&str>> {
    let patterns = bucket.config.allowed_mime_types.as_ref()?;
    Some(patterns.iter().map(file_storage::bucket::MimePattern::as_str).collect())
}

/// A bucket that was changed, as it now is.
#[derive(Serialize)]
pub(super) struct BucketUpdated<'a> {
    message: &'static str,
    #[serde(flatten)]
    bucket: BucketBody<'a>,
}

impl<'a> BucketUpdated<'a> {
    pub(super) fn new(bucket: &'a Bucket) -> Self {
        Self { message: "Successfully updated", bucket: BucketBody::new(bucket) }
    }
}

/// A bucket that was emptied.
#[derive(Serialize)]
pub(super) struct Emptied {
    message: &'static str,
    deleted: u64,
}

impl Emptied {
    pub(super) fn new(deleted: u64) -> Self {
        Self { message: "Successfully emptied", deleted }
    }
}

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
    checksum: String,
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
    pub(super) fn described(object: &'a StorageObject) -> Self {
        Self::new(object, Metadata::User(shown(&object.metadata)))
    }

    /// For a row among others.
    pub(super) fn row(object: &'a StorageObject) -> Self {
        Self::new(object, Metadata::System(SystemMetadata::new(object)))
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
            checksum: object.checksum.to_hex(),
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
    pub(super) fn new(object: &'a StorageObject, is_row: bool) -> Self {
        let body = if is_row { ObjectBody::row(object) } else { ObjectBody::described(object) };
        Self { key: full_key(object), uid: object.id, object: body }
    }
}

/// An object that was moved.
#[derive(Serialize)]
pub(super) struct Moved<'a> {
    message: &'static str,
    #[serde(flatten)]
    object: Uploaded<'a>,
}

impl<'a> Moved<'a> {
    pub(super) fn new(object: &'a StorageObject) -> Self {
        Self { message: "Successfully moved", object: Uploaded::new(object, true) }
    }
}

/// One row of the first list form: an object, or a folder, of which all but name and path is null.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::rest) enum ListEntry<'a> {
    /// An object.
    Object(Box<ObjectBody<'a>>),
    /// A folder.
    Folder(Folder<'a>),
}

/// A folder in the first list form.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct Folder<'a> {
    /// Relative to the listed folder, without a slash.
    name: &'a str,
    /// The whole path, with a slash at its end.
    path: &'a str,
    id: Option<Uuid>,
    created_at: Option<&'a str>,
    updated_at: Option<&'a str>,
    last_accessed_at: Option<&'a str>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

impl<'a> ListEntry<'a> {
    pub(super) fn new(entry: &'a Entry, prefix: &str) -> Self {
        let name = relative(entry.path(), prefix);
        match entry {
            Entry::Object(object) => Self::Object(Box::new(ObjectBody { name, ..ObjectBody::row(object) })),
            Entry::Folder(path) => Self::Folder(Folder {
                name: name.trim_end_matches('/'),
                path,
                id: None,
                created_at: None,
                updated_at: None,
                last_accessed_at: None,
                metadata: None,
            }),
        }
    }
}

/// A page of the second list form.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct ListV2Body<'a> {
    has_next: bool,
    /// To be sent as `cursor` for the next page.
    next_cursor: Option<&'a str>,
    /// The last name of this page.
    next_cursor_key: Option<&'a str>,
    folders: Vec<FolderV2<'a>>,
    objects: Vec<ObjectV2<'a>>,
}

/// A folder in the second list form.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct FolderV2<'a> {
    /// The whole path, without a slash at its end.
    key: &'a str,
    /// The whole path, with a slash at its end.
    name: &'a str,
}

/// An object in the second list form.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct ObjectV2<'a> {
    /// The whole path.
    key: &'a str,
    #[serde(flatten)]
    object: ObjectBody<'a>,
}

impl<'a> ListV2Body<'a> {
    pub(super) fn new(listed: &'a Listed<'a>) -> Self {
        let (mut folders, mut objects) = (Vec::new(), Vec::new());
        for entry in &listed.page.entries {
            match entry {
                Entry::Folder(name) => folders.push(FolderV2 { key: name.trim_end_matches('/'), name }),
                Entry::Object(object) => {
                    objects.push(ObjectV2 { key: object.path.as_str(), object: ObjectBody::row(object) });
                }
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

/// A signed download URL.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct Signed {
    /// Absolute, to be opened as it stands.
    url: String,
    /// When it stops working.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
    /// Relative to the base and not percent-encoded, as Supabase's clients want it.
    #[serde(rename = "signedURL")]
    signed_url: String,
}

impl Signed {
    pub(super) fn new(signed: &SignedUrl<'_>) -> Self {
        let SignedUrl { bucket, path, token, base_url } = signed;
        let query = format!("?token={}&expires={}", token.token, token.expires_at.timestamp());
        let (bucket, path) = (bucket.as_str(), path.as_str());
        Self {
            url: format!("{base_url}/object/sign/{}/{}{query}", in_url(bucket), in_url(path)),
            expires_at: Time(token.expires_at),
            signed_url: format!("/object/sign/{bucket}/{path}{query}"),
        }
    }
}

/// One outcome of a batch of signings.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct SignedEntry<'a> {
    /// Why there is no URL.
    error: Option<String>,
    /// The code of that error.
    code: Option<&'static str>,
    /// The path as it was asked for.
    path: &'a str,
    url: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
    #[serde(rename = "signedURL")]
    signed_url: Option<String>,
}

impl<'a> SignedEntry<'a> {
    pub(super) fn new(entry: &SignedOutcome<'a>) -> Self {
        let path = entry.asked;
        match &entry.outcome {
            Ok(signed) => {
                let Signed { url, expires_at, signed_url } = Signed::new(signed);
                let (url, expires_at, signed_url) = (Some(url), Some(expires_at), Some(signed_url));
                Self { error: None, code: None, path, url, expires_at, signed_url }
            }
            Err(error) => {
                let (error, code) = (Some(error.to_string()), Some(error.code()));
                Self { error, code, path, url: None, expires_at: None, signed_url: None }
            }
        }
    }
}

/// A signed upload URL.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct UploadTarget<'a> {
    /// Relative to the base, to be PUT to.
    url: String,
    /// The same, absolute.
    signed_url: String,
    token: &'a str,
    path: &'a str,
    /// When it stops working.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

impl<'a> UploadTarget<'a> {
    pub(super) fn new(signed: &'a SignedUrl<'a>) -> Self {
        let SignedUrl { bucket, path, token, base_url } = signed;
        let (bucket, object) = (in_url(bucket.as_str()), in_url(path.as_str()));
        let url = format!("/object/upload/sign/{bucket}/{object}?token={}", token.token);
        Self {
            signed_url: format!("{base_url}{url}"),
            url,
            token: &token.token,
            path: path.as_str(),
            expires_at: Time(token.expires_at),
        }
    }
}
