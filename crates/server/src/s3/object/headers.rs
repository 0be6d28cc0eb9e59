//! What headers say of an object, both ways: S3's names for what all protocols know, and for what S3 alone does.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use file_storage::StorageObject;
use file_storage::digests::{ChecksumType, Checksums};
use file_storage::extra::{ObjectExtra, Tag};
use file_storage::file::ObjectAttributes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Map, Value};

use super::tags;
use crate::s3::failure::Failure;
use crate::s3::payload::text;

/// The header that names a version.
pub(in crate::s3) const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

/// What an object is of which nothing is said.
const UNKNOWN_TYPE: &str = "binary/octet-stream";
const META: &str = "x-amz-meta-";
/// Most bytes of all user metadata.
const MAX_META: usize = 2 * 1024;

/// Headers that are kept as they come, beside those that all protocols know.
const KEPT: [HeaderName; 4] =
    [header::CONTENT_DISPOSITION, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::EXPIRES];

/// What an upload says of its object.
pub(in crate::s3) struct Described {
    content_type: String,
    cache_control: Option<String>,
    metadata: Map<String, Value>,
    headers: BTreeMap<String, String>,
    tags: Vec<Tag>,
}

impl Described {
    /// Reads it from a request's headers, or from a form's fields that stand for them.
    ///
    /// # Errors
    /// What can't be kept or served again.
    pub(in crate::s3) fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let mut kept = BTreeMap::new();
        for name in KEPT {
            let value = text(headers, name.as_str())?.unwrap_or_default();
            let value =
                if name == header::CONTENT_ENCODING { without_chunks(value) } else { value.to_owned() };
            if !value.is_empty() {
                kept.insert(name.as_str().to_owned(), value);
            }
        }
        let given = |name: &str| Ok::<_, Failure>(text(headers, name)?.filter(|value| !value.is_empty()));
        Ok(Self {
            content_type: given(header::CONTENT_TYPE.as_str())?.unwrap_or(UNKNOWN_TYPE).to_owned(),
            cache_control: given(header::CACHE_CONTROL.as_str())?.map(str::to_owned),
            metadata: metadata(headers)?,
            headers: kept,
            tags: match text(headers, "x-amz-tagging")? {
                Some(value) => tags::from_header(value)?,
                None => Vec::new(),
            },
        })
    }

    pub(super) fn tags(&self) -> &[Tag] {
        &self.tags
    }

    pub(in crate::s3) fn into_attributes(self) -> ObjectAttributes {
        ObjectAttributes {
            content_type: self.content_type,
            cache_control: self.cache_control,
            metadata: self.metadata,
            extra: ObjectExtra {
                headers: self.headers,
                tags: self.tags,
                checksums: Checksums::new(),
                parts: None,
            },
        }
    }
}

/// How the body travelled is no part of the object.
fn without_chunks(encoding: &str) -> String {
    let parts = encoding.split(',').map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.eq_ignore_ascii_case("aws-chunked")).collect();
    parts.join(", ")
}

fn metadata(headers: &HeaderMap) -> Result<Map<String, Value>, Failure> {
    let mut found: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let Some(key) = name.as_str().strip_prefix(META).filter(|key| !key.is_empty()) else { continue };
        let value = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
        match found.get_mut(key) {
            Some(Value::String(before)) => *before = format!("{before},{value}"),
            _ => {
                found.insert(key.to_owned(), Value::String(value));
            }
        }
    }
    let size: usize = found.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MAX_META {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(Failure::bad_request("MetadataTooLarge", message));
    }
    Ok(found)
}

/// The headers that tell of an object, the same for a GET, a HEAD, a part and a 304.
pub(super) fn describe(object: &StorageObject, headers: &mut HeaderMap) {
    headers.reserve(12);
    let kind = HeaderValue::from_str(&object.content_type);
    headers.insert(header::CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static(UNKNOWN_TYPE)));
    insert(headers, header::ETAG, format!("\"{}\"", object.etag));
    insert(headers, header::LAST_MODIFIED, httpdate::fmt_http_date(object.updated_at.into()));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(control) = &object.cache_control {
        insert(headers, header::CACHE_CONTROL, control.clone());
    }
    for name in KEPT {
        if let Some(value) = object.extra.headers.get(name.as_str()) {
            insert_bytes(headers, name, value);
        }
    }
    for (key, value) in &object.metadata {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if let Ok(name) = HeaderName::try_from(format!("{META}{}", key.to_ascii_lowercase())) {
            insert(headers, name, printable(&value));
        }
    }
    if !object.extra.tags.is_empty() {
        headers.insert("x-amz-tagging-count", HeaderValue::from(object.extra.tags.len()));
    }
}

/// Text as a header can have it: what is not ASCII in RFC 2047's encoding, as S3 does.
fn printable(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte));
    if plain { text.to_owned() } else { format!("=?UTF-8?B?{}?=", STANDARD.encode(text)) }
}

/// Sets a header, unless the value can't be one.
pub(in crate::s3) fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn insert_bytes(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

/// The checksums of an object, as headers, and how they cover it.
pub(super) fn checksums(object: &StorageObject, headers: &mut HeaderMap) {
    checksum_headers(&object.extra.checksums, headers);
    if let Some(value) = object.extra.checksums.values().next() {
        headers.insert("x-amz-checksum-type", HeaderValue::from_static(ChecksumType::of(value).as_str()));
    }
}

/// How a checksum covers its object, as documents say it.
pub(in crate::s3) fn checksum_type(value: &str) -> s3s::dto::ChecksumType {
    s3s::dto::ChecksumType::from_static(ChecksumType::of(value).as_str())
}

/// Checksums as headers.
pub(in crate::s3) fn checksum_headers(checksums: &Checksums, headers: &mut HeaderMap) {
    for (algorithm, value) in checksums {
        let name = HeaderName::try_from(format!("x-amz-checksum-{}", algorithm.to_ascii_lowercase()));
        if let Ok(name) = name {
            insert(headers, name, value.clone());
        }
    }
}
