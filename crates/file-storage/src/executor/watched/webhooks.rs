//! Webhooks.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{WatchedExecutor, asked, settings};
use crate::Timestamp;
use crate::audit::{Action, Entry};
use crate::errors::StorageError;
use crate::executor::{SealedWebhook, WebhookClaim, WebhookExecutor};
use crate::permissions::Access;
use crate::webhooks::{Webhook, WebhookStep, WebhookUpdate};

#[async_trait]
impl WebhookExecutor for WatchedExecutor {
    async fn create_webhook(&self, access: &Access, new: &SealedWebhook) -> Result<Webhook, StorageError> {
        let entry = Entry::of(access, Action::Create)
            .subject(format!("webhook {}", new.webhook.id))
            .settings(settings::of_webhook(&new.webhook));
        self.change(entry, asked("create_webhook", self.inner.create_webhook(access, new)), |_, entry| {
            Some(entry)
        })
        .await
    }

    async fn webhooks(&self, access: &Access) -> Result<Vec<Webhook>, StorageError> {
        let entry = || Entry::of(access, Action::List).subject("webhooks");
        self.read(access, entry, asked("webhooks", self.inner.webhooks(access)), |_, entry| Some(entry)).await
    }

    async fn webhook(&self, access: &Access, id: Uuid) -> Result<Option<SealedWebhook>, StorageError> {
        let entry = || Entry::of(access, Action::Read).subject(format!("webhook {id}"));
        self.read(access, entry, asked("webhook", self.inner.webhook(access, id)), |_, entry| Some(entry))
            .await
    }

    async fn update_webhook(
        &self,
        access: &Access,
        id: Uuid,
        update: &WebhookUpdate,
    ) -> Result<Option<Webhook>, StorageError> {
        let entry = Entry::of(access, Action::Change)
            .subject(format!("webhook {id}"))
            .settings(settings::of_webhook_update(update));
        self.change(
            entry,
            asked("update_webhook", self.inner.update_webhook(access, id, update)),
            |done, entry| done.as_ref().map(|_| entry),
        )
        .await
    }

    async fn rotate_webhook(
        &self,
        access: &Access,
        id: Uuid,
        sealed: &str,
        until: Timestamp,
    ) -> Result<Option<Webhook>, StorageError> {
        let entry = Entry::of(access, Action::Change).subject(format!("webhook {id}, secret"));
        self.change(
            entry,
            asked("rotate_webhook", self.inner.rotate_webhook(access, id, sealed, until)),
            |done, entry| done.as_ref().map(|_| entry),
        )
        .await
    }

    async fn delete_webhook(&self, access: &Access, id: Uuid) -> Result<bool, StorageError> {
        let entry = Entry::of(access, Action::Delete).subject(format!("webhook {id}"));
        self.change(entry, asked("delete_webhook", self.inner.delete_webhook(access, id)), |done, entry| {
            done.then_some(entry)
        })
        .await
    }

    async fn claim_webhooks(
        &self,
        access: &Access,
        claim: &WebhookClaim,
    ) -> Result<Vec<SealedWebhook>, StorageError> {
        asked("claim_webhooks", self.inner.claim_webhooks(access, claim)).await
    }

    async fn record_webhook(
        &self,
        access: &Access,
        id: Uuid,
        claim: Uuid,
        step: &WebhookStep,
        lease: Option<Duration>,
    ) -> Result<Option<SealedWebhook>, StorageError> {
        asked("record_webhook", self.inner.record_webhook(access, id, claim, step, lease)).await
    }
}
