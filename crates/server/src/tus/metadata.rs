//! `Upload-Metadata`: keys with values in base64, and what they say of the object.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use file_storage::extra::ObjectExtra;
use file_storage::file::ObjectAttributes;
use file_storage::path::PathRules;
use file_storage::{BucketName, ObjectPath};
use http::HeaderMap;

use crate::errors::ApiError;
use crate::rest::metadata_of_user;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an object is of which nothing is said.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Most bytes of the header. It is told again to who asks for the upload, and clients do not read much more than this.
const MAX_BYTES: usize = 8 << 10;

/// What a client says of an upload.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The header, as it came.
    pub(super) text: String,
    pairs: Vec<(String, String)>,
}

impl Told {
    /// Reads the header; without one, nothing is said.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(header) = headers.get("upload-metadata") else { return Ok(Self::default()) };
        let text = header.to_str().map_err(|_| invalid())?;
        if text.len() > MAX_BYTES {
            return Err(ApiError::schema(format!("Upload-Metadata must have {MAX_BYTES} bytes at most")));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
            let bytes = BASE64.decode(value.trim()).map_err(|_| invalid())?;
            let is_text = || ApiError::schema("Upload-Metadata must have values that are UTF-8");
            let value = String::from_utf8(bytes).map_err(|_| is_text())?;
            if pairs.iter().any(|(known, _)| known == key) {
                return Err(ApiError::schema("Upload-Metadata must name each key once"));
            }
            pairs.push((key.to_owned(), value));
        }
        Ok(Self { text: text.to_owned(), pairs })
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Where the object goes.
    pub(super) fn object(&self, rules: PathRules) -> Result<(BucketName, ObjectPath), ApiError> {
        let needed = |key: &'static str| {
            let message = format!("Upload-Metadata must have required property '{key}'");
            self.value(key).ok_or_else(|| ApiError::schema(message))
        };
        let (bucket, path) = (needed("bucketName")?, needed("objectName")?);
        // The path first: what is wrong with it is the same for everybody, whatever the bucket.
        let path = ObjectPath::parse_new(path, rules)?;
        Ok((BucketName::parse(bucket)?, path))
    }

    /// What the object is.
    pub(super) fn attributes(&self) -> Result<ObjectAttributes, ApiError> {
        let content_type = self.value("contentType").map(str::trim).filter(|text| !text.is_empty());
        let content_type = content_type.unwrap_or(UNKNOWN_TYPE);
        if http::HeaderValue::from_str(content_type).is_err() {
            return Err(ApiError::schema("contentType must be a header's value"));
        }
        let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = self.value("cacheControl").map(str::trim).filter(is_number);
        let metadata = match self.value("metadata") {
            Some(json) if !json.is_empty() => metadata_of_user(json.as_bytes())?,
            _ => serde_json::Map::new(),
        };
        Ok(ObjectAttributes {
            content_type: content_type.to_owned(),
            cache_control: seconds.map(|seconds| format!("max-age={seconds}")),
            metadata,
            extra: ObjectExtra::default(),
        })
    }
}

fn invalid() -> ApiError {
    ApiError::schema("Upload-Metadata must be pairs of a key and base64, with commas between them")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Told, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert("upload-metadata", text.parse().unwrap());
        Told::parse(&headers)
    }

    #[test]
    fn keys_have_values_in_base64() {
        // photos, ü b.txt, 60, {"k":1}
        let text =
            "bucketName cGhvdG9z,objectName w7wgYi50eHQ=, cacheControl NjA,metadata eyJrIjoxfQ==,is_flag";
        let told = told(text).unwrap();
        let (bucket, path) = told.object(PathRules::Lenient).unwrap();
        assert_eq!((bucket.as_str(), path.as_str()), ("photos", "ü b.txt"));
        let attributes = told.attributes().unwrap();
        assert_eq!(attributes.content_type, UNKNOWN_TYPE);
        assert_eq!(attributes.cache_control.as_deref(), Some("max-age=60"));
        assert_eq!(serde_json::Value::from(attributes.metadata), serde_json::json!({"k": 1}));
    }

    #[test]
    fn what_is_no_metadata_is_refused() {
        for bad in ["a !", "a YQ==,a YQ==", "a /w=="] {
            assert!(matches!(told(bad), Err(ApiError::Schema(_))), "{bad}");
        }
        let nothing = Told::parse(&HeaderMap::new()).unwrap();
        assert!(matches!(nothing.object(PathRules::Lenient), Err(ApiError::Schema(_))));
        assert!(told("metadata W10=").unwrap().attributes().is_err());
    }
}
