//! Keys of S3's clients.

use async_trait::async_trait;

use super::{WatchedExecutor, asked, settings};
use crate::Timestamp;
use crate::audit::{Action, Entry};
use crate::credentials::Credential;
use crate::errors::StorageError;
use crate::executor::CredentialExecutor;
use crate::permissions::Access;

#[async_trait]
impl CredentialExecutor for WatchedExecutor {
    async fn create_credential(
        &self,
        access: &Access,
        credential: &Credential,
        sealed_secret: &str,
    ) -> Result<Credential, StorageError> {
        let entry = Entry::of(access, Action::Create)
            .subject(format!("key {}", credential.access_key_id))
            .settings(settings::of_credential(credential));
        self.change(
            entry,
            asked("create_credential", self.inner.create_credential(access, credential, sealed_secret)),
            |_, entry| Some(entry),
        )
        .await
    }

    async fn credentials(&self, access: &Access) -> Result<Vec<Credential>, StorageError> {
        let entry = || Entry::of(access, Action::List).subject("keys");
        self.read(access, entry, asked("credentials", self.inner.credentials(access)), |_, entry| Some(entry))
            .await
    }

    async fn credential(
        &self,
        access: &Access,
        access_key_id: &str,
    ) -> Result<Option<(Credential, String)>, StorageError> {
        asked("credential", self.inner.credential(access, access_key_id)).await
    }

    async fn enable_credential(
        &self,
        access: &Access,
        access_key_id: &str,
        enabled: bool,
    ) -> Result<Option<Credential>, StorageError> {
        let entry = Entry::of(access, Action::Change)
            .subject(format!("key {access_key_id}, {}", if enabled { "enabled" } else { "disabled" }));
        self.change(
            entry,
            asked("enable_credential", self.inner.enable_credential(access, access_key_id, enabled)),
            |done, entry| done.as_ref().map(|_| entry),
        )
        .await
    }

    async fn delete_credential(&self, access: &Access, access_key_id: &str) -> Result<bool, StorageError> {
        let entry = Entry::of(access, Action::Delete).subject(format!("key {access_key_id}"));
        self.change(
            entry,
            asked("delete_credential", self.inner.delete_credential(access, access_key_id)),
            |done, entry| done.then_some(entry),
        )
        .await
    }

    async fn credential_used(
        &self,
        access: &Access,
        access_key_id: &str,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        asked("credential_used", self.inner.credential_used(access, access_key_id, at)).await
    }
}
