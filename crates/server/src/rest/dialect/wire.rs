//! Parts of bodies that both dialects have.

use std::borrow::Cow;

use chrono::SecondsFormat;
use file_storage::bucket::MimePattern;
use file_storage::{Bucket, StorageObject, Timestamp};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Serialize, Serializer};

/// A moment as JavaScript writes it: milliseconds, `Z`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// What the system knows of an object, in Supabase's form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SystemMetadata<'a> {
    e_tag: String,
    size: u64,
    mimetype: &'a str,
    cache_control: &'a str,
    last_modified: Time,
    content_length: u64,
    http_status_code: u16,
}

impl<'a> SystemMetadata<'a> {
    pub(super) fn new(object: &'a StorageObject) -> Self {
        Self {
            e_tag: quoted(&object.etag),
            size: object.size,
            mimetype: &object.content_type,
            cache_control: cache_control(object),
            last_modified: Time(object.updated_at),
            content_length: object.size,
            http_status_code: 200,
        }
    }
}

/// The content types that a bucket takes; none where it takes any.
pub(super) fn mime_types(bucket: &Bucket) -> Option<Vec<&str>> {
    let patterns = bucket.config.allowed_mime_types.as_ref()?;
    Some(patterns.iter().map(MimePattern::as_str).collect())
}

/// An entity tag as headers have it.
pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

pub(super) fn cache_control(object: &StorageObject) -> &str {
    object.cache_control.as_deref().unwrap_or("no-cache")
}

pub(super) fn full_key(object: &StorageObject) -> String {
    format!("{}/{}", object.bucket, object.path)
}

/// A name relative to a listed folder. Prefixes may compare without regard to ASCII case, so that the prefix's length
/// decides and not its letters.
pub(super) fn relative<'a>(path: &'a str, prefix: &str) -> &'a str {
    path.get(prefix.len()..).unwrap_or(path)
}

/// What is encoded in the path of a URL: what JavaScript's `encodeURI` encodes, and `?` and `#`.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A bucket's name or an object's path, fit for a URL.
pub(super) fn in_url(path: &str) -> Cow<'_, str> {
    utf8_percent_encode(path, IN_PATH).into()
}
