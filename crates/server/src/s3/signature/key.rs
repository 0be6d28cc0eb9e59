//! The key that a secret becomes for one day, region and service.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
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

/// Most keys that are remembered.
const PLACES: usize = 1024;

/// Keys that a signature was found good with: each is the same for a day. Known by a digest of what they are made of, so that
/// another secret never finds them.
#[derive(Default)]
pub(in crate::s3) struct KnownKeys(Mutex<HashMap<Made, Key>>);

/// What a key is made of, in one digest.
type Made = [u8; 32];

impl KnownKeys {
    /// The key of a secret and scope, and what it is known by.
    pub(super) fn find(&self, secret: &CredentialSecret, scope: &Scope) -> (Made, Key) {
        let mut digest = Context::new(&SHA256);
        for part in [secret.expose(), &scope.date, &scope.region] {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        let mut made = Made::default();
        made.copy_from_slice(digest.finish().as_ref());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&made).cloned();
        (made, known.unwrap_or_else(|| Key::new(secret, scope)))
    }

    /// Remembers a key that a signature was good with: others would let anybody fill this.
    pub(super) fn keep(&self, made: Made, key: &Key) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains_key(&made) {
            return;
        }
        if known.len() >= PLACES {
            known.clear();
        }
        known.insert(made, key.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_all_that_it_is_made_of() {
        let scope = |date: &str, region: &str| Scope {
            access_key_id: "AK".to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
        };
        let (keys, secret) = (KnownKeys::default(), CredentialSecret::new("secret"));
        let today = scope("20260101", "eu");
        let (made, key) = keys.find(&secret, &today);
        assert_eq!(keys.0.lock().unwrap().len(), 0, "nothing is kept that was not found good");
        keys.keep(made, &key);
        let signed = Key::new(&secret, &today).sign("text");
        assert_eq!(keys.find(&secret, &today).1.sign("text"), signed);
        for (secret, scope) in
            [("secret", scope("20260102", "eu")), ("secret", scope("2026010", "1eu")), ("other", today)]
        {
            let found = keys.find(&CredentialSecret::new(secret), &scope);
            assert_ne!((found.0, found.1.sign("text")), (made, signed.clone()));
        }
        for day in 0..2 * PLACES {
            let (made, key) = keys.find(&secret, &scope(&day.to_string(), "eu"));
            keys.keep(made, &key);
        }
        assert!(keys.0.lock().unwrap().len() <= PLACES);
    }
}
