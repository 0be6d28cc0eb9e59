//! Webhooks: receivers of events, each told of them by signed requests, in order, from where it stands.
//!
//! What a webhook is, how its messages are signed, and how an attempt to deliver one ends. Who sends them is not known here.

mod secret;

use chrono::SubsecRound as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Event, EventBounds};
use crate::storage::{EventFilter, StartAt};

pub use secret::WebhookSecret;

/// Most webhooks of a server: each has a sender of its own.
pub const MAX_WEBHOOKS: u32 = 100;

/// Longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 2048;

/// Most kinds of events that a webhook names: more than there are.
const MAX_KINDS: usize = 100;

/// Whether a webhook is told of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookStatus {
    /// It is.
    Active,
    /// An operator said that it is not.
    Disabled,
    /// The last attempt to deliver a message failed. What waits for it is kept as long as events are.
    Paused,
    /// Its receiver answered that it is gone.
    Gone,
}

impl WebhookStatus {
    /// The word that rows and protocols have.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Paused => "paused",
            Self::Gone => "gone",
        }
    }

    /// The status of a word; `None` where there is none.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Disabled, Self::Paused, Self::Gone].into_iter().find(|it| it.as_str() == word)
    }
}

/// A webhook as its operators see it: without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// What it is known by.
    pub id: Uuid,
    /// Where its messages go.
    pub url: String,
    /// Kinds of events that it is told of; all where there are none.
    pub kinds: Vec<String>,
    /// Only events of this bucket.
    pub bucket: Option<BucketName>,
    /// Only events of objects whose paths start so.
    pub prefix: String,
    /// Whether it is told of events.
    pub status: WebhookStatus,
    /// The number of the last event that is behind it: delivered, or not wanted.
    pub position: u64,
    /// Attempts at the message that is next, all of which failed.
    pub attempts: u32,
    /// Not before this is it tried again.
    pub next_attempt_at: Option<Timestamp>,
    /// When a message was last delivered.
    pub last_success_at: Option<Timestamp>,
    /// Why an attempt failed last.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
    /// Until when messages are signed by the secret before the last rotation, too.
    pub previous_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed by an operator.
    pub updated_at: Timestamp,
}

impl Webhook {
    /// Which events it wants.
    pub fn filter(&self) -> EventFilter {
        EventFilter { bucket: self.bucket.clone(), prefix: self.prefix.clone(), kinds: self.kinds.clone() }
    }

    /// Events that it has still to be told of, or to pass by. All that is not kept any more is one message.
    pub fn backlog(&self, bounds: EventBounds) -> u64 {
        let is_behind = u64::from(bounds.gone > self.position);
        bounds.last.saturating_sub(self.position.max(bounds.gone)).saturating_add(is_behind)
    }

    /// The message that tells of an event: the same for each attempt.
    pub fn message(&self, event: &Event) -> WebhookMessage {
        WebhookMessage {
            id: format!("msg_{}_{}", self.id.simple(), event.id.simple()),
            kind: event.kind.clone(),
            timestamp: event.created_at,
            data: json!({
                "id": event.id, "kind": event.kind, "bucket": event.bucket, "path": event.path,
                "owner_id": event.owner_id, "payload": event.payload, "created_at": event.created_at,
            }),
        }
    }

    /// The message that tells of events that were deleted before it was told of them.
    pub fn lost(&self, up_to: u64) -> WebhookMessage {
        WebhookMessage {
            id: format!("msg_{}_lost_{}_{up_to}", self.id.simple(), self.position),
            kind: "storage.events.lost".to_owned(),
            timestamp: chrono::Utc::now().trunc_subsecs(6),
            data: json!({ "after": self.position, "resume_after": up_to }),
        }
    }

    /// A message that tells of nothing.
    pub fn test(&self) -> WebhookMessage {
        WebhookMessage {
            id: format!("msg_{}_{}", self.id.simple(), Uuid::now_v7().simple()),
            kind: "storage.test".to_owned(),
            timestamp: chrono::Utc::now().trunc_subsecs(6),
            data: json!({ "webhook_id": self.id }),
        }
    }
}

/// What a receiver is told at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookMessage {
    /// Identity for receivers that are told twice. Has no full stop in it, which separates what is signed.
    pub id: String,
    /// `storage.object.created` and the like.
    pub kind: String,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What there is to know.
    pub data: Value,
}

impl WebhookMessage {
    /// The message as it is signed and sent.
    pub fn body(&self) -> Vec<u8> {
        json!({ "type": self.kind, "timestamp": self.timestamp, "data": self.data }).to_string().into_bytes()
    }
}

/// What a new webhook is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebhook {
    /// Where its messages go: looked at by whoever sends them.
    pub url: String,
    /// Kinds of events; all where there are none.
    pub kinds: Vec<String>,
    /// Only events of this bucket.
    pub bucket: Option<BucketName>,
    /// Only events of objects whose paths start so.
    pub prefix: String,
    /// Whether it is told of events from the start.
    pub enabled: bool,
    /// Where it begins.
    pub start: StartAt,
}

/// What of a webhook is to be another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookUpdate {
    /// Where its messages go.
    pub url: Option<String>,
    /// Kinds of events.
    pub kinds: Option<Vec<String>>,
    /// The bucket, or that there is none.
    pub bucket: Option<Option<BucketName>>,
    /// What paths start with.
    pub prefix: Option<String>,
    /// Whether it is told of events. Where it was paused, it goes on where it stood.
    pub enabled: Option<bool>,
}

