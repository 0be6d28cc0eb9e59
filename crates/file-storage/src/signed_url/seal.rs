//! The signer's claims inside an upload token, encrypted.
//!
//! Policies read them when a URL is used, as they did when it was signed; but proxies log URLs, and people hand them on.
//! Without the signing secret nothing is seen of the claims but their length. AES-256-GCM-SIV, by a key that HKDF derives
//! from the signing secret for this and nothing else: a nonce that is drawn twice would show no more than whether two
//! signers' claims are equal. The token's signature covers what is sealed here, and binds it to the one object.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::invalid;
use crate::errors::StorageError;

/// What the key is for: another text makes another key. It changes with the format.
const PURPOSE: &[u8] = b"aerostore signed upload urls: the signer's claims, version 1";

/// What encrypts claims, and reads them again. The computing library wipes it when it is dropped.
#[derive(Clone)]
pub(super) struct SealingKey(Prk);

impl SealingKey {
    /// The key that belongs to a signing secret.
    pub(super) fn new(secret: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, &[]).extract(secret))
    }

    fn cipher(&self) -> Result<LessSafeKey, Unspecified> {
        let purpose = [PURPOSE];
        let key = self.0.expand(&purpose, &AES_256_GCM_SIV)?;
        Ok(LessSafeKey::new(UnboundKey::from(key)))
    }

    /// Encrypts claims: base64url of nonce, ciphertext and tag.
    ///
    /// # Errors
    /// [`StorageError::Internal`] where the system gives no random numbers, or the claims can't be written down.
    pub(super) fn seal(&self, claims: &Map<String, Value>) -> Result<String, StorageError> {
        let unsealed = || StorageError::internal("the claims of a signed URL could not be sealed");
        let failed = |_| unsealed();
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(failed)?;
        let mut sealed = serde_json::to_vec(claims).map_err(|_| unsealed())?;
        let cipher = self.cipher().map_err(failed)?;
        let unique = Nonce::assume_unique_for_key(nonce);
        cipher.seal_in_place_append_tag(unique, Aad::empty(), &mut sealed).map_err(failed)?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce, sealed.as_slice()].concat()))
    }

    /// Reads what [`SealingKey::seal`] wrote.
    ///
    /// # Errors
    /// [`StorageError::InvalidSignature`] for anything else.
    pub(super) fn open(&self, sealed: &str) -> Result<Map<String, Value>, StorageError> {
        let unreadable = || invalid("the signer's claims can't be read");
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| unreadable())?;
        let (nonce, sealed) = bytes.split_first_chunk_mut::<NONCE_LEN>().ok_or_else(unreadable)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let cipher = self.cipher().map_err(|_| unreadable())?;
        let opened = cipher.open_in_place(nonce, Aad::empty(), sealed).map_err(|_| unreadable())?;
        serde_json::from_slice(opened).map_err(|_| unreadable())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims() -> Map<String, Value> {
        Map::from_iter([("team".to_owned(), json!("red")), ("n".to_owned(), json!([1, null, "ü"]))])
    }

    #[test]
    fn claims_are_read_back_with_their_own_key_alone() {
        let (key, other) = (SealingKey::new(b"a secret"), SealingKey::new(b"another one"));
        for claims in [claims(), Map::new()] {
            let sealed = key.seal(&claims).unwrap();
            assert_eq!(key.open(&sealed).unwrap(), claims);
            assert!(other.open(&sealed).is_err());
            assert_ne!(sealed, key.seal(&claims).unwrap(), "each has a nonce of its own");
        }
    }

    #[test]
    fn nothing_else_is_read() {
        let key = SealingKey::new(b"a secret");
        let sealed = URL_SAFE_NO_PAD.decode(key.seal(&claims()).unwrap()).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&URL_SAFE_NO_PAD.encode(changed)).is_err(), "byte {at}");
            assert!(key.open(&URL_SAFE_NO_PAD.encode(&sealed[..at])).is_err(), "the first {at} bytes");
        }
        assert!(key.open("no base64!").is_err());
    }
}
