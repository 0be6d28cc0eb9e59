//! One receiver, told one message after the other, until there is nothing more, or it does not take one.

use std::sync::Arc;
use std::time::Duration;

use file_storage::webhooks::{AfterFailure, ReadyWebhook, WebhookMessage, WebhookStep, WebhookWork};
use file_storage::{FileStorage, StorageError};
use reqwest::StatusCode;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::sender::{Reply, Unsent};
use crate::app::AppState;

/// How long nobody else delivers; renewed with every message. Longer than an attempt and what is written down of it.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// How often the courier looks by himself: what other servers do is found so, and what is due.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// How long an attempt may go on when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// The longest that a receiver can ask to be left alone.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(12 * 3600);

/// What all deliveries of a server share.
pub(super) struct Shared {
    pub(super) app: AppState,
    /// Deliveries that read the database at once: others need its connections, too.
    pub(super) reading: Semaphore,
    /// Rung when a delivery has ended: something may have happened meanwhile, or an attempt be due.
    pub(super) soon: Notify,
    pub(super) stop: CancellationToken,
}

impl Shared {
    fn storage(&self) -> &FileStorage {
        &self.app.storage
    }
}

/// Delivers what is there for a webhook. What can't be written down is delivered again, by whoever has the next claim.
pub(super) async fn run(shared: Arc<Shared>, ready: ReadyWebhook) {
    let id = ready.webhook.id;
    if let Err(error) = catch_up(&shared, ready).await {
        let cause = std::error::Error::source(&error);
        tracing::warn!(webhook = %id, %error, cause, "a delivery was interrupted; it will be tried again");
    }
    shared.soon.notify_one();
}

async fn catch_up(shared: &Shared, ready: ReadyWebhook) -> Result<(), StorageError> {
    let mut ready = Some(ready);
    while let Some(hook) = ready {
        let work = {
            let _turn = shared.reading.acquire().await;
            shared.storage().webhook_work(&hook.webhook).await?
        };
        ready = match work {
            WebhookWork::Lost { up_to } => {
                tracing::warn!(
                    webhook = %hook.webhook.id, after = hook.webhook.position, up_to,
                    "events were deleted before a webhook was told of them"
                );
                let message = hook.webhook.lost(up_to);
                attempt(shared, hook, &message, up_to, true).await?
            }
            WebhookWork::Events { events, up_to, more } if events.is_empty() => {
                let step = WebhookStep::Passed { position: up_to, delivered: false };
                let goes_on = more && !shared.stop.is_cancelled();
                shared.storage().record_webhook(&hook, &step, goes_on.then_some(LEASE)).await?
            }
            WebhookWork::Events { events, up_to, more } => {
                let (mut hook, mut events) = (hook, events.into_iter().peekable());
                while let Some(event) = events.next() {
                    let is_last = events.peek().is_none();
                    let position = if is_last { up_to } else { event.sequence };
                    let message = hook.webhook.message(&event);
                    match attempt(shared, hook, &message, position, more || !is_last).await? {
                        Some(next) => hook = next,
                        None => return Ok(()),
                    }
                }
                Some(hook)
            }
        };
    }
    Ok(())
}

/// Sends one message, and writes down what became of it. Gives the webhook where there is more to deliver.
async fn attempt(
    shared: &Shared,
    hook: ReadyWebhook,
    message: &WebhookMessage,
    position: u64,
    goes_on: bool,
) -> Result<Option<ReadyWebhook>, StorageError> {
    let is_over = async {
        shared.stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let reply = tokio::select! {
        reply = shared.app.webhooks.sender().send(&hook, message) => Some(reply),
        () = is_over => None,
    };
    let step = match reply {
        None => WebhookStep::Stopped,
        Some(Ok(reply)) if reply.status.is_success() => WebhookStep::Passed { position, delivered: true },
        Some(reply) => failed(&hook, reply, &shared.app.webhooks.retries),
    };
    let is_delivered = matches!(step, WebhookStep::Passed { .. });
    tell(&hook, message, &step);
    let lease = (goes_on && is_delivered && !shared.stop.is_cancelled()).then_some(LEASE);
    let next = shared.storage().record_webhook(&hook, &step, lease).await?;
    if let WebhookStep::Failed { then: AfterFailure::Retry(wait), .. } = step
        && wait < PAUSE
    {
        // Due sooner than the courier looks by himself.
        tokio::time::sleep(wait).await;
    }
    Ok(next)
}

/// What becomes of a webhook whose receiver did not take a message.
fn failed(hook: &ReadyWebhook, reply: Result<Reply, Unsent>, retries: &[Duration]) -> WebhookStep {
    let (error, asked, is_gone) = match reply {
        Ok(reply) => (
            format!("the receiver answered {}", reply.status.as_u16()),
            reply.retry_after.map(|wait| wait.min(MAX_RETRY_AFTER)),
            reply.status == StatusCode::GONE,
        ),
        Err(unsent) => (unsent.to_string(), None, false),
    };
    let before = usize::try_from(hook.webhook.attempts).unwrap_or(usize::MAX);
    let then = match retries.get(before) {
        _ if is_gone => AfterFailure::Gone,
        Some(wait) => AfterFailure::Retry(asked.map_or(*wait, |asked| asked.max(*wait))),
        None => AfterFailure::Pause,
    };
    WebhookStep::Failed { error, then }
}

/// Counts and logs what became of a message.
fn tell(hook: &ReadyWebhook, message: &WebhookMessage, step: &WebhookStep) {
    let (id, message) = (hook.webhook.id, message.id.as_str());
    let outcome = match step {
        WebhookStep::Passed { .. } => {
            tracing::debug!(webhook = %id, message, "delivered");
            "delivered"
        }
        WebhookStep::Failed { error, then: AfterFailure::Retry(wait) } => {
            let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(webhook = %id, message, error, retry_ms, "a webhook's receiver did not take a message");
            "failed"
        }
        WebhookStep::Failed { error, then: AfterFailure::Pause } => {
            tracing::error!(
                webhook = %id, message, error,
                "a webhook is paused after its last attempt; enable it when its receiver is well: what waits is kept as long as events are"
            );
            "paused"
        }
        WebhookStep::Failed { then: AfterFailure::Gone, .. } => {
            tracing::warn!(webhook = %id, message, "a webhook's receiver says that it is gone; nothing is sent there any more");
            "gone"
        }
        WebhookStep::Stopped => "stopped",
    };
    metrics::counter!("storage_webhook_deliveries_total", "outcome" => outcome).increment(1);
}
