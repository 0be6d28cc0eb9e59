//! What is asked of webhooks, each sent to where it runs.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::Timestamp;
use crate::errors::StorageError;
use crate::executor::postgres::session::retried;
use crate::executor::postgres::{PostgresExecutor, webhooks};
use crate::executor::{SealedWebhook, WebhookClaim, WebhookExecutor};
use crate::permissions::Access;
use crate::webhooks::{Webhook, WebhookStep, WebhookUpdate};

#[async_trait]
impl WebhookExecutor for PostgresExecutor {
    async fn create_webhook(&self, access: &Access, new: &SealedWebhook) -> Result<Webhook, StorageError> {
        let create = async { retried!(webhooks::create(&self.pool, access, new)) };
        self.run("create_webhook", create).await
    }

    async fn webhooks(&self, access: &Access) -> Result<Vec<Webhook>, StorageError> {
        self.run("webhooks", webhooks::all(&self.pool, access)).await
    }

    async fn webhook(&self, access: &Access, id: Uuid) -> Result<Option<SealedWebhook>, StorageError> {
        self.run("webhook", webhooks::find(&self.pool, access, id)).await
    }

    async fn update_webhook(
        &self,
        access: &Access,
        id: Uuid,
        update: &WebhookUpdate,
    ) -> Result<Option<Webhook>, StorageError> {
        let change = async { retried!(webhooks::update(&self.pool, access, id, update)) };
        self.run("update_webhook", change).await
    }

    async fn rotate_webhook(
        &self,
        access: &Access,
        id: Uuid,
        sealed: &str,
        until: Timestamp,
    ) -> Result<Option<Webhook>, StorageError> {
        self.run("rotate_webhook", webhooks::rotate(&self.pool, access, id, sealed, until)).await
    }

    async fn delete_webhook(&self, access: &Access, id: Uuid) -> Result<bool, StorageError> {
        let delete = async { retried!(webhooks::delete(&self.pool, access, id)) };
        self.run("delete_webhook", delete).await
    }

    async fn claim_webhooks(
        &self,
        access: &Access,
        claim: &WebhookClaim,
    ) -> Result<Vec<SealedWebhook>, StorageError> {
        self.run("claim_webhooks", webhooks::claim(&self.pool, access, claim)).await
    }

    async fn record_webhook(
        &self,
        access: &Access,
        id: Uuid,
        claim: Uuid,
        step: &WebhookStep,
        lease: Option<Duration>,
    ) -> Result<Option<SealedWebhook>, StorageError> {
        self.run("record_webhook", webhooks::record(&self.pool, access, id, claim, step, lease)).await
    }
}
