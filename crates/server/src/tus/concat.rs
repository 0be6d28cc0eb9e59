//! `Upload-Concat`: whether an upload is a part of another one, or made of parts.

use file_storage::StorageError;
use file_storage::multipart::UploadAt;
use http::HeaderMap;

use super::{ROOT, location};
use crate::errors::ApiError;

/// Most parts of one object.
const MAX_PARTS: usize = 1000;

/// What an upload is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Concat {
    /// An object of its own.
    Whole,
    /// A part of one.
    Partial,
    /// An object of these parts.
    Final(Vec<UploadAt>),
}

/// Reads the header.
pub(super) fn parse(headers: &HeaderMap) -> Result<Concat, ApiError> {
    let Some(header) = headers.get("upload-concat") else { return Ok(Concat::Whole) };
    let invalid =
        || ApiError::schema("Upload-Concat must be 'partial' or 'final;' and URLs of partial uploads");
    let text = header.to_str().map_err(|_| invalid())?.trim();
    if text == "partial" {
        return Ok(Concat::Partial);
    }
    let urls = text.strip_prefix("final;").ok_or_else(invalid)?;
    let parts: Vec<&str> = urls.split_ascii_whitespace().collect();
    if parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(invalid());
    }
    let parts: Result<Vec<UploadAt>, StorageError> = parts.into_iter().map(named).collect();
    Ok(Concat::Final(parts?))
}

/// The upload of a URL, absolute or not. Wherever it says that it is, it is looked for here.
fn named(url: &str) -> Result<UploadAt, StorageError> {
    let name = match url.split_once(ROOT) {
        Some((_, rest)) => rest.strip_prefix("/sign/").unwrap_or(rest).trim_start_matches('/'),
        None => url.rsplit('/').next().unwrap_or_default(),
    };
    location::decode(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_by_their_urls() {
        let at = location::decode(&location::encode(&UploadAt {
            bucket: file_storage::BucketName::parse("b").unwrap(),
            path: file_storage::ObjectPath::parse("sign/x").unwrap(),
            id: uuid::Uuid::now_v7(),
        }))
        .unwrap();
        let name = location::encode(&at);
        let parse = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("upload-concat", text.parse().unwrap());
            parse(&headers)
        };
        assert_eq!(parse("partial").unwrap(), Concat::Partial);
        for url in [
            format!("http://h/p/storage/v1{ROOT}/{name}"),
            format!("/storage/v1{ROOT}/sign/{name}"),
            name.clone(),
        ] {
            let both = format!("final;{url} {url}");
            assert_eq!(parse(&both).unwrap(), Concat::Final(vec![at.clone(), at.clone()]), "{url}");
        }
        for bad in ["final;", "final", "other", "final;x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
