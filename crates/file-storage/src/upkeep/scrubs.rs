//! Asks for a scrub from time to time, where an operator wants that. Servers that share a database ask all of them, and one is heard.

use std::time::Duration;

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use crate::errors::StorageError;
use crate::executor::{Job, JobKind, JobListing, JobStatus};
use crate::permissions::RlsContext;
use crate::storage::{FileStorage, ScrubProblem, ScrubRequest};

/// Time between two looks whether one is due: at most, where they are to begin more often than that, and at least.
const LOOK: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(1));

/// Asks for scrubs until it is told to stop.
pub(super) async fn run(storage: FileStorage, stop: CancellationToken) {
    // Of a figure that comes to be with its first event, Prometheus does not see that event.
    for problem in ScrubProblem::ALL {
        metrics::counter!("storage_scrub_findings_total", "problem" => problem.as_str()).increment(0);
    }
    // Scrubs are weeks apart, and a figure ends with its process.
    let told = tokio::select! {
        () = stop.cancelled() => return,
        told = last(&storage) => told,
    };
    if let Err(error) = told {
        tracing::warn!(%error, "no figure says when the last scrub ended");
    }
    loop {
        // Asked each time: a reload may have changed it.
        let interval = storage.options().scrub.interval;
        let pause = interval.map_or(LOOK.0, |interval| interval.clamp(LOOK.1, LOOK.0));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = look(&storage) => outcome,
        };
        match outcome {
            // Another server was first.
            Ok(()) | Err(StorageError::JobRunning { .. }) => {}
            Err(error) => {
                tracing::warn!(error = error.with_causes(), "no scrub was asked for; it will be tried again");
            }
        }
    }
}

/// Asks for one if it is time.
async fn look(storage: &FileStorage) -> Result<(), StorageError> {
    let Some(interval) = storage.options().scrub.interval else { return Ok(()) };
    if let Some(last) = last(storage).await? {
        let age = Utc::now().signed_duration_since(last.created_at).to_std().unwrap_or_default();
        if !last.status.is_ended() || age < interval {
            return Ok(());
        }
    }
    storage.start_scrub(&RlsContext::system("scrub"), &ScrubRequest::default()).await.map(drop)
}

/// The last one that was asked for, by whomever. Says when one ended, which may have been on another server.
async fn last(storage: &FileStorage) -> Result<Option<Job>, StorageError> {
    // The one before it, too, as the last may be under way.
    let listing = JobListing { kind: Some(JobKind::Scrub), limit: 2, ..JobListing::default() };
    let scrubs = storage.jobs(&RlsContext::system("scrub"), &listing).await?;
    let completed = scrubs.iter().find(|job| job.status == JobStatus::Completed);
    if let Some(ended) = completed.and_then(|job| job.completed_at) {
        metrics::gauge!("storage_scrub_last_end_seconds").set(ended.timestamp() as f64);
    }
    Ok(scrubs.into_iter().next())
}
