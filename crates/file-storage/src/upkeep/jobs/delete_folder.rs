//! Deletes what lies below a folder: many objects in one transaction, and one by one where that leaves any, to say why.

use super::folder::{Page, pass};
use super::{StepEnd, StorageError};
use crate::executor::ClaimedJob;
use crate::path::ObjectPath;
use crate::storage::{FileStorage, Folder};

/// Objects of one transaction: others write meanwhile.
const BATCH: usize = 100;

/// Deletes a page, or as much of it as there is time for.
pub(super) async fn step(storage: &FileStorage, job: &mut ClaimedJob) -> Result<StepEnd, StorageError> {
    let folder = Folder::of(&job.job.params, "bucket", "prefix")?;
    let page = Page::read(storage, job, &folder).await?;
    let ClaimedJob { caller, progress, .. } = job;
    if job.job.dry_run {
        page.count(progress);
        return Ok(if page.is_last { StepEnd::Done } else { StepEnd::More });
    }
    let mut batches = page.objects.chunks(BATCH).peekable();
    while let Some(batch) = batches.next() {
        let paths: Vec<ObjectPath> = batch.iter().map(|object| object.path.clone()).collect();
        let outcomes = storage.delete_each(caller, &folder.bucket, &paths).await?;
        for (object, outcome) in batch.iter().zip(outcomes) {
            match outcome {
                Ok(true) => progress.did(object.size),
                Ok(false) => {}
                Err(error) => progress.failed(object.path.as_str(), &error),
            }
        }
        pass(progress, batch.last());
        if page.is_over() && batches.peek().is_some() {
            return Ok(StepEnd::More);
        }
    }
    Ok(if page.is_last { StepEnd::Done } else { StepEnd::More })
}
