//! Secrets as the database has them, of credentials and of webhooks: AES-256-GCM-SIV by a key that HKDF derives from the master
//! key for each of both and nothing else, bound to what the secret is of: a sealed secret under another id opens nothing.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::CredentialSecret;
use crate::errors::StorageError;

/// Whose secret is sealed: each kind has a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretOf {
    /// A key of S3's clients.
    Credential,
    /// A webhook.
    Webhook,
}

impl SecretOf {
    /// What the key is for: another text makes another key. It changes with the format.
    fn purpose(self) -> &'static [u8] {
        match self {
            Self::Credential => b"aerostore s3 credentials: secrets at rest, version 1",
            Self::Webhook => b"aerostore webhooks: secrets at rest, version 1",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Webhook => "webhook",
        }
    }
}

/// What seals secrets, and opens them again. The computing library wipes it when it is dropped.
#[derive(Clone)]
pub struct CredentialKey(Prk);

impl CredentialKey {
    /// The key that belongs to a master key.
    pub fn new(master_key: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, &[]).extract(master_key))
    }

    fn cipher(&self, of: SecretOf) -> Result<LessSafeKey, Unspecified> {
        let purpose = [of.purpose()];
        Ok(LessSafeKey::new(UnboundKey::from(self.0.expand(&purpose, &AES_256_GCM_SIV)?)))
    }

    /// Seals a secret: base64url of nonce, ciphertext and tag.
    ///
    /// # Errors
    /// [`StorageError::Internal`] where the system gives no random numbers.
    pub(crate) fn seal(
        &self,
        of: SecretOf,
        id: &str,
        secret: &CredentialSecret,
    ) -> Result<String, StorageError> {
        let failed = |_| StorageError::internal("a secret could not be sealed");
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(failed)?;
        let mut sealed = secret.expose().as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let cipher = self.cipher(of).map_err(failed)?;
        cipher.seal_in_place_append_tag(unique, Aad::from(id), &mut sealed).map_err(failed)?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce, sealed.as_slice()].concat()))
    }

    /// Opens what [`CredentialKey::seal`] sealed.
    ///
    /// # Errors
    /// [`StorageError::Internal`] for anything else: the master key is another one, or the database was tampered with.
    pub(crate) fn open(
        &self,
        of: SecretOf,
        id: &str,
        sealed: &str,
    ) -> Result<CredentialSecret, StorageError> {
        let unreadable = || {
            let what = of.word();
            let context =
                format!("the secret of the {what} {id} can't be opened: is the master key the same?");
            StorageError::internal(context)
        };
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| unreadable())?;
        let (nonce, sealed) = bytes.split_first_chunk_mut::<NONCE_LEN>().ok_or_else(unreadable)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let cipher = self.cipher(of).map_err(|_| unreadable())?;
        let opened = cipher.open_in_place(nonce, Aad::from(id), sealed).map_err(|_| unreadable())?;
        Ok(CredentialSecret::new(std::str::from_utf8(opened).map_err(|_| unreadable())?))
    }
}

impl fmt::Debug for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: SecretOf = SecretOf::Credential;

    #[test]
    fn a_secret_is_opened_with_its_own_key_and_id_alone() {
        let (key, other) = (CredentialKey::new(b"a master key"), CredentialKey::new(b"another one"));
        let secret = CredentialSecret::generate().unwrap();
        let sealed = key.seal(OF, "AS1", &secret).unwrap();
        assert_eq!(key.open(OF, "AS1", &sealed).unwrap(), secret);
        assert!(!sealed.contains(secret.expose()));
        assert_ne!(sealed, key.seal(OF, "AS1", &secret).unwrap(), "each has a nonce of its own");
        assert!(key.open(OF, "AS2", &sealed).is_err());
        assert!(other.open(OF, "AS1", &sealed).is_err());
        assert!(key.open(SecretOf::Webhook, "AS1", &sealed).is_err(), "what it is of counts");
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(key.open(OF, "AS1", &URL_SAFE_NO_PAD.encode(changed)).is_err(), "byte {at}");
        }
        assert!(key.open(OF, "AS1", "").is_err());
    }
}
