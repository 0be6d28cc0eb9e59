//! What a storage does for itself: deleting blobs that nothing uses any more, giving up uploads whose time is over,
//! bringing blobs to the providers where they belong, keeping copies of them, comparing provider and metadata, reading lists ahead, and the
//! long work that callers ask for.
//!
//! Everything here runs under the service role, explicitly, and through [`FileStorage`]'s executor and backend; but for jobs,
//! which touch objects as whoever asked for them, and lists, which are read as whoever asks for them.

mod copies;
mod deletions;
mod events;
mod jobs;
mod lifecycle;
mod lists;
mod orphans;
mod queue;
mod report;
mod scrubs;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::errors::StorageError;
use crate::storage::FileStorage;

use orphans::Orphans;
pub use report::{CleanupReport, MissingBlob, OrphanBlob};

/// How often somebody who waits for another process's orphan job looks whether it is over.
const TURN: Duration = Duration::from_millis(250);

/// When upkeep runs, and how far it goes. The defaults are those of SPEC 5.
#[derive(Debug, Clone)]
pub struct UpkeepOptions {
    /// Time between two runs of the orphan job; `None` switches it off (the deletion of queued blobs goes on).
    pub interval: Option<Duration>,
    /// A blob is taken for an orphan only when it is that old, and a row for lost only when its blob was missing
    /// that long.
    pub grace: Duration,
    /// How long a blob that nothing refers to any more is kept for readers in other processes: as long as a download
    /// may take. Readers in this process are waited for in any case.
    pub deletion_grace: Duration,
    /// Blobs and rows that one run deletes at most.
    pub max_per_run: u32,
    /// How long events are kept.
    pub events: EventRetention,
    /// When lifecycle rules are followed; `None` where that is left to who asks for it.
    pub lifecycle: Option<LifecycleSchedule>,
}

/// When lifecycle rules are followed, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleSchedule {
    /// Every day at this time.
    Daily {
        /// The hour.
        hour: u32,
        /// The minute.
        minute: u32,
    },
    /// In an interval.
    Every(Duration),
}

/// How long events are kept: what is older goes, and what is beyond so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRetention {
    /// Older ones go.
    pub age: Duration,
    /// Of more than so many, the oldest go.
    pub most: u64,
}

impl Default for EventRetention {
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 3600), most: 10_000_000 }
    }
}

impl Default for UpkeepOptions {
    fn default() -> Self {
        Self {
            interval: Some(Duration::from_secs(3600)),
            grace: Duration::from_secs(5 * 60),
            deletion_grace: Duration::ZERO,
            max_per_run: 1000,
            events: EventRetention::default(),
            lifecycle: None,
        }
    }
}

/// The running upkeep of a storage.
pub struct Upkeep {
    orphans: Arc<Mutex<Orphans>>,
    options: watch::Sender<UpkeepOptions>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Upkeep {
    /// Starts the deletion of queued blobs, the upload queue's worker, who looks for lacking copies, the runner of jobs, who reads lists ahead, and the orphan job.
    pub fn start(storage: &FileStorage, options: UpkeepOptions) -> Self {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(deletions::run(storage.clone(), options.deletion_grace, stop.clone()));
        tasks.spawn(uploads::run(storage.clone(), stop.clone()));
        tasks.spawn(queue::run(storage.clone(), stop.clone()));
        tasks.spawn(copies::run(storage.clone(), stop.clone()));
        tasks.spawn(jobs::run(storage.clone(), stop.clone()));
        tasks.spawn(scrubs::run(storage.clone(), stop.clone()));
        tasks.spawn(lists::run(storage.clone(), stop.clone()));
        let (options, seen) = watch::channel(options);
        tasks.spawn(events::run(storage.clone(), seen.clone(), stop.clone()));
        tasks.spawn(lifecycle::run(storage.clone(), seen.clone(), stop.clone()));
        let orphans = Arc::new(Mutex::new(Orphans::new(storage.clone(), seen.clone())));
        tasks.spawn(run_orphan_job(orphans.clone(), seen, stop.clone()));
        tasks.close();
        Self { orphans, options, stop, tasks }
    }

    /// Has the orphan job run at other times, and go that far, and events be kept that long, from now on. The grace of queued deletions stays as it was.
    pub fn reconfigure(&self, options: UpkeepOptions) {
        self.options.send_replace(options);
    }

    /// Compares provider and metadata now; with `apply`, also deletes what is due. One run at a time, also among
    /// processes over the same metadata: a second caller waits.
    ///
    /// # Errors
    /// Those of the database and the provider.
    pub async fn cleanup(&self, apply: bool) -> Result<CleanupReport, StorageError> {
        let mut orphans = self.orphans.lock().await;
        loop {
            if let Some(_turn) = orphans.turn().await? {
                if apply {
                    orphans.expire_uploads().await?;
                }
                return orphans.run(apply).await;
            }
            tokio::time::sleep(TURN).await;
        }
    }

    /// Stops all upkeep, between two blobs, and waits for it. Blobs that are on their way are left where they were.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

async fn run_orphan_job(
    orphans: Arc<Mutex<Orphans>>,
    mut options: watch::Receiver<UpkeepOptions>,
    stop: CancellationToken,
) {
    loop {
        let interval = options.borrow_and_update().interval;
        let due = async {
            match interval {
                Some(interval) => tokio::time::sleep(interval).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            // Nobody is left who could change them: upkeep was dropped without being stopped.
            changed = options.changed() => if changed.is_err() { return } else { continue },
            () = due => {}
        }
        let run = async {
            let mut orphans = orphans.lock().await;
            match orphans.turn().await? {
                Some(_turn) => orphans.run(true).await.map(Some),
                None => Ok(None),
            }
        };
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = run => outcome,
        };
        match outcome {
            Ok(Some(report)) => tracing::info!(?report, "orphan job finished"),
            Ok(None) => tracing::info!("orphan job left to another server, which is at it"),
            Err(error) => {
                tracing::error!(error = error.with_causes(), "orphan job failed; it will run again");
            }
        }
    }
}
