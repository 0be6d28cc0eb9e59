//! Keeps the copies of blobs complete: finds blobs that lack some, and queues them. What was written before copies were kept has
//! none, and what a provider lost is found by the orphan job.
//!
//! Copies on a provider that is no backup any more go an hour after the start, so that a slip in the configuration can be mended
//! before it costs anything.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::errors::StorageError;
use crate::executor::{ProviderUsage, QueueReason};
use crate::file::BlobKey;
use crate::storage::FileStorage;

/// Time between two walks over all blobs, and how long copies are kept on a provider that is no backup any more.
const INTERVAL: Duration = Duration::from_secs(3600);

/// How long to wait before a walk that was not finished, or failed, goes on.
const PAUSE: Duration = Duration::from_secs(60);

/// Entries that are queued before that.
const MOST: u64 = 50_000;

/// Time between two counts of what is missing, and how many times what one takes.
const COUNTING: Duration = Duration::from_secs(15);
const SHARE: u32 = 20;

/// Looks for lacking copies until it is told to stop.
pub(super) async fn run(storage: FileStorage, stop: CancellationToken) {
    let now = Instant::now();
    let mut keeper = Keeper { ends_after: now + INTERVAL, walk: now, counting: now, at: None, storage };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = keeper.work() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = keeper.storage.copies_lacking() => keeper.walk = Instant::now(),
            () = sleep_until(keeper.walk.min(keeper.counting)) => {}
        }
    }
}

struct Keeper {
    storage: FileStorage,
    /// When copies go that are not kept any more.
    ends_after: Instant,
    /// When to walk on.
    walk: Instant,
    /// When to count again.
    counting: Instant,
    /// Where a walk goes on that was not finished.
    at: Option<BlobKey>,
}

impl Keeper {
    async fn work(&mut self) {
        let now = Instant::now();
        if now >= self.walk {
            let (wait, outcome) = match self.walk_on().await {
                Ok(wait) => (wait, Ok(())),
                Err(error) => (PAUSE, Err(error)),
            };
            self.walk = now + wait;
            if let Err(error) = outcome {
                tracing::warn!(
                    error = error.with_causes(),
                    "blobs were not looked at for their copies; it will be tried again"
                );
            }
        }
        if now >= self.counting {
            if let Err(error) = self.count().await {
                tracing::warn!(
                    error = error.with_causes(),
                    "missing copies were not counted; it will be tried again"
                );
            }
            self.counting = Instant::now() + COUNTING.max(now.elapsed() * SHARE);
        }
    }

    /// Walks over blobs; gives the time until the next walk.
    async fn walk_on(&mut self) -> Result<Duration, StorageError> {
        let access = self.storage.maintain("keep copies")?;
        let ends = Instant::now() >= self.ends_after;
        let plan = self.storage.copy_plan(ends);
        if plan.copies.on.is_empty() && !self.has_leftovers().await? {
            return Ok(INTERVAL);
        }
        let (mut queued, mut dropped) = (0, 0);
        loop {
            let page = self.storage.copy_page(&access, &plan, self.at.as_ref()).await?;
            queued += page.entries;
            dropped += page.dropped;
            self.at = page.next;
            if self.at.is_none() || queued >= MOST {
                break;
            }
        }
        if queued > 0 || dropped > 0 {
            tracing::info!(queued, dropped, "blobs were looked at for their copies");
        }
        Ok(if self.at.is_some() { PAUSE } else { INTERVAL })
    }

    /// Whether there are copies, or entries for some, though none are kept any more.
    async fn has_leftovers(&self) -> Result<bool, StorageError> {
        let access = self.storage.maintain("keep copies")?;
        for provider in self.storage.providers().all() {
            if !self.storage.executor().blob_copies(&access, provider.name(), None, 1).await?.is_empty() {
                return Ok(true);
            }
        }
        let depths = self.storage.executor().queue_depths(&access, None).await?;
        Ok(depths.iter().any(|depth| depth.reason == QueueReason::Copy))
    }

    async fn count(&self) -> Result<(), StorageError> {
        let backups = self.storage.providers().backups();
        if backups.is_empty() {
            return Ok(());
        }
        let access = self.storage.maintain("count missing copies")?;
        let usage = self.storage.executor().provider_usage(&access).await?;
        for backup in backups {
            let missing = ProviderUsage::missing_copies(&usage, backup.name());
            metrics::gauge!("storage_copies_missing", "backend" => backup.name().to_string())
                .set(missing as f64);
        }
        Ok(())
    }
}
