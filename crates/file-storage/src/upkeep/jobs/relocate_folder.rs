//! Moves or copies what lies below a folder, object by object, a few at once: each as a move or a copy of it alone.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::Value;

use super::folder::{Page, pass};
use super::{StepEnd, StorageError};
use crate::executor::{ClaimedJob, is_of_one_object};
use crate::file::{PutMode, StorageObject};
use crate::path::{ObjectPath, PathRules};
use crate::storage::{CopyOptions, FileStorage, Folder};

/// Objects after which it is written down, at least in memory, where the job is.
const BATCH: usize = 64;

/// Objects that are on their way at once.
const AT_ONCE: usize = 8;

/// Whether the object stays where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Move,
    Copy,
}

/// Where objects go, and how.
struct Way<'a> {
    storage: &'a FileStorage,
    job: &'a ClaimedJob,
    from: Folder,
    to: Folder,
    mode: PutMode,
    how: How,
}

/// Moves or copies a page, or as much of it as there is time for.
pub(super) async fn step(
    storage: &FileStorage,
    job: &mut ClaimedJob,
    how: How,
) -> Result<StepEnd, StorageError> {
    let params = &job.job.params;
    let from = Folder::of(params, "bucket", "prefix")?;
    let to = Folder::of(params, "to_bucket", "to_prefix")?;
    let overwrites = params.get("overwrite").and_then(Value::as_bool).unwrap_or(false);
    let mode = if overwrites { PutMode::Upsert } else { PutMode::Create };
    let page = Page::read(storage, job, &from).await?;
    let mut batches = page.objects.chunks(BATCH).peekable();
    while let Some(batch) = batches.next() {
        let way = Way { storage, job, from: from.clone(), to: to.clone(), mode: mode.clone(), how };
        // Boxed: what a stream is told of them must hold for no lifetime but theirs.
        let going: Vec<BoxFuture<'_, _>> = batch.iter().map(|object| way.go(object).boxed()).collect();
        let outcomes: Vec<_> = stream::iter(going).buffered(AT_ONCE).collect().await;
        // What stopped one stops the job, or has it wait: those that went all the same are met, or missed, by the next step.
        let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        for (object, outcome) in batch.iter().zip(outcomes) {
            match outcome {
                Ok(true) => job.progress.did(object.size),
                Ok(false) => {}
                Err(error) => job.progress.failed(object.path.as_str(), &error),
            }
        }
        pass(&mut job.progress, batch.last());
        if page.is_over() && batches.peek().is_some() {
            return Ok(StepEnd::More);
        }
    }
    if page.is_last && job.job.dry_run {
        job.progress.total = Some(job.progress.done.saturating_add(job.progress.failures));
    }
    Ok(if page.is_last { StepEnd::Done } else { StepEnd::More })
}

impl Way<'_> {
    /// Whether an object went, or why not; an error where that is not the object's fault.
    async fn go(&self, object: &StorageObject) -> Result<Result<bool, StorageError>, StorageError> {
        match self.bring(object).await {
            Ok(went) => Ok(Ok(went)),
            Err(error) if is_its_own(&error) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }

    async fn bring(&self, object: &StorageObject) -> Result<bool, StorageError> {
        let rest = object.path.as_str().strip_prefix(self.from.prefix()).unwrap_or_default();
        let path = ObjectPath::parse_new(&format!("{}{rest}", self.to.prefix()), PathRules::Lenient)?;
        let (from, to) = ((&self.from.bucket, &object.path), (&self.to.bucket, &path));
        let (caller, mode) = (&self.job.caller, self.mode.clone());
        let outcome = match (self.job.job.dry_run, self.how) {
            (true, How::Move) => self.storage.may_move(caller, object, to, mode).await,
            (true, How::Copy) => self.storage.may_copy(caller, object, to, mode).await,
            (false, How::Move) => self.storage.move_object(caller, from, to, mode).await.map(drop),
            (false, How::Copy) => {
                self.storage.copy(caller, from, to, mode, CopyOptions::default()).await.map(drop)
            }
        };
        match outcome {
            Ok(()) => Ok(true),
            // Somebody took it away meanwhile.
            Err(
                StorageError::ObjectNotFound { bucket, path }
                | StorageError::ObjectDeleted { bucket, path, .. },
            ) if (&bucket, &path) == from => Ok(false),
            Err(error @ StorageError::ObjectExists { .. }) if self.was_here(object, to.1).await? => {
                tracing::debug!(job = %self.job.job.id, %error, "a copy was made before a runner ended");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether what stands in the way of a copy is that copy, made by this job before its runner ended without saying so.
    async fn was_here(&self, object: &StorageObject, path: &ObjectPath) -> Result<bool, StorageError> {
        if self.how != How::Copy || self.job.job.dry_run {
            return Ok(false);
        }
        let Some(started) = self.job.job.started_at else { return Ok(false) };
        match self.storage.info(&self.job.caller, &self.to.bucket, path).await {
            Ok(there) => Ok(there.created_at >= started
                && (there.size, there.checksum, &there.etag) == (object.size, object.checksum, &object.etag)
                && there.owner_id == self.job.caller.user_id()),
            Err(StorageError::ObjectDeleted { .. }) => Ok(false),
            Err(error) if is_of_one_object(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether the others may go all the same: also where the object's bytes are damaged, or gone. A disk that fails as a whole has
/// each of them say so; a database that does is met where the step is written down.
fn is_its_own(error: &StorageError) -> bool {
    use StorageError as E;
    let is_damage = matches!(error, E::Io { .. } | E::ChecksumMismatch { .. } | E::ObjectDeleted { .. });
    is_damage || is_of_one_object(error)
}
