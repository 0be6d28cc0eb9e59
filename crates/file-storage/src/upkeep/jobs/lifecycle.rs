//! Follows lifecycle rules, from where the last step left the run.

use serde_json::Value;

use super::{StepEnd, StorageError};
use crate::executor::ClaimedJob;
use crate::storage::{FileStorage, LifecycleRun};

/// Goes on with the run for a moment.
pub(super) async fn step(storage: &FileStorage, job: &mut ClaimedJob) -> Result<StepEnd, StorageError> {
    let kept = LifecycleRun::resumed(&job.progress.state, &job.progress.report.counts);
    let mut run = match kept {
        Some(run) => run,
        None => {
            let force = job.job.params.get("force").and_then(Value::as_bool).unwrap_or(false);
            storage.begin_lifecycle(job.job.dry_run, force).await?
        }
    };
    let outcome = storage.step_lifecycle(&mut run).await;
    // Also of a step that failed: what it has done is done.
    let (totals, progress) = (run.report().totals, &mut job.progress);
    (progress.done, progress.bytes, progress.failures) = (run.acted(), totals.bytes, totals.failed);
    (progress.state, progress.report.counts) = (run.state(), run.counts());
    Ok(if outcome? { StepEnd::Done } else { StepEnd::More })
}
