//! One job under one claim: step after step, while the claim is kept alive, until the job ends or is given back.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{StepEnd, step};
use crate::errors::StorageError;
use crate::executor::{ClaimedJob, JobEnd, JobError, JobProgress};
use crate::permissions::Access;
use crate::storage::FileStorage;

/// How long a claim holds.
pub(super) const LEASE: Duration = Duration::from_secs(20);

/// Time between two renewals of it, while a step goes on.
const RENEWAL: Duration = Duration::from_secs(5);

/// How long to wait before a step is tried again, at first and at most.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long a shutdown waits for a step to end by itself.
const LAST_STEP: Duration = Duration::from_secs(3);

/// How long a shutdown waits until a job is given back.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A job under a claim.
pub(super) struct Run {
    storage: FileStorage,
    claim: Claim,
    job: ClaimedJob,
    stop: CancellationToken,
}

/// The claim, apart from the job, as it is kept alive while steps change the job.
struct Claim {
    storage: FileStorage,
    access: Access,
    worker: Uuid,
    job: Uuid,
}

/// The claim is somebody else's.
struct Lost;

impl Run {
    pub(super) fn new(
        storage: FileStorage,
        access: Access,
        worker: Uuid,
        job: ClaimedJob,
        stop: CancellationToken,
    ) -> Self {
        let claim = Claim { storage: storage.clone(), access, worker, job: job.job.id };
        Self { storage, claim, job, stop }
    }

    pub(super) async fn until_it_ends(mut self) {
        let (id, kind) = (self.job.job.id, self.job.job.kind);
        tracing::info!(job = %id, %kind, attempt = self.job.job.attempts, "Job taken on");
        let end = tokio::select! {
            biased;
            () = self.claim.lost() => Err(Lost),
            end = work(&self.storage, &self.claim, &mut self.job, &self.stop) => end,
        };
        let Ok(end) = end else {
            tracing::warn!(job = %id, %kind, "a job is another runner's now");
            return;
        };
        let limit = if end == JobEnd::GivenBack { LAST_WORDS } else { LEASE };
        let error = match timeout(limit, self.claim.end(&end, &self.job.progress)).await {
            Ok(Ok(Some(job))) => {
                let (done, failures, status) = (job.done, job.failures, job.status);
                let error = job.error.as_ref().map(|error| error.message.as_str());
                if end != JobEnd::GivenBack {
                    let labels = [("kind", kind.as_str()), ("status", status.as_str())];
                    metrics::counter!("storage_jobs_ended_total", &labels).increment(1);
                }
                return tracing::info!(job = %id, %kind, %status, done, failures, error, "Job left");
            }
            Ok(Ok(None)) => "it is another runner's now".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(job = %id, %kind, error, "a job's end was not written down; its claim ends by itself");
    }
}

/// Step after step, until there is an end.
async fn work(
    storage: &FileStorage,
    claim: &Claim,
    job: &mut ClaimedJob,
    stop: &CancellationToken,
) -> Result<JobEnd, Lost> {
    if job.job.cancel_requested {
        return Ok(JobEnd::Cancelled);
    }
    let mut wait = WAITS.0;
    loop {
        if stop.is_cancelled() {
            return Ok(JobEnd::GivenBack);
        }
        let outcome = tokio::select! {
            biased;
            outcome = step(storage, job) => outcome,
            () = overdue(stop) => return Ok(JobEnd::GivenBack),
        };
        let outcome = match outcome {
            Ok(StepEnd::Done) => return Ok(JobEnd::Completed),
            Ok(StepEnd::More) => claim.save(&job.progress).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(Some(true)) => return Ok(JobEnd::Cancelled),
            Ok(Some(false)) => wait = WAITS.0,
            Ok(None) => return Err(Lost),
            Err(error) if error.is_retryable() => {
                let pause = error.retry_after().unwrap_or_default().clamp(wait, WAITS.1);
                let (id, kind) = (job.job.id, job.job.kind);
                tracing::warn!(job = %id, %kind, %error, ?pause, "a job's step failed; it is tried again");
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(pause) => {}
                }
                wait = wait.saturating_mul(2).min(WAITS.1);
                // Whoever waits for the end of it must not wait for what is away.
                if let Ok(Some(true)) = claim.renew().await {
                    return Ok(JobEnd::Cancelled);
                }
            }
            Err(error) => {
                tracing::error!(job = %job.job.id, kind = %job.job.kind, ?error, "a job failed");
                return Ok(JobEnd::Failed(JobError::from(&error)));
            }
        }
    }
}

/// Ends when a shutdown has waited long enough for a step.
async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LAST_STEP).await;
}

impl Claim {
    async fn renew(&self) -> Result<Option<bool>, StorageError> {
        self.storage.executor().renew_job(&self.access, self.worker, self.job, LEASE).await
    }

    async fn save(&self, progress: &JobProgress) -> Result<Option<bool>, StorageError> {
        self.storage.hit("job.before_save").await?;
        self.storage.executor().save_job(&self.access, self.worker, self.job, progress, LEASE).await
    }

    async fn end(
        &self,
        end: &JobEnd,
        progress: &JobProgress,
    ) -> Result<Option<crate::executor::Job>, StorageError> {
        self.storage.executor().end_job(&self.access, self.worker, self.job, end, progress).await
    }

    /// Ends when the claim is not this runner's any more. Until then it is kept alive.
    async fn lost(&self) {
        let mut held_since = Instant::now();
        loop {
            sleep(RENEWAL).await;
            let asked = Instant::now();
            match timeout(RENEWAL, self.renew()).await {
                Ok(Ok(Some(_))) => held_since = asked,
                Ok(Ok(None)) => return,
                Ok(Err(error)) => tracing::warn!(%error, "a claim on a job was not renewed"),
                Err(_) => tracing::warn!("a claim on a job was not renewed in time"),
            }
            if held_since.elapsed() >= LEASE {
                return;
            }
        }
    }
}
