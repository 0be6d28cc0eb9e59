//! Webhooks, for the service role and for whoever delivers: where each stands is kept with it.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::Timestamp;
use crate::errors::StorageError;
use crate::permissions::Access;
use crate::webhooks::{AfterFailure, Webhook, WebhookStatus, WebhookStep, WebhookUpdate};

/// The columns of a webhook, in the order that all engines share.
pub(super) const WEBHOOK: &str = "id, url, kinds, bucket_id, prefix, status, position, attempts, next_attempt_at, \
     last_success_at, last_error, last_error_at, previous_until, created_at, updated_at, sealed_secret, sealed_previous";

/// A webhook with its secrets, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// What signs.
    pub secret: String,
    /// What signs as well for a while.
    pub previous: Option<String>,
}

/// Who wants to deliver, and for how long nobody else does.
#[derive(Debug, Clone, Copy)]
pub struct WebhookClaim {
    /// Who: another one for each claim, so that a claim which has ended is not taken for a later one.
    pub id: Uuid,
    /// How long the claim lasts, unless it is renewed.
    pub lease: Duration,
    /// The number of the newest event: a webhook that stands there has nothing to be told.
    pub last: u64,
}

/// What keeps webhooks. An [`Executor`](super::Executor) does, by the same rules.
#[async_trait]
pub trait WebhookExecutor: Send + Sync {
    /// Adds a webhook; gives it back as it is kept.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`] where there are too many.
    async fn create_webhook(&self, access: &Access, new: &SealedWebhook) -> Result<Webhook, StorageError>;

    /// All webhooks, oldest first.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn webhooks(&self, access: &Access) -> Result<Vec<Webhook>, StorageError>;

    /// A webhook and its sealed secrets.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn webhook(&self, access: &Access, id: Uuid) -> Result<Option<SealedWebhook>, StorageError>;

    /// Changes a webhook; `None` where there is none. One that is enabled, or goes elsewhere, is tried at once,
    /// and whoever had the claim has it no more: what the receiver of before still answers is not written down.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn update_webhook(
        &self,
        access: &Access,
        id: Uuid,
        update: &WebhookUpdate,
    ) -> Result<Option<Webhook>, StorageError>;

    /// Gives a webhook another secret; the one that it has signs as well until then. `None` where there is none.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn rotate_webhook(
        &self,
        access: &Access,
        id: Uuid,
        sealed: &str,
        until: Timestamp,
    ) -> Result<Option<Webhook>, StorageError>;

    /// Deletes a webhook; `false` where there is none.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn delete_webhook(&self, access: &Access, id: Uuid) -> Result<bool, StorageError>;

    /// Takes the webhooks that are active, due, behind, and nobody else's.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn claim_webhooks(
        &self,
        access: &Access,
        claim: &WebhookClaim,
    ) -> Result<Vec<SealedWebhook>, StorageError>;

    /// Writes down how far a webhook has come, by whoever has the claim; gives it as it then is, and `None` where somebody else
    /// has the claim, or there is no such webhook. With a lease the claim is renewed, as long as the webhook is active; without
    /// one it ends. Where it stands, it stands also if it was disabled meanwhile; only of an active one does a failure change
    /// the status.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn record_webhook(
        &self,
        access: &Access,
        id: Uuid,
        claim: Uuid,
        step: &WebhookStep,
        lease: Option<Duration>,
    ) -> Result<Option<SealedWebhook>, StorageError>;
}

/// What a step changes, as both engines' statements take it.
#[derive(Debug, Default)]
pub(super) struct Recorded<'s> {
    pub(super) position: Option<u64>,
    pub(super) delivered: bool,
    pub(super) error: Option<&'s str>,
    pub(super) wait: Option<Duration>,
    pub(super) status: Option<&'static str>,
}

impl<'s> Recorded<'s> {
    pub(super) fn of(step: &'s WebhookStep) -> Self {
        match step {
            WebhookStep::Passed { position, delivered } => {
                Self { position: Some(*position), delivered: *delivered, ..Self::default() }
            }
            WebhookStep::Failed { error, then } => {
                let (wait, status) = match then {
                    AfterFailure::Retry(wait) => (Some(*wait), None),
                    AfterFailure::Pause => (None, Some(WebhookStatus::Paused.as_str())),
                    AfterFailure::Gone => (None, Some(WebhookStatus::Gone.as_str())),
                };
                Self { error: Some(error), wait, status, ..Self::default() }
            }
            WebhookStep::Stopped => Self::default(),
        }
    }
}

/// The answer where one webhook more is to be than there may be.
pub(super) fn too_many_webhooks() -> StorageError {
    let most = crate::webhooks::MAX_WEBHOOKS;
    StorageError::InvalidRequest { message: format!("there are at most {most} webhooks") }
}
