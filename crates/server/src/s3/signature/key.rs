//! The key that a secret becomes for one day, region and service.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use file_storage::credentials::CredentialSecret;
use subtle::ConstantTimeEq;

use crate::s3::failure::Failure;

/// What a signature is made for: `AKID/20260101/us-east-1/s3/aws4_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::s3) struct Scope {
    pub(in crate::s3) access_key_id: String,
    pub(in crate::s3) date: String,
    pub(in crate::s3) region: String,
}

impl Scope {
    /// Reads a credential's scope. An access key id may have slashes in it, nothing else may.
    pub(in crate::s3) fn parse(text: &str) -> Result<Self, Failure> {
        let malformed = || {
            Failure::bad_request(
                "AuthorizationHeaderMalformed",
                "The credential is not of the form ACCESS-KEY-ID/DATE/REGION/s3/aws4_request",
            )
        };
        let mut parts = text.rsplitn(5, '/');
        let (Some("aws4_request"), Some("s3"), Some(region), Some(date), Some(id)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        if id.is_empty() || region.is_empty() || date.len() != 8 || !date.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(malformed());
        }
        Ok(Self { access_key_id: id.to_owned(), date: date.to_owned(), region: region.to_owned() })
    }

    /// The scope without its key.
    pub(super) fn place(&self) -> String {
        format!("{}/{}/s3/aws4_request", self.date, self.region)
    }
}

/// Makes and compares signatures. Wiped by the computing library when dropped.
#[derive(Clone)]
pub(in crate::s3) struct Key(hmac::Key);

impl Key {
    pub(in crate::s3) fn new(secret: &CredentialSecret, scope: &Scope) -> Self {
        let step = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text.as_bytes());
        let secret = zeroize::Zeroizing::new(format!("AWS4{}", secret.expose()));
        let date = step(secret.as_bytes(), &scope.date);
        let region = step(date.as_ref(), &scope.region);
        let service = step(region.as_ref(), "s3");
        let request = step(service.as_ref(), "aws4_request");
        Self(hmac::Key::new(HMAC_SHA256, request.as_ref()))
    }

    /// The signature of a text, as 64 hexadecimal digits.
    pub(super) fn sign(&self, text: &str) -> String {
        hex::encode(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }

    /// Compares in constant time.
    pub(in crate::s3) fn verifies(&self, text: &str, signature: &str) -> bool {
        self.sign(text).as_bytes().ct_eq(signature.as_bytes()).into()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}
