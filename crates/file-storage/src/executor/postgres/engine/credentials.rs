//! What is asked of credentials, each sent to where it runs.

use async_trait::async_trait;

use crate::Timestamp;
use crate::credentials::Credential;
use crate::errors::StorageError;
use crate::executor::CredentialExecutor;
use crate::executor::postgres::session::retried;
use crate::executor::postgres::{PostgresExecutor, credentials};
use crate::permissions::Access;

#[async_trait]
impl CredentialExecutor for PostgresExecutor {
    async fn create_credential(
        &self,
        access: &Access,
        credential: &Credential,
        sealed_secret: &str,
    ) -> Result<Credential, StorageError> {
        let create = async { retried!(credentials::create(&self.pool, access, credential, sealed_secret)) };
        self.run("create_credential", create).await
    }

    async fn credentials(&self, access: &Access) -> Result<Vec<Credential>, StorageError> {
        self.run("credentials", credentials::all(&self.pool, access)).await
    }

    async fn credential(
        &self,
        access: &Access,
        access_key_id: &str,
    ) -> Result<Option<(Credential, String)>, StorageError> {
        self.run("credential", credentials::find(&self.pool, access, access_key_id)).await
    }

    async fn enable_credential(
        &self,
        access: &Access,
        access_key_id: &str,
        enabled: bool,
    ) -> Result<Option<Credential>, StorageError> {
        let enable = async { retried!(credentials::enable(&self.pool, access, access_key_id, enabled)) };
        self.run("enable_credential", enable).await
    }

    async fn delete_credential(&self, access: &Access, access_key_id: &str) -> Result<bool, StorageError> {
        let delete = async { retried!(credentials::delete(&self.pool, access, access_key_id)) };
        self.run("delete_credential", delete).await
    }

    async fn credential_used(
        &self,
        access: &Access,
        access_key_id: &str,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let used = async { retried!(credentials::used(&self.pool, access, access_key_id, at)) };
        self.run("credential_used", used).await
    }
}
