//! Keys of S3's clients, for the service role and for whoever verifies a signature.

use async_trait::async_trait;

use crate::Timestamp;
use crate::credentials::Credential;
use crate::errors::StorageError;
use crate::permissions::Access;

/// What keeps credentials. An [`Executor`](super::Executor) does, by the same rules.
#[async_trait]
pub trait CredentialExecutor: Send + Sync {
    /// Adds a credential with its sealed secret; gives it back as it is kept.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn create_credential(
        &self,
        access: &Access,
        credential: &Credential,
        sealed_secret: &str,
    ) -> Result<Credential, StorageError>;

    /// All credentials, oldest first.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn credentials(&self, access: &Access) -> Result<Vec<Credential>, StorageError>;

    /// A credential and its sealed secret.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn credential(
        &self,
        access: &Access,
        access_key_id: &str,
    ) -> Result<Option<(Credential, String)>, StorageError>;

    /// Has a credential accepted, or not; `None` where there is none.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn enable_credential(
        &self,
        access: &Access,
        access_key_id: &str,
        enabled: bool,
    ) -> Result<Option<Credential>, StorageError>;

    /// Deletes a credential; `false` where there is none.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn delete_credential(&self, access: &Access, access_key_id: &str) -> Result<bool, StorageError>;

    /// Notes when a credential was last used.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn credential_used(
        &self,
        access: &Access,
        access_key_id: &str,
        at: Timestamp,
    ) -> Result<(), StorageError>;
}
