//! What is asked of credentials, each sent to where it runs.

use async_trait::async_trait;
use rusqlite::Connection;

use crate::Timestamp;
use crate::credentials::Credential;
use crate::errors::StorageError;
use crate::executor::CredentialExecutor;
use crate::executor::sqlite::{SqliteExecutor, credentials};
use crate::permissions::Access;

#[async_trait]
impl CredentialExecutor for SqliteExecutor {
    async fn create_credential(
        &self,
        access: &Access,
        credential: &Credential,
        sealed_secret: &str,
    ) -> Result<Credential, StorageError> {
        let (access, credential, sealed) = (access.clone(), credential.clone(), sealed_secret.to_owned());
        let create = move |conn: &Connection| credentials::create(conn, &access, &credential, &sealed);
        self.writer.run("create_credential", create).await
    }

    async fn credentials(&self, access: &Access) -> Result<Vec<Credential>, StorageError> {
        let access = access.clone();
        self.scan("credentials", move |conn| credentials::all(conn, &access)).await
    }

    async fn credential(
        &self,
        access: &Access,
        access_key_id: &str,
    ) -> Result<Option<(Credential, String)>, StorageError> {
        self.read("credential", |conn| credentials::find(conn, access, access_key_id))
    }

    async fn enable_credential(
        &self,
        access: &Access,
        access_key_id: &str,
        enabled: bool,
    ) -> Result<Option<Credential>, StorageError> {
        let (access, id) = (access.clone(), access_key_id.to_owned());
        let enable = move |conn: &Connection| credentials::enable(conn, &access, &id, enabled);
        self.writer.keep("enable_credential", enable).await
    }

    async fn delete_credential(&self, access: &Access, access_key_id: &str) -> Result<bool, StorageError> {
        let (access, id) = (access.clone(), access_key_id.to_owned());
        let delete = move |conn: &Connection| credentials::delete(conn, &access, &id);
        self.writer.free("delete_credential", delete).await
    }

    async fn credential_used(
        &self,
        access: &Access,
        access_key_id: &str,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let (access, id) = (access.clone(), access_key_id.to_owned());
        let used = move |conn: &Connection| credentials::used(conn, &access, &id, at);
        self.writer.run("credential_used", used).await
    }
}
