//! What subscribers share: the newest events, read once for all of them.
//!
//! The reader runs while there are subscribers. It is woken by what this process commits, and looks every second for what
//! others do: `NOTIFY` would have every commit of the database stand in one line. Whoever is further behind than what is
//! kept here reads for himself. Nothing waits for a slow subscriber, and nothing is queued for one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::places::{Place, Places};
use crate::errors::StorageError;
use crate::executor::Event;
use crate::storage::FileStorage;
use crate::storage::options::EventOptions;
use crate::storage::turns::Party;

/// Events that are read at a time.
pub(super) const PAGE: u32 = 256;

/// Events that are kept for subscribers who are not far behind.
const KEPT: usize = 4096;

/// Subscribers that ask the database at once: every commit wakes all of them, and others need its connections, too.
const ASKING: usize = 4;

/// How long the reader waits where nothing rang.
const PAUSE: Duration = Duration::from_secs(1);

/// The newest events, and who reads them.
pub(crate) struct Feed {
    places: Arc<Places>,
    recent: Mutex<Recent>,
    /// The number of the last event that was read.
    last: watch::Sender<u64>,
    bell: Notify,
    is_read: AtomicBool,
    asking: Semaphore,
    end: CancellationToken,
    /// Ends, before the feed does, what has subscribed so far.
    generation: Mutex<CancellationToken>,
}

/// All events above `start`, up to the last that was read. Nothing while nobody reads.
#[derive(Default)]
struct Recent {
    is_live: bool,
    start: u64,
    events: VecDeque<Arc<Event>>,
}

/// What comes after a place, as far as the feed knows.
pub(super) enum Next {
    /// These.
    Events(Vec<Arc<Event>>),
    /// Nothing yet.
    Wait,
    /// More than the feed keeps.
    ReadYourself,
}

impl Feed {
    pub(crate) fn new(options: EventOptions) -> Self {
        let end = CancellationToken::new();
        Self {
            places: Places::new(options),
            recent: Mutex::default(),
            last: watch::Sender::new(0),
            bell: Notify::new(),
            is_read: AtomicBool::new(false),
            asking: Semaphore::new(ASKING),
            generation: Mutex::new(end.child_token()),
            end,
        }
    }

    /// Has another number of places from now on.
    pub(crate) fn limit(&self, options: EventOptions) {
        self.places.change(options);
    }

    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    pub(super) fn end(&self) {
        self.end.cancel();
    }

    /// Ends all who have subscribed so far. Others may come.
    pub(super) fn renew(&self) {
        let before = std::mem::replace(&mut *self.generation(), self.end.child_token());
        before.cancel();
    }

    /// What ends those who subscribe now.
    pub(super) fn ending(&self) -> CancellationToken {
        self.generation().clone()
    }

    fn generation(&self) -> MutexGuard<'_, CancellationToken> {
        self.generation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one's turn to ask the database, which lasts until the answer is dropped. Whoever has it takes no second one.
    pub(super) async fn turn(&self, storage: &FileStorage) -> Result<SemaphorePermit<'_>, StorageError> {
        let closed = || StorageError::internal("turns of subscribers are closed");
        let turn = self.asking.acquire().await.map_err(|_closed| closed())?;
        storage.hit("events.asked").await?;
        Ok(turn)
    }

    /// Takes a place, and sees to it that somebody reads.
    pub(super) fn join(&self, storage: &FileStorage, party: Party) -> Result<Place, StorageError> {
        let place = self.places.take(party)?;
        self.start(storage);
        Ok(place)
    }

    fn start(&self, storage: &FileStorage) {
        if !self.end.is_cancelled() && !self.is_read.swap(true, Ordering::AcqRel) {
            let reader = storage.clone();
            storage.inner.commits.spawn(async move { reader.inner.feed.run(&reader).await });
        }
    }

    /// The number of the last event that was read, to be told of changes.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// What comes after a number.
    pub(super) fn after(&self, sequence: u64) -> Next {
        let recent = self.recent();
        if !recent.is_live {
            return Next::Wait;
        }
        if sequence < recent.start {
            return Next::ReadYourself;
        }
        let from = recent.events.partition_point(|event| event.sequence <= sequence);
        let events: Vec<_> = recent.events.iter().skip(from).take(PAGE as usize).map(Arc::clone).collect();
        if events.is_empty() { Next::Wait } else { Next::Events(events) }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until the last subscriber has gone, or the storage ends.
    async fn run(&self, storage: &FileStorage) {
        tokio::select! {
            () = self.end.cancelled() => {}
            () = self.read_on(storage) => {}
        }
        *self.recent() = Recent::default();
        self.is_read.store(false, Ordering::Release);
        // Somebody may have come between the last look and now.
        if !self.places.are_free() {
            self.start(storage);
        }
    }

    async fn read_on(&self, storage: &FileStorage) {
        let mut last = loop {
            match self.begin(storage).await {
                Ok(last) => break last,
                Err(error) => tracing::warn!(%error, "events can't be read; it will be tried again"),
            }
            tokio::time::sleep(PAUSE).await;
        };
        while !self.places.are_free() {
            match self.read(storage, last).await {
                Ok((up_to, more)) => {
                    last = up_to;
                    if more {
                        continue;
                    }
                }
                Err(error) => tracing::warn!(%error, "events can't be read; it will be tried again"),
            }
            tokio::select! {
                () = self.bell.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn begin(&self, storage: &FileStorage) -> Result<u64, StorageError> {
        let access = storage.maintain("read events for subscribers")?;
        let last = storage.executor().event_bounds(&access).await?.last;
        *self.recent() = Recent { is_live: true, start: last, events: VecDeque::new() };
        self.last.send_replace(last);
        Ok(last)
    }

    /// Reads what comes after a number; gives the last one, and whether there may be more.
    async fn read(&self, storage: &FileStorage, after: u64) -> Result<(u64, bool), StorageError> {
        let access = storage.maintain("read events for subscribers")?;
        let page = storage.executor().events(&access, after, PAGE).await?;
        let Some(last) = page.last().map(|event| event.sequence) else { return Ok((after, false)) };
        let more = page.len() >= PAGE as usize;
        {
            let mut recent = self.recent();
            recent.events.extend(page.into_iter().map(Arc::new));
            while recent.events.len() > KEPT
                && let Some(oldest) = recent.events.pop_front()
            {
                recent.start = oldest.sequence;
            }
        }
        self.last.send_replace(last);
        Ok((last, more))
    }
}
