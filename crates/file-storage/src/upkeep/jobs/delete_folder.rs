//! Deletes what lies below a folder: many objects in one transaction, and one by one where that leaves any, to say why.

use std::collections::HashSet;

use super::folder::{Page, is_of_the_object, pass};
use super::{StepEnd, StorageError};
use crate::executor::ClaimedJob;
use crate::file::StorageObject;
use crate::path::ObjectPath;
use crate::permissions::RlsContext;
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
        let outcomes = delete(storage, caller, &folder, batch).await?;
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

/// Deletes some objects, and says of each whether it was there, or why it still is.
async fn delete(
    storage: &FileStorage,
    caller: &RlsContext,
    folder: &Folder,
    batch: &[StorageObject],
) -> Result<Vec<Result<bool, StorageError>>, StorageError> {
    let paths: Vec<ObjectPath> = batch.iter().map(|object| object.path.clone()).collect();
    let deleted = match storage.delete_many(caller, &folder.bucket, &paths).await {
        Ok(deleted) => deleted,
        // One by one, it turns out of which.
        Err(error) if is_of_the_object(&error) => Vec::new(),
        Err(error) => return Err(error),
    };
    let gone: HashSet<&ObjectPath> = deleted.iter().map(|deletion| &deletion.path).collect();
    let mut outcomes = Vec::with_capacity(paths.len());
    for path in &paths {
        if gone.contains(path) {
            outcomes.push(Ok(true));
            continue;
        }
        match storage.delete(caller, &folder.bucket, path, None).await {
            // Somebody else deleted it meanwhile.
            Ok(deletion) => outcomes.push(Ok(deletion.object.is_some())),
            Err(error) if is_of_the_object(&error) => outcomes.push(Err(error)),
            Err(error) => return Err(error),
        }
    }
    Ok(outcomes)
}
