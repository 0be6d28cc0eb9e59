//! Asks for a scrub from time to time, where an operator wants that. Servers that share a database ask all of them, and one is heard.

use std::time::Duration;

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use crate::errors::StorageError;
use crate::executor::{JobKind, JobListing};
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
                tracing::warn!(error = error.with_causes(), "no scrub was asked for; it will be tried again")
            }
        }
    }
}

/// Asks for one if it is time.
async fn look(storage: &FileStorage) -> Result<(), StorageError> {
    let Some(interval) = storage.options().scrub.interval else { return Ok(()) };
    let context = RlsContext::system("scrub");
    let listing = JobListing { kind: Some(JobKind::Scrub), limit: 1, ..JobListing::default() };
    if let Some(last) = storage.jobs(&context, &listing).await?.first() {
        let age = Utc::now().signed_duration_since(last.created_at).to_std().unwrap_or_default();
        if !last.status.is_ended() || age < interval {
            return Ok(());
        }
    }
    storage.start_scrub(&context, &ScrubRequest::default()).await.map(drop)
}
