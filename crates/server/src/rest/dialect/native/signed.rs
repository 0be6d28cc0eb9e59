//! Signed URLs.

use serde::Serialize;
use utoipa::ToSchema;

use crate::rest::dialect::wire::{Time, in_url};
use crate::rest::dialect::{SignedOutcome, SignedUrl};

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
    pub(in crate::rest::dialect) fn new(signed: &SignedUrl<'_>) -> Self {
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
    pub(in crate::rest::dialect) fn new(entry: &SignedOutcome<'a>) -> Self {
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
    pub(in crate::rest::dialect) fn new(signed: &'a SignedUrl<'a>) -> Self {
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