impl WebhookUpdate {
    /// Whether a claim of before ends. What the old receiver says late is not the new one's, and who delivers by the old filter passes
    /// over events that the new one may want.
    pub(crate) fn ends_claim(&self) -> bool {
        let Self { url, kinds, bucket, prefix, enabled } = self;
        url.is_some() || kinds.is_some() || bucket.is_some() || prefix.is_some() || *enabled == Some(true)
    }
}

/// Refuses what no row can hold.
pub(crate) fn check(
    url: Option<&str>,
    kinds: Option<&[String]>,
    prefix: Option<&str>,
) -> Result<(), StorageError> {
    let refuse = |message: &str| Err(StorageError::InvalidRequest { message: message.to_owned() });
    if url.is_some_and(|url| url.len() > MAX_URL_BYTES || url.chars().any(char::is_control)) {
        return refuse("a webhook's URL has at most 2048 bytes and no control characters");
    }
    if prefix.is_some_and(|prefix| prefix.len() > crate::path::MAX_PATH_BYTES || prefix.contains('\0')) {
        return refuse("a webhook's prefix is the beginning of a path");
    }
    if kinds.is_some_and(|kinds| kinds.len() > MAX_KINDS) {
        return refuse("a webhook names at most 100 kinds of events");
    }
    Ok(())
}

/// A webhook that somebody sends to, with what signs its messages.
#[derive(Debug, Clone)]
pub struct ReadyWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// What signs.
    pub(crate) secret: WebhookSecret,
    /// What signs as well, up to the webhook's `previous_until`.
    pub(crate) previous: Option<WebhookSecret>,
    /// Who has the claim.
    pub(crate) claim: Uuid,
}

impl ReadyWebhook {
    /// The value of `webhook-signature`: of each secret that is in force a signature, the newest one first.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let until = self.webhook.previous_until;
        let previous = self.previous.as_ref().filter(|_| until.is_some_and(|until| at < until));
        let signatures = std::iter::once(&self.secret).chain(previous);
        let signatures: Vec<_> = signatures.map(|secret| secret.sign(id, at.timestamp(), body)).collect();
        signatures.join(" ")
    }
}

/// What is next for a webhook.
#[derive(Debug, Clone, PartialEq)]
pub enum WebhookWork {
    /// These events, perhaps none: after them it stands at `up_to`.
    Events {
        /// What it wants, in order.
        events: Vec<Event>,
        /// Up to where was looked.
        up_to: u64,
        /// Whether there may be more behind.
        more: bool,
    },
    /// Events that it was not told of were deleted, up to this number.
    Lost {
        /// Up to where.
        up_to: u64,
    },
}

/// How far a webhook has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookStep {
    /// It stands at this number now.
    Passed {
        /// The number of the last event that is behind it.
        position: u64,
        /// Whether a message was delivered on the way.
        delivered: bool,
    },
    /// An attempt failed.
    Failed {
        /// Why, in words for operators.
        error: String,
        /// What becomes of the webhook.
        then: AfterFailure,
    },
    /// Whoever sends is about to stop.
    Stopped,
}

/// What becomes of a webhook after an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// It is tried again after this time.
    Retry(std::time::Duration),
    /// It is not tried any more.
    Pause,
    /// Its receiver does not want to be told anything any more.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(previous_until: Option<Timestamp>) -> ReadyWebhook {
        let now = Timestamp::UNIX_EPOCH;
        let webhook = Webhook {
            id: Uuid::from_u128(7),
            url: "https://example.org".to_owned(),
            kinds: Vec::new(),
            bucket: None,
            prefix: String::new(),
            status: WebhookStatus::Active,
            position: 4,
            attempts: 0,
            next_attempt_at: None,
            last_success_at: None,
            last_error: None,
            last_error_at: None,
            previous_until,
            created_at: now,
            updated_at: now,
        };
        let (secret, previous) = (WebhookSecret::generate().unwrap(), WebhookSecret::generate().unwrap());
        ReadyWebhook { webhook, secret, previous: Some(previous), claim: Uuid::nil() }
    }

    #[test]
    fn the_secret_before_signs_until_its_time_is_over() {
        let until = Timestamp::from_timestamp(1000, 0).unwrap();
        let signatures = |hook: &ReadyWebhook, at: i64| {
            hook.sign("msg_1", Timestamp::from_timestamp(at, 0).unwrap(), b"{}").split(' ').count()
        };
        let hook = ready(Some(until));
        assert_eq!((signatures(&hook, 999), signatures(&hook, 1000)), (2, 1));
        assert_eq!(signatures(&ready(None), 999), 1);
        let shown = format!("{hook:?}");
        assert!(!shown.contains("whsec_"), "{shown}");
    }

    #[test]
    fn ids_have_no_full_stop_and_stay() {
        let hook = ready(None).webhook;
        assert_eq!(hook.lost(9).id, hook.lost(9).id);
        assert_ne!(hook.lost(9).id, hook.lost(10).id);
        assert_ne!(hook.test().id, hook.test().id);
        assert!(!hook.lost(9).id.contains('.') && !hook.test().id.contains('.'));
    }
}
