//! The secrets that sign URLs: one that signs, and those that signed before it.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::seal::SealingKey;

/// One secret, ready for use, and wiped by the computing library when dropped. Debug shows its id alone.
#[derive(Clone)]
pub struct SigningKey {
    id: String,
    /// The first part of all its tokens, naming algorithm and key.
    header: String,
    key: hmac::Key,
    sealing: SealingKey,
}

/// The secret that signs, and previous ones, which still verify (rotation).
#[derive(Debug, Clone)]
pub struct SigningKeys {
    current: SigningKey,
    previous: Vec<SigningKey>,
}

impl SigningKey {
    /// A key of a secret. Its id is derived from the secret and does not reveal it.
    pub fn new(secret: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let fingerprint = hmac::sign(&key, b"aerostore url signing key id");
        let id = hex::encode(fingerprint.as_ref().get(..6).unwrap_or_default());
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{id}"}}"#));
        Self { id, header, key, sealing: SealingKey::new(secret) }
    }

    /// The first part of all its tokens.
    pub(super) fn header(&self) -> &str {
        &self.header
    }

    /// What encrypts the claims in its tokens.
    pub(super) fn sealing(&self) -> &SealingKey {
        &self.sealing
    }

    pub(super) fn sign(&self, message: &[u8]) -> hmac::Tag {
        hmac::sign(&self.key, message)
    }

    /// Compares in constant time.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.key, message, signature).is_ok()
    }
}

impl SigningKeys {
    /// Keys of the current secret and of previous ones.
    pub fn new<'a>(current: &[u8], previous: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self {
            current: SigningKey::new(current),
            previous: previous.into_iter().map(SigningKey::new).collect(),
        }
    }

    pub(super) fn current(&self) -> &SigningKey {
        &self.current
    }

    /// The key whose tokens begin so. A header that none of them writes, for its algorithm or for anything else,
    /// belongs to none.
    pub(super) fn of_header(&self, header: &str) -> Option<&SigningKey> {
        std::iter::once(&self.current).chain(&self.previous).find(|key| key.header == header)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}
