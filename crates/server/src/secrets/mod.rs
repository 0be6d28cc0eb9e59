//! The secrets of a server: generated on its first start, kept in its data directory, overridden by its configuration.
//!
//! ```text
//! let secrets = Secrets::open_or_create(&config)?;     // `serve`
//! let secrets = Secrets::open(&config)?;               // `keys`, `token create`: never creates
//! secrets.keys()?                                      // what `aerostore keys` shows
//! secrets.jwt(), secrets.previous_jwt()                // for `Authenticator::start`
//! secrets.signing_keys()                               // for signed URLs
//! ```
//!
//! One secret per purpose, so that what is signed for one is worth nothing for another. Knows the file system
//! and nothing of HTTP.

mod file;
mod keys;
mod secret;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use file_storage::Timestamp;
use file_storage::credentials::{CredentialKey, CredentialSecret};
use file_storage::signed_url::SigningKeys;

use crate::auth::MintError;
use crate::config::{AuthConfig, Config};
use file::Stored;
pub use keys::Keys;
pub use secret::{MIN_SECRET_BYTES, Secret};
use zeroize::Zeroizing;

/// The secrets in force.
#[derive(Debug, Clone)]
pub struct Secrets {
    stored: Stored,
    created: bool,
    auth: AuthConfig,
    jwt: Secret,
    previous_jwt: Vec<Secret>,
    signing: Secret,
    previous_signing: Vec<Secret>,
}

impl Secrets {
    /// Reads the secrets of the data directory; makes directory and secrets where there are none. Two processes
    /// that start at once end up with the same ones.
    ///
    /// # Errors
    /// [`SecretsError`], where they cannot be read or written, or others can read them.
    pub fn open_or_create(config: &Config) -> Result<Self, SecretsError> {
        let (stored, created) = file::open_or_create(&config.data_dir)?;
        Ok(Self::in_force(config, stored, created))
    }

    /// Reads the secrets of a data directory that a server was started with.
    ///
    /// # Errors
    /// [`SecretsError`], where there are none, they cannot be read, or others can read them.
    pub fn open(config: &Config) -> Result<Self, SecretsError> {
        Ok(Self::in_force(config, file::open(&config.data_dir)?, false))
    }

    fn in_force(config: &Config, stored: Stored, created: bool) -> Self {
        let (auth, signing) = (&config.auth, &config.signing);
        Self {
            jwt: auth.jwt_secret.clone().unwrap_or_else(|| stored.jwt_secret.clone()),
            previous_jwt: auth.previous_jwt_secrets.clone(),
            signing: signing.secret.clone().unwrap_or_else(|| stored.signing_secret.clone()),
            previous_signing: signing.previous_secrets.clone(),
            auth: auth.clone(),
            stored,
            created,
        }
    }

    /// Whether they were made just now: the one time that the keys are shown without being asked for.
    pub fn created(&self) -> bool {
        self.created
    }

    /// When they were made.
    pub fn created_at(&self) -> Timestamp {
        self.stored.created_at
    }

    /// The secret that signs users' tokens.
    pub fn jwt(&self) -> &Secret {
        &self.jwt
    }

    /// Secrets whose tokens are still accepted.
    pub fn previous_jwt(&self) -> &[Secret] {
        &self.previous_jwt
    }

    /// The key under which the secrets of S3's clients are stored: one of several that come of the master key.
    pub fn credential_key(&self) -> CredentialKey {
        CredentialKey::new(self.stored.master_key.expose().as_bytes())
    }

    /// The S3 key that the first start made: its name and its secret. It is the service role's.
    pub fn first_s3_key(&self) -> (String, CredentialSecret) {
        let secret = self.stored.s3_secret_access_key.expose();
        (self.stored.s3_access_key_id.clone(), CredentialSecret::new(secret))
    }

    /// The keys that sign and verify URLs.
    pub fn signing_keys(&self) -> SigningKeys {
        let previous = self.previous_signing.iter().map(|secret| secret.expose().as_bytes());
        SigningKeys::new(self.signing.expose().as_bytes(), previous)
    }

    /// What `aerostore keys` shows. The same keys as long as the JWT secret is the same.
    ///
    /// # Errors
    /// [`MintError`], where the tokens cannot be signed.
    pub fn keys(&self) -> Result<Keys, MintError> {
        Keys::of(&self.stored, &self.jwt, &self.auth)
    }
}

/// The secrets of a data directory as they are kept, to be backed up. Those that the configuration has are not among them.
///
/// # Errors
/// As [`Secrets::open`].
pub fn document(data_dir: &Path) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    file::document(data_dir)
}

/// Keeps secrets in a data directory that were kept in another one. Where the same are kept already, nothing is to be done.
///
/// # Errors
/// [`SecretsError`], where others are kept there, or they can't be written.
pub fn put_back(data_dir: &Path, document: &[u8]) -> Result<(), SecretsError> {
    file::put_back(data_dir, document)
}

/// Why there are no secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// No server was started with this data directory.
    #[error("{} has no secrets yet: start `aerostore serve` with this data directory once", .0.display())]
    Missing(PathBuf),
    /// Others can read them.
    #[error("{} can be read by others (mode {mode:o}): its secrets may be known; if they are not, `chmod 600` it, else delete it, and new ones are made", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is not what this program wrote.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, without contents.
        problem: String,
    },
    /// There are others.
    #[error("{} has other secrets already", .0.display())]
    Others(PathBuf),
    /// There is something else where the data directory should be.
    #[error("{} is no directory: the data directory must be one, or not be there yet", .0.display())]
    NoDirectory(PathBuf),
    /// The file system refuses.
    #[error("{}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it says.
        #[source]
        source: std::io::Error,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}
