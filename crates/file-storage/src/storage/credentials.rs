//! S3 credentials: made, listed, disabled and deleted by the service role, and found by whoever verifies a signature.
//!
//! What verifies a signature is remembered a short while, so that a request costs no query of its own. What changes here
//! is forgotten here at once, and by other processes when that while is over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::SubsecRound as _;

use super::FileStorage;
use crate::credentials::{
    ActiveCredential, Credential, CredentialSecret, NewCredential, SecretOf, new_access_key_id,
};
use crate::errors::StorageError;
use crate::permissions::{Operation, RlsContext};

/// How long a credential that was found is remembered.
const REMEMBERED: Duration = Duration::from_secs(3);

/// Most credentials that are remembered.
const PLACES: usize = 1024;

/// How often the last use of a credential is written down.
const USE_INTERVAL: Duration = Duration::from_secs(60);

/// What is remembered of credentials.
#[derive(Default)]
pub(super) struct KnownCredentials(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Grows with every change: what was read before one must not be remembered after it.
    generation: u64,
    found: HashMap<String, (Instant, ActiveCredential)>,
    /// When the last use was written down.
    used: HashMap<String, Instant>,
}

impl KnownCredentials {
    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, id: &str) -> (u64, Option<ActiveCredential>) {
        self.with(|known| {
            let found = known.found.get(id).filter(|(since, _)| since.elapsed() < REMEMBERED);
            (known.generation, found.map(|(_, credential)| credential.clone()))
        })
    }

    fn keep(&self, id: &str, generation: u64, credential: &ActiveCredential) {
        self.with(|known| {
            if known.generation != generation {
                return;
            }
            if known.found.len() >= PLACES {
                known.found.retain(|_, (since, _)| since.elapsed() < REMEMBERED);
            }
            if known.found.len() < PLACES {
                known.found.insert(id.to_owned(), (Instant::now(), credential.clone()));
            }
        });
    }

    fn forget(&self, id: &str) {
        self.with(|known| {
            known.generation = known.generation.wrapping_add(1);
            known.found.remove(id);
        });
    }

    /// Whether a use is to be written down now.
    fn is_use_due(&self, id: &str) -> bool {
        self.with(|known| {
            if known.used.get(id).is_some_and(|since| since.elapsed() < USE_INTERVAL) {
                return false;
            }
            if known.used.len() >= PLACES {
                known.used.retain(|_, since| since.elapsed() < USE_INTERVAL);
            }
            known.used.insert(id.to_owned(), Instant::now());
            true
        })
    }
}

impl FileStorage {
    /// Makes a credential. Its secret is given this once.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`], or a denial: credentials are the service role's.
    pub async fn create_credential(
        &self,
        context: &RlsContext,
        new: NewCredential,
    ) -> Result<(Credential, CredentialSecret), StorageError> {
        let access = self.access(context, Operation::ManageCredentials, None).await?;
        new.check()?;
        let secret = CredentialSecret::generate()?;
        let credential = Credential {
            access_key_id: new_access_key_id()?,
            name: new.name,
            role: new.role,
            user_id: new.user_id,
            enabled: true,
            created_at: chrono::Utc::now().trunc_subsecs(6),
            last_used_at: None,
        };
        let sealed =
            self.inner.credential_key.seal(SecretOf::Credential, &credential.access_key_id, &secret)?;
        let made = self.executor().create_credential(&access, &credential, &sealed).await?;
        tracing::info!(
            access_key_id = %made.access_key_id, role = made.role.as_str(), request_id = context.request_id(),
            "created a credential"
        );
        Ok((made, secret))
    }

    /// All credentials, oldest first.
    ///
    /// # Errors
    /// A denial: credentials are the service role's.
    pub async fn credentials(&self, context: &RlsContext) -> Result<Vec<Credential>, StorageError> {
        let access = self.access(context, Operation::ManageCredentials, None).await?;
        self.executor().credentials(&access).await
    }

    /// Has a credential accepted, or not any more. In this process from now on, in others within seconds.
    ///
    /// # Errors
    /// [`StorageError::CredentialNotFound`], or a denial.
    pub async fn enable_credential(
        &self,
        context: &RlsContext,
        access_key_id: &str,
        enabled: bool,
    ) -> Result<Credential, StorageError> {
        let access = self.access(context, Operation::ManageCredentials, None).await?;
        let changed = self.executor().enable_credential(&access, access_key_id, enabled).await;
        self.inner.known_credentials.forget(access_key_id);
        let changed = changed?.ok_or_else(|| missing(access_key_id))?;
        tracing::info!(access_key_id, enabled, request_id = context.request_id(), "changed a credential");
        Ok(changed)
    }

    /// Deletes a credential. As [`FileStorage::enable_credential`], and for good.
    ///
    /// # Errors
    /// [`StorageError::CredentialNotFound`], or a denial.
    pub async fn delete_credential(
        &self,
        context: &RlsContext,
        access_key_id: &str,
    ) -> Result<(), StorageError> {
        let access = self.access(context, Operation::ManageCredentials, None).await?;
        let gone = self.executor().delete_credential(&access, access_key_id).await;
        self.inner.known_credentials.forget(access_key_id);
        if !gone? {
            return Err(missing(access_key_id));
        }
        tracing::info!(access_key_id, request_id = context.request_id(), "deleted a credential");
        Ok(())
    }

    /// The same as [`FileStorage::active_credential`], as far as it takes no query: `None` where nothing is remembered.
    pub fn remembered_credential(&self, access_key_id: &str) -> Option<ActiveCredential> {
        self.inner.known_credentials.find(access_key_id).1
    }

    /// What verifies signatures by this access key; `None` where there is none that is accepted.
    ///
    /// # Errors
    /// Only those of the engine.
    pub async fn active_credential(
        &self,
        access_key_id: &str,
    ) -> Result<Option<ActiveCredential>, StorageError> {
        // Ours have 20 letters and digits: nothing else is looked for.
        if access_key_id.len() != 20 || !access_key_id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let (generation, known) = self.inner.known_credentials.find(access_key_id);
        if known.is_some() {
            return Ok(known);
        }
        let access = self.maintain("verify a signature")?;
        let found = self.executor().credential(&access, access_key_id).await?;
        let Some((credential, sealed)) = found.filter(|(credential, _)| credential.enabled) else {
            return Ok(None);
        };
        let secret = self.inner.credential_key.open(SecretOf::Credential, access_key_id, &sealed)?;
        let active = ActiveCredential { secret, role: credential.role, user_id: credential.user_id };
        self.inner.known_credentials.keep(access_key_id, generation, &active);
        Ok(Some(active))
    }

    /// Notes that a credential was used, off the way of the request that used it.
    pub fn note_credential_use(&self, access_key_id: &str) {
        if !self.inner.known_credentials.is_use_due(access_key_id) {
            return;
        }
        let (storage, id) = (self.clone(), access_key_id.to_owned());
        self.inner.commits.spawn(async move {
            let noted = async {
                let access = storage.maintain("note the use of a credential")?;
                storage.executor().credential_used(&access, &id, chrono::Utc::now()).await
            };
            if let Err(error) = noted.await {
                tracing::warn!(%error, access_key_id = id, "the use of a credential was not noted");
            }
        });
    }
}

fn missing(access_key_id: &str) -> StorageError {
    StorageError::CredentialNotFound { access_key_id: access_key_id.to_owned() }
}
