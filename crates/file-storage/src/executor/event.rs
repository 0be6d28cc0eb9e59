//! What happened, for those who want to know: told in order, to those who may see it, and forgotten after a while.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::quota;
use crate::Timestamp;
use crate::bucket::BucketPolicy;
use crate::errors::StorageError;
use crate::permissions::policy::{Candidate, would_show};
use crate::permissions::{Access, PolicySet, RlsContext, Role};

/// Something that happened, written in the transaction in which it did (SPEC 10).
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place among all events as readers meet them, in the order of commits within a bucket. Grows; gaps are possible.
    pub sequence: u64,
    /// Identity for consumers that see an event twice.
    pub id: Uuid,
    /// `storage.object.created` and the like.
    pub kind: String,
    /// The bucket it is about; `None` where it is about a provider, and for the service role alone.
    pub bucket: Option<String>,
    /// The object it is about, if one.
    pub path: Option<String>,
    /// Owner of the object or bucket.
    pub owner_id: Option<Uuid>,
    /// What else there is to know: size, content type, the old path of a move.
    pub payload: Value,
    /// When it happened.
    pub created_at: Timestamp,
}

/// What happens to providers, as a server sees it: written when it has happened. Each server of several tells what it sees itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderEvent {
    /// New blobs go to another provider than before, which is not the active one.
    FailedOver {
        /// Where they went before.
        from: Arc<str>,
        /// Where they go.
        to: Arc<str>,
        /// What is wrong with the active one, where that is known.
        reason: Option<String>,
    },
    /// New blobs go to the active provider again.
    Recovered {
        /// The active provider.
        provider: Arc<str>,
        /// Where they went before.
        from: Arc<str>,
    },
}

impl ProviderEvent {
    /// What an event of it is called.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FailedOver { .. } => "storage.provider.failed_over",
            Self::Recovered { .. } => "storage.provider.recovered",
        }
    }

    pub(super) fn payload(&self) -> Value {
        match self {
            Self::FailedOver { from, to, reason } => json!({ "from": **from, "to": **to, "reason": reason }),
            Self::Recovered { provider, from } => json!({ "provider": **provider, "from": **from }),
        }
    }
}

/// From where to where events are kept, as the numbers that readers remember.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventBounds {
    /// Events up to this one were deleted, or are those of a database that this one was restored from: 0 where there are none such.
    pub gone: u64,
    /// The last one there is.
    pub last: u64,
}

/// How far a restored database is at least ahead of the last number that its backup knows of.
const AHEAD_OF_BACKUP: i64 = 1_000_000_000;

/// Up to which number a restored database has no events, whatever rows it has: what the one that was backed up has told of since the
/// backup was other things. The time in microseconds, where that is more: a later restore is ahead of all that was ever restored and
/// gone on with, also of the same backup, as nobody writes an event in each microsecond.
pub(super) fn restored_floor(last: i64) -> i64 {
    last.saturating_add(AHEAD_OF_BACKUP).max(chrono::Utc::now().timestamp_micros())
}

/// How much of an event somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Nothing: rows hide what it is about.
    Hidden,
    /// All of it.
    Whole,
    /// Of a move, where the object went, and not where it came from.
    WithoutOrigin,
}

/// What keeps events. An [`Executor`](super::Executor) does, by the same rules.
#[async_trait]
pub trait EventExecutor: Send + Sync {
    /// Writes down what happened to a provider. In the order in which it is told so, one call after the other.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn record_provider_event(&self, access: &Access, event: &ProviderEvent)
    -> Result<(), StorageError>;

    /// Events after the given sequence number, oldest first. What is committed and not in the answer comes in a later one:
    /// nothing ever appears below a number that was answered.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn events(&self, access: &Access, after: u64, limit: u32) -> Result<Vec<Event>, StorageError>;

    /// From where to where events are kept, with all that are committed now.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn event_bounds(&self, access: &Access) -> Result<EventBounds, StorageError>;

    /// What the caller may be told of these events, one by one, as rows are now: an object or a bucket that is there is one
    /// that the caller must see, an object where it is still as the event tells (of the same version). One that is gone, or is
    /// another version by now, is judged by its owner, its bucket, and the size and content type that the event tells, as the rules
    /// would judge a row of which nothing else is known; a bucket that is gone, by what it was at its end.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn sights(&self, access: &Access, events: &[&Event]) -> Result<Vec<Sight>, StorageError>;

