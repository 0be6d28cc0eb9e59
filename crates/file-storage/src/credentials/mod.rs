//! S3 credentials: keys that stand for a role and a user, as clients of S3 show who they are.
//!
//! The secret must be at hand to verify a signature, so that it can't be kept as a digest: it is kept sealed under the
//! server's master key, shown once, and never again.

mod seal;

use std::fmt;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::Timestamp;
use crate::errors::StorageError;
use crate::permissions::{RlsContext, Role};

pub use seal::CredentialKey;
pub(crate) use seal::SecretOf;

/// Longest name of a credential, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// A credential as its owner sees it: without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What clients send, and what it is known by.
    pub access_key_id: String,
    /// What its people call it.
    pub name: String,
    /// The role in which it acts.
    pub role: Role,
    /// The user as whom it acts.
    pub user_id: Option<Uuid>,
    /// Whether it is accepted.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, more or less: written down every so often.
    pub last_used_at: Option<Timestamp>,
}

/// What a new credential is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCredential {
    /// What its people call it.
    pub name: String,
    /// The role in which it acts.
    pub role: Role,
    /// The user as whom it acts; one who is authenticated needs one.
    pub user_id: Option<Uuid>,
}

impl NewCredential {
    /// Refuses what could never act.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`].
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        let refuse = |message: &str| Err(StorageError::InvalidRequest { message: message.to_owned() });
        match (self.role, self.user_id) {
            (Role::Authenticated, None) => {
                return refuse("a credential of the role 'authenticated' needs a user");
            }
            (Role::Anon, Some(_)) => return refuse("a credential of the role 'anon' has no user"),
            (Role::Authenticated | Role::ServiceRole, Some(_)) | (Role::Anon | Role::ServiceRole, None) => {}
        }
        if self.name.len() > MAX_NAME_BYTES || self.name.chars().any(char::is_control) {
            return refuse("a credential's name has at most 256 bytes and no control characters");
        }
        Ok(())
    }
}

/// A secret that is at hand: wiped when dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialSecret(Zeroizing<String>);

impl CredentialSecret {
    /// Takes over a secret that is kept elsewhere.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    /// The text itself, for the one place that computes with it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// 240 random bits, as 40 characters, the length that S3's tools expect.
    pub(crate) fn generate() -> Result<Self, StorageError> {
        let mut bytes = Zeroizing::new([0_u8; 30]);
        rand::fill(bytes.as_mut_slice()).map_err(|_| no_randomness())?;
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }
}

impl fmt::Debug for CredentialSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A name that nobody has: 20 characters, as S3's tools expect.
pub(crate) fn new_access_key_id() -> Result<String, StorageError> {
    let mut bytes = [0_u8; 9];
    rand::fill(&mut bytes).map_err(|_| no_randomness())?;
    Ok(format!("AS{}", hex::encode_upper(bytes)))
}

fn no_randomness() -> StorageError {
    StorageError::internal("the system gives no random numbers")
}

/// A credential that is accepted, with what verifies its signatures.
#[derive(Debug, Clone)]
pub struct ActiveCredential {
    /// What verifies signatures.
    pub secret: CredentialSecret,
    /// The role in which it acts.
    pub role: Role,
    /// The user as whom it acts.
    pub user_id: Option<Uuid>,
}

impl ActiveCredential {
    /// The caller that it stands for. What policies read of a token's claims is not there but for role and user.
    pub fn context(&self, request_id: &str) -> RlsContext {
        match (self.role, self.user_id) {
            (Role::ServiceRole, user) => RlsContext::service(user, serde_json::Map::new(), request_id),
            (Role::Authenticated, Some(user)) => RlsContext::user(user, serde_json::Map::new(), request_id),
            (Role::Anon, _) | (Role::Authenticated, None) => RlsContext::anon(request_id),
        }
    }
}
