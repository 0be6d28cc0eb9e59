//! Webhooks: made, shown, changed and deleted by the service role, and delivered by whoever has a claim.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use uuid::Uuid;

use super::FileStorage;
use crate::bucket::BucketName;
use crate::credentials::SecretOf;
use crate::errors::StorageError;
use crate::executor::{EventBounds, SealedWebhook, WebhookClaim};
use crate::permissions::{Operation, RlsContext};
use crate::storage::StartAt;
use crate::webhooks::{
    NewWebhook, ReadyWebhook, Webhook, WebhookSecret, WebhookStatus, WebhookStep, WebhookUpdate, WebhookWork,
    check,
};

/// How long the secret before the last rotation signs as well.
const OVERLAP: TimeDelta = TimeDelta::hours(24);

/// Events that are read at a time.
const PAGE: u32 = 256;

impl FileStorage {
    /// Makes a webhook. Its secret is given this once.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`], or a denial: webhooks are the service role's, and are told of everything.
    pub async fn create_webhook(
        &self,
        context: &RlsContext,
        new: NewWebhook,
    ) -> Result<(Webhook, WebhookSecret), StorageError> {
        let access = self.access(context, Operation::ManageWebhooks, None).await?;
        check(Some(&new.url), Some(&new.kinds), Some(&new.prefix))?;
        self.must_be_there(context, new.bucket.as_ref()).await?;
        let last = self.executor().event_bounds(&access).await?.last;
        let position = match new.start {
            StartAt::Now => last,
            StartAt::After(number) if number > last => {
                let message = format!("there is no event {number} yet; the last one is {last}");
                return Err(StorageError::InvalidRequest { message });
            }
            StartAt::After(number) => number,
        };
        let (id, now, secret) = (Uuid::new_v4(), Utc::now(), WebhookSecret::generate()?);
        let webhook = Webhook {
            id,
            url: new.url,
            kinds: new.kinds,
            bucket: new.bucket,
            prefix: new.prefix,
            status: if new.enabled { WebhookStatus::Active } else { WebhookStatus::Disabled },
            position,
            attempts: 0,
            next_attempt_at: None,
            last_success_at: None,
            last_error: None,
            last_error_at: None,
            previous_until: None,
            created_at: now,
            updated_at: now,
        };
        let sealed = SealedWebhook { webhook, secret: self.seal_webhook(id, &secret)?, previous: None };
        let made = self.executor().create_webhook(&access, &sealed).await?;
        self.inner.webhooks_rung.notify_one();
        tracing::info!(webhook = %id, request_id = context.request_id(), "created a webhook");
        Ok((made, secret))
    }

    /// A webhook for a bucket that is not there would never be told of anything: a name that was mistyped, mostly. One whose bucket
    /// is deleted later stays as it is.
    async fn must_be_there(
        &self,
        context: &RlsContext,
        bucket: Option<&BucketName>,
    ) -> Result<(), StorageError> {
        let Some(name) = bucket else { return Ok(()) };
        match self.bucket(context, name).await {
            Ok(_) => Ok(()),
            Err(StorageError::BucketNotFound { .. }) => {
                Err(StorageError::InvalidRequest { message: format!("there is no bucket '{name}'") })
            }
            Err(error) => Err(error),
        }
    }

    /// All webhooks, oldest first, and from where to where events are kept, which says how far behind each is. Where there are none,
    /// that is not looked for.
    ///
    /// # Errors
    /// A denial: webhooks are the service role's.
    pub async fn webhooks(&self, context: &RlsContext) -> Result<(Vec<Webhook>, EventBounds), StorageError> {
        let access = self.access(context, Operation::ManageWebhooks, None).await?;
        let all = self.executor().webhooks(&access).await?;
        let bounds = match all.is_empty() {
            true => EventBounds::default(),
            false => self.executor().event_bounds(&access).await?,
        };
        Ok((all, bounds))
    }

    /// A webhook, and from where to where events are kept.
    ///
    /// # Errors
    /// [`StorageError::WebhookNotFound`], or a denial.
    pub async fn webhook(
        &self,
        context: &RlsContext,
        id: Uuid,
    ) -> Result<(Webhook, EventBounds), StorageError> {
        let access = self.access(context, Operation::ManageWebhooks, None).await?;
        let found = self.executor().webhook(&access, id).await?.ok_or_else(|| missing(id))?;
        Ok((found.webhook, self.executor().event_bounds(&access).await?))
    }

    /// Changes a webhook, from the next message on. One that is enabled again goes on where it stood.
    ///
    /// # Errors
    /// [`StorageError::WebhookNotFound`], [`StorageError::InvalidRequest`], or a denial.
    pub async fn update_webhook(
        &self,
        context: &RlsContext,
        id: Uuid,
        update: &WebhookUpdate,
    ) -> Result<Webhook, StorageError> {
        let access = self.access(context, Operation::ManageWebhooks, None).await?;
        check(update.url.as_deref(), update.kinds.as_deref(), update.prefix.as_deref())?;
        self.must_be_there(context, update.bucket.as_ref().and_then(Option::as_ref)).await?;
        let changed = self.executor().update_webhook(&access, id, update).await?;
        let changed = changed.ok_or_else(|| missing(id))?;
        self.inner.webhooks_rung.notify_one();
        tracing::info!(webhook = %id, enabled = update.enabled, request_id = context.request_id(), "changed a webhook");
        Ok(changed)
    }

