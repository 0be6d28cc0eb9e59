//! Works the upload queue: brings blobs to the providers where they belong, a few at once, and keeps the books of it.
//!
//! A claim is a blob that this worker has to itself for a while. It claims no more than it has free places, as each claim
//! counts as an attempt. Killed anywhere, it leaves claims that end by themselves, and blobs that are where they were.

mod attempt;
mod books;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Timestamp;
use crate::backend::provider::Provider;
use crate::errors::StorageError;
use crate::executor::{Claim, ClaimedEntry};
use crate::permissions::Access;
use crate::resilience::CircuitState;
use crate::storage::FileStorage;

use attempt::{Attempt, Ended, LEASE};
use books::Books;

/// How long to wait for the next look where nothing rang: for claims of others that ended, and providers that are well again.
const PAUSE: Duration = Duration::from_secs(10);

/// How long to wait once it rang: many uploads ring together.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How long a shutdown waits for what the database is asked just now.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Brings blobs home until it is told to stop.
pub(super) async fn run(storage: FileStorage, stop: CancellationToken) {
    let mut worker = Worker {
        books: Books::new(storage.clone()),
        running: JoinSet::new(),
        targets: HashMap::new(),
        next: Instant::now(),
        turns: BTreeSet::new(),
        storage,
        stop,
    };
    worker.run().await;
    // Those that are under way see it for themselves, and give their entries back.
    while worker.running.join_next().await.is_some() {}
}

struct Worker {
    storage: FileStorage,
    stop: CancellationToken,
    running: JoinSet<Ended>,
    /// Where those that run carry their blobs.
    targets: HashMap<Id, Arc<str>>,
    /// When to look again where nothing happens.
    next: Instant,
    /// When entries that failed here have their next turn, as far as that comes before the next look.
    turns: BTreeSet<Instant>,
    books: Books,
}

impl Worker {
    async fn run(&mut self) {
        loop {
            let stop = self.stop.clone();
            let cut_off = async {
                stop.cancelled().await;
                sleep(LAST_WORDS).await;
            };
            tokio::select! {
                () = self.look() => {}
                () = cut_off => return,
            }
            let turn = self.turns.first().copied().unwrap_or(self.next);
            let wake = self.next.min(turn).min(self.books.next());
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                () = self.storage.uploads_queued() => sleep(DEBOUNCE).await,
                () = sleep_until(wake) => {}
            }
            while let Some(ended) = self.running.try_join_next_with_id() {
                self.ended(ended);
            }
        }
    }

    /// Takes on what there is room for, and writes down how much there is.
    async fn look(&mut self) {
        let now = Instant::now();
        self.next = now + PAUSE;
        self.turns.retain(|turn| *turn > now);
        if let Err(error) = self.claim().await {
            tracing::warn!(%error, "queued uploads were not looked for; it will be tried again");
        }
        if let Err(error) = self.books.keep().await {
            tracing::warn!(%error, "queued uploads were not counted; it will be tried again");
        }
    }

    /// Claims entries for each provider that has free places, from those that can be read: a full disk takes nothing new, and
    /// is emptied all the same.
    async fn claim(&mut self) -> Result<(), StorageError> {
        let access = self.storage.maintain("bring blobs home")?;
        let named = |takes: fn(&Provider) -> bool| -> Vec<Arc<str>> {
            let taken = self.storage.providers().all().filter(|provider| takes(provider));
            taken.map(|provider| provider.name().clone()).collect()
        };
        let readable = named(|provider| provider.status().circuit != Some(CircuitState::Open));
        for target in &named(Provider::is_healthy) {
            let sources: Vec<_> = readable.iter().filter(|source| *source != target).cloned().collect();
            let free = self.free_places(target);
            if sources.is_empty() || free == 0 {
                continue;
            }
            // Each claim is another one's, as the database sees it: an attempt whose entry was cancelled and queued again has lost it,
            // though this same process may be who has it now.
            let (worker, targets) = (Uuid::now_v7(), vec![target.clone()]);
            let claim = Claim { worker, sources, targets, limit: free, lease: LEASE };
            let claimed = self.storage.executor().claim_entries(&access, &claim).await?;
            for entry in &claimed.given_up {
                attempt::was_given_up(entry);
                self.books.is_due();
            }
            for entry in claimed.entries {
                self.begin(&access, worker, entry);
            }
        }
        Ok(())
    }

    /// How many more blobs a provider gets at once.
    fn free_places(&self, target: &str) -> u32 {
        let busy = self.targets.values().filter(|other| &***other == target).count();
        let free = self.storage.options().queue.concurrency.saturating_sub(busy);
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    fn begin(&mut self, access: &Access, worker: Uuid, claimed: ClaimedEntry) {
        let target = claimed.entry.target.clone();
        let attempt = Attempt {
            storage: self.storage.clone(),
            access: access.clone(),
            worker,
            claimed,
            stop: self.stop.clone(),
        };
        let task = self.running.spawn(attempt.run());
        self.targets.insert(task.id(), target);
    }

    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        self.targets.remove(&id);
        self.books.is_due();
        match ended {
            Ok((_, Ended::Waits(until))) => self.turns.extend(soon(until)),
            Ok((_, Ended::Done)) => {}
            Err(error) => {
                tracing::error!(%error, "a queued upload's attempt failed; its claim ends by itself");
            }
        }
    }
}

/// A moment of the database's, by the clock that only goes forward; `None` where a look comes before it in any case.
fn soon(at: Timestamp) -> Option<Instant> {
    let wait = at.signed_duration_since(chrono::Utc::now()).to_std().unwrap_or_default();
    (wait < PAUSE).then(|| Instant::now() + wait)
}
