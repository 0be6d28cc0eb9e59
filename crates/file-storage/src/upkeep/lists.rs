//! Reads the lists that are asked for most before somebody asks, where they have changed ([`crate::storage`]'s cache says which,
//! and why that is safe). One at a time, and for a small share of the time.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::errors::StorageError;
use crate::storage::{FileStorage, Notes};

/// How many times as long as a list took it rests after it.
const SHARE: u32 = 20;

/// Time between two times that is written down which lists they are.
const NOTED: Duration = Duration::from_secs(60);

/// Longest pause: after the database did not answer, and after a list that took its time.
const LONGEST: Duration = Duration::from_secs(60);

/// Reads lists ahead until it is told to stop.
pub(super) async fn run(storage: FileStorage, stop: CancellationToken) {
    // Of a figure that comes to be with its first event, Prometheus does not see that event.
    metrics::counter!("storage_cache_warmed_total").increment(0);
    let mut warmer = Warmer { notes: Notes::default(), noted: Instant::now(), failed: 0, storage };
    loop {
        if !warmer.storage.warms_lists() {
            warmer.notes.remove(&warmer.storage).await;
        }
        // The first time, too: what a start is about is that requests are answered.
        tokio::select! {
            () = stop.cancelled() => break,
            () = warmer.storage.warming_changed() => continue,
            () = warmer.pause() => {}
        }
        let outcome = tokio::select! {
            () = stop.cancelled() => break,
            outcome = warmer.round() => outcome,
        };
        match outcome {
            Ok(()) => warmer.failed = 0,
            Err(error) => {
                tracing::debug!(%error, "lists were not read ahead; it will be tried again");
                warmer.failed = warmer.failed.saturating_add(1);
            }
        }
        if warmer.noted.elapsed() >= NOTED {
            warmer.notes.write(&warmer.storage).await;
            warmer.noted = Instant::now();
        }
    }
    if warmer.storage.warms_lists() {
        warmer.notes.write(&warmer.storage).await;
    }
}

struct Warmer {
    storage: FileStorage,
    notes: Notes,
    /// When it was written last which lists they are.
    noted: Instant,
    /// Rounds that failed, one after the other.
    failed: u32,
}

impl Warmer {
    /// Waits until the next round; for ever, while nothing is read ahead.
    async fn pause(&self) {
        if !self.storage.warms_lists() {
            return std::future::pending().await;
        }
        let pause = self.storage.options().warming.pause;
        let longer = pause.saturating_mul(2_u32.saturating_pow(self.failed));
        sleep(longer.min(LONGEST).max(pause)).await;
    }

    /// Looks at each list once, also where one of them fails; while the database does not answer, at no more of them.
    ///
    /// # Errors
    /// The first failure.
    async fn round(&mut self) -> Result<(), StorageError> {
        self.notes.read(&self.storage).await?;
        let mut outcome = Ok(());
        for wanted in self.storage.lists_to_warm() {
            let began = Instant::now();
            match self.storage.warm_list(&wanted).await {
                Err(error @ StorageError::ProviderUnavailable { .. }) => return Err(error),
                warmed => outcome = outcome.and(warmed),
            }
            sleep(began.elapsed().saturating_mul(SHARE).min(LONGEST)).await;
        }
        outcome
    }
}