    /// Gives a webhook another secret, which is given this once. The one before signs as well for 24 hours.
    ///
    /// # Errors
    /// [`StorageError::WebhookNotFound`], or a denial.
    pub async fn rotate_webhook(
        &self,
        context: &RlsContext,
        id: Uuid,
    ) -> Result<(Webhook, WebhookSecret), StorageError> {
        let access = self.access(context, Operation::ManageWebhooks, None).await?;
        let secret = WebhookSecret::generate()?;
        let (sealed, until) = (self.seal_webhook(id, &secret)?, Utc::now() + OVERLAP);
        let changed = self.executor().rotate_webhook(&access, id, &sealed, until).await?;
        let changed = changed.ok_or_else(|| missing(id))?;
        tracing::info!(webhook = %id, request_id = context.request_id(), "gave a webhook another secret");
        Ok((changed, secret))
    }

    /// Deletes a webhook. A message that is on its way may still arrive.
    ///
    /// # Errors
    /// [`StorageError::WebhookNotFound`], or a denial.
    pub async fn delete_webhook(&self, context: &RlsContext, id: Uuid) -> Result<(), StorageError> {
        let access = self.access(context, Operation::ManageWebhooks, None).await?;
        if !self.executor().delete_webhook(&access, id).await? {
            return Err(missing(id));
        }
        tracing::info!(webhook = %id, request_id = context.request_id(), "deleted a webhook");
        Ok(())
    }

    /// A webhook with what signs its messages, to try it out.
    ///
    /// # Errors
    /// [`StorageError::WebhookNotFound`], or a denial.
    pub async fn ready_webhook(&self, context: &RlsContext, id: Uuid) -> Result<ReadyWebhook, StorageError> {
        let access = self.access(context, Operation::ManageWebhooks, None).await?;
        let found = self.executor().webhook(&access, id).await?.ok_or_else(|| missing(id))?;
        self.open_webhook(found, Uuid::nil())
    }

    /// Waits until something was committed that webhooks may want to know, or one was changed.
    pub async fn webhooks_rung(&self) {
        self.inner.webhooks_rung.notified().await;
    }

    /// Takes the webhooks that are to be told something and that nobody else delivers to, for this long. One whose secret can't be
    /// opened is left out, and the log says so.
    ///
    /// # Errors
    /// Only those of the engine.
    pub async fn claim_webhooks(&self, lease: Duration) -> Result<Vec<ReadyWebhook>, StorageError> {
        let access = self.maintain("deliver to webhooks")?;
        let last = self.executor().event_bounds(&access).await?.last;
        let claim = WebhookClaim { id: Uuid::new_v4(), lease, last };
        let claimed = self.executor().claim_webhooks(&access, &claim).await?;
        let open = |sealed: SealedWebhook| {
            let id = sealed.webhook.id;
            let opened = self.open_webhook(sealed, claim.id);
            opened
                .inspect_err(
                    |error| tracing::error!(webhook = %id, %error, cause = ?error, "nothing is delivered"),
                )
                .ok()
        };
        Ok(claimed.into_iter().filter_map(open).collect())
    }

    /// What is next for a webhook: the events after where it stands, as far as it wants them.
    ///
    /// # Errors
    /// Only those of the engine.
    pub async fn webhook_work(&self, webhook: &Webhook) -> Result<WebhookWork, StorageError> {
        let access = self.maintain("read events for a webhook")?;
        let page = self.executor().events(&access, webhook.position, PAGE).await?;
        // Asked after the page was read: what was there then is on it.
        let bounds = self.executor().event_bounds(&access).await?;
        if bounds.gone > webhook.position {
            return Ok(WebhookWork::Lost { up_to: bounds.gone });
        }
        let (filter, more) = (webhook.filter(), page.len() >= PAGE as usize);
        let up_to = page.last().map_or(webhook.position, |event| event.sequence);
        let events = page.into_iter().filter(|event| filter.wants(event)).collect();
        Ok(WebhookWork::Events { events, up_to, more })
    }

    /// Writes down how far a webhook has come. With a lease the claim goes on for that long; gives the webhook as it then is, and
    /// `None` where nothing more is to be delivered: the claim has ended, or the webhook is not active any more.
    ///
    /// # Errors
    /// Only those of the engine.
    pub async fn record_webhook(
        &self,
        ready: &ReadyWebhook,
        step: &WebhookStep,
        lease: Option<Duration>,
    ) -> Result<Option<ReadyWebhook>, StorageError> {
        let access = self.maintain("record a delivery")?;
        let (id, claim) = (ready.webhook.id, ready.claim);
        let found = self.executor().record_webhook(&access, id, claim, step, lease).await?;
        let active = found.filter(|found| lease.is_some() && found.webhook.status == WebhookStatus::Active);
        active.map(|found| self.open_webhook(found, claim)).transpose()
    }

    fn seal_webhook(&self, id: Uuid, secret: &WebhookSecret) -> Result<String, StorageError> {
        self.inner.credential_key.seal(SecretOf::Webhook, &id.to_string(), secret.text())
    }

    fn open_webhook(&self, sealed: SealedWebhook, claim: Uuid) -> Result<ReadyWebhook, StorageError> {
        let id = sealed.webhook.id.to_string();
        let open =
            |text: &str| self.inner.credential_key.open(SecretOf::Webhook, &id, text).map(WebhookSecret::new);
        let secret = open(&sealed.secret)?;
        // One of another master key, which a rotation has just replaced, signs nothing any more.
        let previous = sealed.previous.as_deref().and_then(|text| open(text).ok());
        Ok(ReadyWebhook { webhook: sealed.webhook, secret, previous, claim })
    }
}

fn missing(webhook: Uuid) -> StorageError {
    StorageError::WebhookNotFound { webhook }
}
