//! Has files that were there before become objects: in the order of their names, a few at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{StepEnd, StorageError};
use crate::backend::originals::{Found, OriginalName};
use crate::executor::{ClaimedJob, JobProgress, is_of_one_object};
use crate::storage::{Adopted, Adoption, FileStorage};

/// Names of a step. Many, as a directory is read from its beginning to find those that follow one.
const PAGE: usize = 4096;

/// Files that are on their way at once.
const AT_ONCE: usize = 4;

/// How long a step begins files. It is written down where it is after that.
const STEP: Duration = Duration::from_secs(3);

/// Adopts a page, or as much of it as there is time for.
pub(super) async fn step(storage: &FileStorage, job: &mut ClaimedJob) -> Result<StepEnd, StorageError> {
    let adoption = Arc::new(Adoption::of(storage, job)?);
    let progress = &mut job.progress;
    let after = progress.state.get("after").and_then(Value::as_str).and_then(OriginalName::from_stored);
    let page = adoption.originals().page(after.as_ref(), PAGE).await?;
    let (begun, count) = (Instant::now(), page.found.len());
    let mut through = 0;
    let in_time = page.found.into_iter().take_while(|_| begun.elapsed() < STEP);
    let going = in_time.map(|found| one(storage.clone(), adoption.clone(), found).boxed());
    let mut outcomes = stream::iter(going).buffered(AT_ONCE);
    while let Some((found, outcome)) = outcomes.next().await {
        // What stopped one stops the job, or has it wait: what went behind it all the same is met again.
        note(progress, &found, outcome, adoption.removes())?;
        through += 1;
    }
    if through < count {
        return Ok(StepEnd::More);
    }
    if let Some(name) = page.through {
        progress.state = json!({ "after": name.to_stored() });
    }
    Ok(if page.is_last { StepEnd::Done } else { StepEnd::More })
}

async fn one(
    storage: FileStorage,
    adoption: Arc<Adoption>,
    found: Found,
) -> (Found, Result<Adopted, StorageError>) {
    let outcome = storage.adopt_one(&adoption, &found).await;
    (found, outcome)
}

/// Writes down what became of a file; an error where that was not the file's fault. `removes`: its original went with that.
fn note(
    progress: &mut JobProgress,
    found: &Found,
    outcome: Result<Adopted, StorageError>,
    removes: bool,
) -> Result<(), StorageError> {
    if removes && matches!(outcome, Ok(Adopted::New(_) | Adopted::There)) {
        count(progress, "removed");
    }
    match outcome {
        Ok(Adopted::New(size)) => progress.did(size),
        Ok(Adopted::There) => count(progress, "present"),
        Ok(Adopted::Gone) => {}
        Err(error) if is_its_own(&error) => progress.failed(&found.name.shown(), &error),
        Err(error) => return Err(error),
    }
    progress.state = json!({ "after": found.name.to_stored() });
    Ok(())
}

/// Counts one more of those.
fn count(progress: &mut JobProgress, of: &str) {
    let before = progress.report.counts.get(of).and_then(Value::as_u64).unwrap_or(0);
    progress.report.counts.insert(of.to_owned(), before.saturating_add(1).into());
}

/// Whether the others may go all the same: also where a disk fails at one, which a job that meets it at each has a report full of.
fn is_its_own(error: &StorageError) -> bool {
    matches!(error, StorageError::Io { .. }) || is_of_one_object(error)
}
