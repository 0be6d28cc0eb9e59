//! Signed URLs.

use serde::Serialize;

use crate::rest::dialect::{SignedOutcome, SignedUrl};

/// A signed download URL, relative to the base. Clients percent-encode it themselves.
pub(in crate::rest::dialect) fn signed_url(signed: &SignedUrl<'_>) -> String {
    format!("/object/sign/{}/{}?token={}", signed.bucket, signed.path, signed.token.token)
}

/// A signed download.
#[derive(Serialize)]
pub(in crate::rest::dialect) struct Signed {
    #[serde(rename = "signedURL")]
    pub(in crate::rest::dialect) signed_url: String,
}

/// One outcome of a batch of signings.
#[derive(Serialize)]
pub(in crate::rest::dialect) struct SignedEntry<'a> {
    error: Option<&'static str>,
    path: &'a str,
    #[serde(rename = "signedURL")]
    signed_url: Option<String>,
}

impl<'a> SignedEntry<'a> {
    pub(in crate::rest::dialect) fn new(entry: &SignedOutcome<'a>) -> Self {
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
pub(in crate::rest::dialect) struct SignedUpload<'a> {
    url: String,
    token: &'a str,
}

impl<'a> SignedUpload<'a> {
    pub(in crate::rest::dialect) fn new(signed: &'a SignedUrl<'a>) -> Self {
        let SignedUrl { bucket, path, token, .. } = signed;
        Self {
            url: format!("/object/upload/sign/{bucket}/{path}?token={}", token.token),
            token: &token.token,
        }
    }
}
