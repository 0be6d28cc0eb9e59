//! Runs jobs: claims those that wait, a few at once, and has each done step by step.
//!
//! A claim is a job that this runner has to itself for a while. Killed anywhere, it leaves claims that end by themselves, and
//! jobs that go on where their last step was written down. So a step does a bounded piece of work, may happen twice, and leaves
//! what it has counted right wherever it is broken off.

mod adopt;
mod delete_folder;
mod folder;
mod lifecycle;
mod relocate_folder;
mod run;
mod scrub;

use std::time::Duration;

use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::errors::StorageError;
use crate::executor::{ClaimedJob, JobKind, JobStatus};
use crate::permissions::Access;
use crate::storage::{FileStorage, How};

use run::{LEASE, Run};

/// How long to wait for the next look where nothing rang: for jobs that another process was asked for, and claims that ended.
const PAUSE: Duration = Duration::from_secs(5);

/// Time between two looks for jobs that are to be forgotten.
const FORGETTING: Duration = Duration::from_secs(3600);

/// Jobs that are forgotten in one transaction.
const BATCH: u32 = 500;

/// How long a shutdown waits for what the database is asked just now.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is left of a job after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepEnd {
    /// Another step.
    More,
    /// Nothing.
    Done,
}

/// Does the next piece of a job.
///
/// # Errors
/// Those after which the job can't go on, or, where they pass, is to be tried again at the same place.
async fn step(storage: &FileStorage, job: &mut ClaimedJob) -> Result<StepEnd, StorageError> {
    match job.job.kind {
        JobKind::DeleteFolder => delete_folder::step(storage, job).await,
        JobKind::MoveFolder => relocate_folder::step(storage, job, How::Move).await,
        JobKind::CopyFolder => relocate_folder::step(storage, job, How::Copy).await,
        JobKind::Scrub => scrub::step(storage, job).await,
        JobKind::Lifecycle => lifecycle::step(storage, job).await,
        JobKind::Adopt => adopt::step(storage, job).await,
    }
}

/// Runs jobs until it is told to stop.
pub(super) async fn run(storage: FileStorage, stop: CancellationToken) {
    expose_figures();
    let mut runner = Runner { storage, stop, running: JoinSet::new(), scrub: None, forgets: Instant::now() };
    runner.run().await;
    // Those that are under way see it for themselves, and give their jobs back.
    while runner.running.join_next().await.is_some() {}
}

/// Has the figures of all kinds be there, at 0: of one that comes to be with its first event, Prometheus does not see that event.
fn expose_figures() {
    for kind in JobKind::ALL {
        for status in JobStatus::ALL.into_iter().filter(|status| status.is_ended()) {
            let labels = [("kind", kind.as_str()), ("status", status.as_str())];
            metrics::counter!("storage_jobs_ended_total", &labels).increment(0);
        }
    }
}

struct Runner {
    storage: FileStorage,
    stop: CancellationToken,
    running: JoinSet<()>,
    /// The last scrub that was taken on here.
    scrub: Option<AbortHandle>,
    /// When jobs are forgotten next.
    forgets: Instant,
}

impl Runner {
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
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Some(ended) = self.running.join_next() => was_joined(&ended),
                () = self.storage.jobs_changed() => {}
                () = sleep_until(Instant::now() + PAUSE) => {}
            }
            while let Some(ended) = self.running.try_join_next() {
                was_joined(&ended);
            }
        }
    }

    /// Takes on what there is room for, and forgets what is long done.
    async fn look(&mut self) {
        if let Err(error) = self.claim().await {
            tracing::warn!(%error, "jobs were not looked for; it will be tried again");
        }
        if self.forgets <= Instant::now() {
            self.forgets = Instant::now() + FORGETTING;
            if let Err(error) = self.forget().await {
                tracing::warn!(%error, "jobs that are long done were not forgotten; it will be tried again");
            }
        }
    }

    async fn claim(&mut self) -> Result<(), StorageError> {
        let access = self.storage.maintain("run jobs")?;
        while !self.stop.is_cancelled() && self.running.len() < self.storage.options().jobs.concurrency {
            // Each claim is another one's, as the database sees it: a run that lost its job has lost it, though this same process may
            // be who has it now.
            let worker = Uuid::now_v7();
            let Some(claimed) = self.next(&access, worker).await? else { break };
            let is_scrub = claimed.job.kind == JobKind::Scrub;
            let run = Run::new(self.storage.clone(), access.clone(), worker, claimed, self.stop.clone());
            let task = self.running.spawn(run.until_it_ends());
            if is_scrub {
                self.scrub = Some(task);
            }
        }
        Ok(())
    }

    /// Claims the next job. A scrub takes days: it never takes the last place, unless that is the only one and nothing else waits.
    async fn next(&self, access: &Access, worker: Uuid) -> Result<Option<ClaimedJob>, StorageError> {
        let executor = self.storage.executor();
        let places = self.storage.options().jobs.concurrency;
        let free = places.saturating_sub(self.running.len());
        let scrubs = self.scrub.as_ref().is_some_and(|scrub| !scrub.is_finished());
        if free > 1 && !scrubs {
            return executor.claim_job(access, worker, &JobKind::ALL, LEASE).await;
        }
        let others: Vec<_> = JobKind::ALL.into_iter().filter(|kind| *kind != JobKind::Scrub).collect();
        let claimed = executor.claim_job(access, worker, &others, LEASE).await?;
        if claimed.is_some() || scrubs || places > 1 {
            return Ok(claimed);
        }
        executor.claim_job(access, worker, &[JobKind::Scrub], LEASE).await
    }

    async fn forget(&self) -> Result<(), StorageError> {
        let access = self.storage.maintain("forget jobs")?;
        let after = self.storage.options().jobs.keep;
        while self.storage.executor().forget_jobs(&access, after, BATCH).await? >= u64::from(BATCH) {}
        Ok(())
    }
}

fn was_joined(ended: &Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a job's runner failed; its claim ends by itself");
    }
}
