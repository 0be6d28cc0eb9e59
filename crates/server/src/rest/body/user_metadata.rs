//! What users say about their objects: a JSON object, in a form's field or in the header `x-metadata`.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use file_storage::StorageError;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use crate::errors::ApiError;
use crate::rest::dialect::Dialect;

/// Most bytes of metadata.
const MAX_BYTES: usize = 1_000_000;

/// With padding or without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Under this key an object's `X-Robots-Tag` is kept among its metadata. It is not shown there.
const ROBOTS_KEY: &str = "aerostore:x-robots-tag";

/// The metadata of the header, if there is one. What is no metadata is refused, or ignored as the dialect says.
pub(in crate::rest) fn from_header(
    headers: &HeaderMap,
    dialect: Dialect,
) -> Result<Option<Map<String, Value>>, ApiError> {
    let Some(value) = headers.get("x-metadata") else { return Ok(None) };
    let decoded = BASE64.decode(value.as_bytes().trim_ascii()).ok();
    let parsed = match decoded {
        Some(bytes) => parse(&bytes),
        None => Err(ApiError::schema("headers/x-metadata must be base64 of a JSON object")),
    };
    match parsed {
        Ok(metadata) => Ok(Some(metadata)),
        Err(ApiError::Schema(_)) if dialect.ignores_bad_metadata_header() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Metadata as JSON text.
pub(crate) fn parse(text: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if text.len() > MAX_BYTES {
        return Err(StorageError::PayloadTooLarge { limit: MAX_BYTES as u64 }.into());
    }
    let parsed: Result<Map<String, Value>, _> = serde_json::from_slice(text);
    let mut metadata = parsed.map_err(|_| ApiError::schema("metadata must be a JSON object"))?;
    metadata.remove(ROBOTS_KEY);
    Ok(metadata)
}

/// Keeps the header `x-robots-tag` of an upload for its downloads.
pub(super) fn keep_robots_tag(
    headers: &HeaderMap,
    metadata: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    if let Some(value) = headers.get("x-robots-tag") {
        let text = value.to_str().ok().filter(|text| text.len() <= 1000);
        let text = text.ok_or_else(|| ApiError::schema("headers/x-robots-tag must be short text"))?;
        metadata.insert(ROBOTS_KEY.to_owned(), text.into());
    }
    Ok(())
}

/// The `X-Robots-Tag` that an object was uploaded with.
pub(in crate::rest) fn robots_tag(metadata: &Map<String, Value>) -> Option<HeaderValue> {
    HeaderValue::from_str(metadata.get(ROBOTS_KEY)?.as_str()?).ok()
}

/// The metadata that users see.
pub(in crate::rest) fn shown(metadata: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = metadata.clone();
    shown.remove(ROBOTS_KEY);
    shown
}
