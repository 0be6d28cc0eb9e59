//! Runs jobs: claims those that wait, a few at once, and has each done step by step.
//!
//! A claim is a job that this runner has to itself for a while. Killed anywhere, it leaves claims that end by themselves, and
//! jobs that go on where their last step was written down. So a step does a bounded piece of work, may happen twice, and leaves
//! what it has counted right wherever it is broken off.

mod delete_folder;
mod folder;
mod lifecycle;
mod run;

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::errors::StorageError;
use crate::executor::{ClaimedJob, JobKind};
use crate::storage::FileStorage;

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
        JobKind::Lifecycle => lifecycle::step(storage, job).await,
    }
}

/// Runs jobs until it is told to stop.
pub(super) async fn run(storage: FileStorage, stop: CancellationToken) {
    let mut runner =
        Runner { storage, id: Uuid::now_v7(), stop, running: JoinSet::new(), forgets: Instant::now() };
    runner.run().await;
    // Those that are under way see it for themselves, and give their jobs back.
    while runner.running.join_next().await.is_some() {}
}

struct Runner {
    storage: FileStorage,
    id: Uuid,
    stop: CancellationToken,
    running: JoinSet<()>,
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
            let executor = self.storage.executor();
            let Some(claimed) = executor.claim_job(&access, self.id, &JobKind::ALL, LEASE).await? else {
                break;
            };
            let run = Run::new(self.storage.clone(), access.clone(), self.id, claimed, self.stop.clone());
            self.running.spawn(run.run());
        }
        Ok(())
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