    /// Deletes up to `limit` events, oldest first, that are older than `before`, or beyond the newest `most`; gives the
    /// number.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn expire_events(
        &self,
        access: &Access,
        before: Timestamp,
        most: u64,
        limit: u32,
    ) -> Result<u64, StorageError>;
}

/// A place that an event tells of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'e> {
    pub(super) bucket: &'e str,
    /// `None` for the bucket itself.
    pub(super) path: Option<&'e str>,
    /// The object's id, or the bucket's.
    pub(super) id: Option<Uuid>,
    /// The object's version that it tells of.
    pub(super) version: Option<Uuid>,
    /// The event's number.
    pub(super) sequence: u64,
    owner: Option<Uuid>,
    size: Option<u64>,
    content_type: Option<&'e str>,
    /// What it tells is its owner's business alone, who else sees the bucket; the service role's alone where it has none.
    is_private: bool,
}

impl Event {
    /// What it is about. A provider is at no place, and nobody's.
    pub(super) fn place(&self) -> Place<'_> {
        let name = if self.path.is_some() { "id" } else { "uuid" };
        let uuid =
            |name| self.payload.get(name).and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
        Place {
            id: uuid(name),
            version: uuid("version"),
            is_private: self.kind == quota::WARNING || self.bucket.is_none(),
            ..self.at(self.bucket.as_deref().unwrap_or_default(), self.path.as_deref())
        }
    }

    /// Where the object of a move was before. Nobody finds it there any more.
    pub(super) fn origin(&self) -> Option<Place<'_>> {
        let text = |name| self.payload.get(name).and_then(Value::as_str);
        let (bucket, path) = (text("from_bucket")?, text("from_path")?);
        Some(self.at(bucket, Some(path)))
    }

    /// What it tells, as of something that was there and is not.
    fn at<'e>(&'e self, bucket: &'e str, path: Option<&'e str>) -> Place<'e> {
        Place {
            bucket,
            path,
            id: None,
            version: None,
            sequence: self.sequence,
            owner: self.owner_id,
            size: self.payload.get("size").and_then(Value::as_u64),
            content_type: self.payload.get("content_type").and_then(Value::as_str),
            is_private: false,
        }
    }

    /// The event as somebody is told it; `None` where they are not.
    #[must_use]
    pub fn seen(&self, sight: Sight) -> Option<Self> {
        match sight {
            Sight::Hidden => None,
            Sight::Whole => Some(self.clone()),
            Sight::WithoutOrigin => {
                let mut event = self.clone();
                if let Value::Object(members) = &mut event.payload {
                    members.remove("from_bucket");
                    members.remove("from_path");
                }
                Some(event)
            }
        }
    }
}

/// What a bucket's rules were made of: now, or at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Household {
    pub(super) policy: BucketPolicy,
    pub(super) owner: Option<Uuid>,
}

/// Whether the caller could see what was at a place and is gone. Of a bucket about which nothing is known any more, nobody
/// but an owner is told.
pub(super) fn could_see(
    context: &RlsContext,
    place: Place<'_>,
    household: Option<Household>,
    policies: &PolicySet,
    now: i64,
) -> bool {
    let user = context.user_id();
    let owns = |owner: Option<Uuid>| user.is_some() && owner == user;
    let granted = match (context.role(), household) {
        (Role::ServiceRole, _) => return true,
        _ if place.is_private => return owns(place.owner),
        (_, Some(Household { policy: BucketPolicy::Public, .. })) => true,
        (Role::Anon, _) => false,
        (Role::Authenticated, Some(Household { policy, owner })) => {
            policy == BucketPolicy::Authenticated || owns(owner) || owns(place.owner)
        }
        (Role::Authenticated, None) => owns(place.owner),
    };
    match place.path {
        // SQL policies speak of objects alone.
        None => granted,
        Some(path) => {
            let row = Candidate::gone((place.bucket, path), place.owner, place.size, place.content_type);
            would_show(policies, context, now, granted, &row)
        }
    }
}

/// What one is told, by whether one sees what it is about, and where it came from.
pub(super) fn sight(sees: bool, sees_origin: Option<bool>) -> Sight {
    match (sees, sees_origin) {
        (false, _) => Sight::Hidden,
        (true, Some(false)) => Sight::WithoutOrigin,
        (true, Some(true) | None) => Sight::Whole,
    }
}
