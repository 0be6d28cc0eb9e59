//! One subscriber: where it stands, what it wants, and what it may be told.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::feed::{Next, PAGE};
use super::places::Place;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::Event;
use crate::permissions::{Access, Operation, RlsContext};
use crate::storage::FileStorage;
use crate::storage::turns::Party;

/// How long a subscriber waits before it looks whether the feed has begun anew.
const LOOK: Duration = Duration::from_secs(1);

/// How long a subscriber rests who has read all there was: what happens meanwhile is read at once.
const REST: Duration = Duration::from_millis(50);

/// Which events somebody wants. What is empty takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Those of this bucket.
    pub bucket: Option<BucketName>,
    /// Those of objects whose paths start so.
    pub prefix: String,
    /// Those of these kinds.
    pub kinds: Vec<String>,
}

impl EventFilter {
    /// Whether an event is wanted. A move is also one out of a folder: the place that it came from counts, too.
    pub fn wants(&self, event: &Event) -> bool {
        let from = |name| event.payload.get(name).and_then(serde_json::Value::as_str);
        let is_here = |bucket: Option<&str>, path: Option<&str>| {
            self.bucket.as_ref().is_none_or(|wanted| Some(wanted.as_str()) == bucket)
                && (self.prefix.is_empty() || path.is_some_and(|path| path.starts_with(&self.prefix)))
        };
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && (is_here(event.bucket.as_deref(), event.path.as_deref())
                || from("from_bucket").is_some_and(|bucket| is_here(Some(bucket), from("from_path"))))
    }
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// With what happens from now on.
    Now,
    /// After the event of this number.
    After(u64),
}

/// What a subscriber is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// These events, perhaps none: whoever was told that far goes on after this number.
    Events {
        /// What the subscriber wants, and may be told.
        events: Vec<Event>,
        /// Up to where.
        up_to: u64,
    },
    /// What came between was deleted, or never was: the subscriber missed it, and goes on after this number.
    Reset {
        /// Up to where.
        up_to: u64,
    },
    /// The server stops, or subscriptions are to be made anew.
    End,
}

/// A subscription. Whoever stops asking for what is next holds nobody up.
pub struct Subscription {
    storage: FileStorage,
    access: Access,
    filter: EventFilter,
    position: u64,
    /// Where it stood is nowhere, and it was not told so yet.
    is_lost: bool,
    last: watch::Receiver<u64>,
    /// Nothing is read before.
    rests_until: Instant,
    end: CancellationToken,
    _place: Place,
}

impl FileStorage {
    /// Has a caller told of events, as rows show them. Subscriptions that are renewed from now on end this one.
    ///
    /// # Errors
    /// [`StorageError::RateLimited`] where the caller has too many subscriptions, [`StorageError::Overloaded`] where all
    /// callers have, and those of the engine.
    pub async fn subscribe(
        &self,
        context: &RlsContext,
        filter: EventFilter,
        start: StartAt,
        client: Option<IpAddr>,
    ) -> Result<Subscription, StorageError> {
        let end = self.inner.feed.ending();
        let access = self.access(context, Operation::Subscribe, filter.bucket.as_ref()).await?;
        let place = self.inner.feed.join(self, Party::of(context, client))?;
        let last = self.inner.feed.watch();
        let upkeep = self.maintain("begin a subscription")?;
        let bounds = {
            let _turn = self.inner.feed.turn(self).await?;
            self.executor().event_bounds(&upkeep).await?
        };
        let (position, is_lost) = match start {
            StartAt::Now => (bounds.last, false),
            // A number that no event has had is one of another database, or of this one before it was restored.
            StartAt::After(sequence) if sequence > bounds.last => (bounds.last, true),
            StartAt::After(sequence) => (sequence, false),
        };
        Ok(Subscription {
            storage: self.clone(),
            access,
            filter,
            position,
            is_lost,
            last,
            rests_until: Instant::now(),
            end,
            _place: place,
        })
    }
}

impl Subscription {
    /// The number after which the subscriber goes on.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Waits for what is next. Who drops the wait has lost nothing.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn next(&mut self) -> Result<Delivery, StorageError> {
        let end = self.end.clone();
        tokio::select! {
            biased;
            () = end.cancelled() => Ok(Delivery::End),
            delivery = self.read() => delivery,
        }
    }

    async fn read(&mut self) -> Result<Delivery, StorageError> {
        if std::mem::take(&mut self.is_lost) {
            return Ok(Delivery::Reset { up_to: self.position });
        }
        let storage = self.storage.clone();
        loop {
            tokio::time::sleep_until(self.rests_until).await;
            // What is read from here on is not missed by the wait below.
            self.last.borrow_and_update();
            match storage.inner.feed.after(self.position) {
                Next::Events(events) => return self.told(&events).await,
                Next::ReadYourself => return self.catch_up().await,
                Next::Wait => {
                    // A feed that is gone has come again: its number may be the same.
                    let _changed = tokio::time::timeout(LOOK, self.last.changed()).await;
                }
            }
        }
    }

    /// Reads the past, page by page.
    async fn catch_up(&mut self) -> Result<Delivery, StorageError> {
        let upkeep = self.storage.maintain("read events for one who resumes")?;
        let storage = self.storage.clone();
        let turn = storage.inner.feed.turn(&storage).await?;
        let page = storage.executor().events(&upkeep, self.position, PAGE).await?;
        // Asked after the page was read: what was there then is on it.
        let bounds = storage.executor().event_bounds(&upkeep).await?;
        drop(turn);
        if bounds.gone > self.position {
            self.position = bounds.gone;
            return Ok(Delivery::Reset { up_to: bounds.gone });
        }
        let page: Vec<_> = page.into_iter().map(Arc::new).collect();
        self.told(&page).await
    }

    /// What of these events the subscriber wants and may be told.
    async fn told(&mut self, events: &[Arc<Event>]) -> Result<Delivery, StorageError> {
        let up_to = events.last().map_or(self.position, |event| event.sequence);
        let wanted: Vec<&Event> = events.iter().map(AsRef::as_ref).filter(|e| self.filter.wants(e)).collect();
        let mut told = Vec::new();
        if !wanted.is_empty() {
            let turn = self.storage.inner.feed.turn(&self.storage).await?;
            let sights = self.storage.executor().sights(&self.access, &wanted).await?;
            drop(turn);
            for (event, sight) in wanted.iter().zip(sights) {
                // Without its origin, a move may be none of what is wanted.
                told.extend(event.seen(sight).filter(|seen| self.filter.wants(seen)));
            }
        }
        if events.len() < PAGE as usize {
            self.rests_until = Instant::now() + REST;
        }
        self.position = up_to;
        Ok(Delivery::Events { events: told, up_to })
    }
}
