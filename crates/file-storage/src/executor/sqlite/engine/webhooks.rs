//! What is asked of webhooks, each sent to where it runs.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use uuid::Uuid;

use crate::Timestamp;
use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, webhooks};
use crate::executor::{SealedWebhook, WebhookClaim, WebhookExecutor};
use crate::permissions::Access;
use crate::webhooks::{Webhook, WebhookStep, WebhookUpdate};

#[async_trait]
impl WebhookExecutor for SqliteExecutor {
    async fn create_webhook(&self, access: &Access, new: &SealedWebhook) -> Result<Webhook, StorageError> {
        let (access, new) = (access.clone(), new.clone());
        let create = move |conn: &Connection| webhooks::create(conn, &access, &new);
        self.writer.run("create_webhook", create).await
    }

    async fn webhooks(&self, access: &Access) -> Result<Vec<Webhook>, StorageError> {
        let access = access.clone();
        self.scan("webhooks", move |conn| webhooks::all(conn, &access)).await
    }

    async fn webhook(&self, access: &Access, id: Uuid) -> Result<Option<SealedWebhook>, StorageError> {
        self.read("webhook", |conn| webhooks::find(conn, access, id))
    }

    async fn update_webhook(
        &self,
        access: &Access,
        id: Uuid,
        update: &WebhookUpdate,
    ) -> Result<Option<Webhook>, StorageError> {
        let (access, update) = (access.clone(), update.clone());
        let change = move |conn: &Connection| webhooks::update(conn, &access, id, &update);
        self.writer.keep("update_webhook", change).await
    }

    async fn rotate_webhook(
        &self,
        access: &Access,
        id: Uuid,
        sealed: &str,
        until: Timestamp,
    ) -> Result<Option<Webhook>, StorageError> {
        let (access, sealed) = (access.clone(), sealed.to_owned());
        let rotate = move |conn: &Connection| webhooks::rotate(conn, &access, id, &sealed, until);
        self.writer.keep("rotate_webhook", rotate).await
    }

    async fn delete_webhook(&self, access: &Access, id: Uuid) -> Result<bool, StorageError> {
        let access = access.clone();
        let delete = move |conn: &Connection| webhooks::delete(conn, &access, id);
        self.writer.free("delete_webhook", delete).await
    }

    async fn claim_webhooks(
        &self,
        access: &Access,
        claim: &WebhookClaim,
    ) -> Result<Vec<SealedWebhook>, StorageError> {
        let (access, claim) = (access.clone(), *claim);
        let claim = move |conn: &Connection| webhooks::claim(conn, &access, &claim);
        self.writer.keep("claim_webhooks", claim).await
    }

    async fn record_webhook(
        &self,
        access: &Access,
        id: Uuid,
        claim: Uuid,
        step: &WebhookStep,
        lease: Option<Duration>,
    ) -> Result<Option<SealedWebhook>, StorageError> {
        let (access, step) = (access.clone(), step.clone());
        let record = move |conn: &Connection| webhooks::record(conn, &access, id, claim, &step, lease);
        self.writer.keep("record_webhook", record).await
    }
}
