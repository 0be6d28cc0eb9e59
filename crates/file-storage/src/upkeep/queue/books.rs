//! The books of the upload queue: how much there is of it, for operators and for the spool's bound; and what came home
//! long ago, which is forgotten.

use std::time::Duration;

use tokio::time::Instant;

use crate::errors::StorageError;
use crate::executor::{QueueDepth, QueueReason, QueueStatus};
use crate::storage::FileStorage;

/// Time between two counts where nothing happens.
const INTERVAL: Duration = Duration::from_secs(15);

/// The least time between two counts, and how many times what one takes.
const LEAST: Duration = Duration::from_secs(1);
const SHARE: u32 = 20;

/// Time between two looks for what can be forgotten.
const FORGETTING: Duration = Duration::from_secs(60);

/// Entries that are forgotten in one transaction.
const BATCH: u32 = 1000;

/// Statuses that are counted. What is completed is no work.
const OPEN: [QueueStatus; 3] = [QueueStatus::Pending, QueueStatus::InProgress, QueueStatus::Failed];

pub(super) struct Books {
    storage: FileStorage,
    /// When to count again.
    counting: Instant,
    /// Before when not, whatever happens.
    not_before: Instant,
    forgetting: Instant,
}

impl Books {
    pub(super) fn new(storage: FileStorage) -> Self {
        let now = Instant::now();
        Self { storage, counting: now, not_before: now, forgetting: now + FORGETTING }
    }

    /// When they are to be kept next.
    pub(super) fn next(&self) -> Instant {
        self.counting.min(self.forgetting)
    }

    /// Something changed.
    pub(super) fn is_due(&mut self) {
        self.counting = self.counting.min(self.not_before);
    }

    /// Does what is due.
    pub(super) async fn keep(&mut self) -> Result<(), StorageError> {
        let now = Instant::now();
        if now >= self.counting {
            self.counting = now + INTERVAL;
            self.count().await?;
            self.not_before = Instant::now() + LEAST.max(now.elapsed() * SHARE);
        }
        if now >= self.forgetting {
            self.forgetting = now + FORGETTING;
            self.forget().await?;
        }
        Ok(())
    }

    async fn count(&self) -> Result<(), StorageError> {
        let access = self.storage.maintain("count queued uploads")?;
        let kept = self.storage.spool().kept();
        let depths = self.storage.executor().queue_depths(&access, None).await?;
        for status in OPEN {
            let of_status = depths.iter().filter(|depth| depth.status == status);
            let entries: u64 = of_status.map(|depth| depth.entries).sum();
            metrics::gauge!("upload_queue_depth", "status" => status.as_str()).set(entries as f64);
        }
        let options = self.storage.options();
        let spool = options.queue.spool.as_deref();
        // What an operator or a rule moves away was not put there by uploads; what was given up is still there; copies of it take nothing there.
        let waits_there = |depth: &&QueueDepth| {
            let is_an_uploads =
                !matches!(depth.reason, QueueReason::Migration | QueueReason::Copy | QueueReason::Archive);
            Some(&*depth.source) == spool && is_an_uploads
        };
        let waiting = depths.iter().filter(waits_there).map(|depth| depth.bytes).sum();
        self.storage.spool().saw(waiting, kept);
        Ok(())
    }

    async fn forget(&self) -> Result<(), StorageError> {
        let access = self.storage.maintain("forget completed uploads")?;
        let after = self.storage.options().queue.keep_completed;
        while self.storage.executor().forget_completed(&access, after, BATCH).await? >= u64::from(BATCH) {}
        Ok(())
    }
}
