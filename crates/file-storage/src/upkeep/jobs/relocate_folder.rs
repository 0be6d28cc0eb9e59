//! Moves or copies what lies below a folder, object by object, a few at once: each as a move or a copy of it alone.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::Value;

use super::folder::{Page, pass};
use super::{StepEnd, StorageError};
use crate::executor::{ClaimedJob, JobProgress, is_of_one_object};
use crate::file::{PutMode, StorageObject};
use crate::path::{ObjectPath, PathRules};
use crate::storage::{CopyOptions, FileStorage, Folder, How, Passage, QuotaSums, Weight};

/// Objects after which it is written down, at least in memory, where the job is.
const BATCH: usize = 64;

/// Objects that are on their way at once.
const AT_ONCE: usize = 8;

/// Where a job's state has what its objects would take of quotas.
const SUMS: &str = "sums";

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
    let mut sums = kept(&job.progress);
    let mut batches = page.objects.chunks(BATCH).peekable();
    while let Some(batch) = batches.next() {
        let way = Way { storage, job, from: from.clone(), to: to.clone(), mode: mode.clone(), how };
        let weights = way.weigh(batch).await?;
        let outcomes = match job.job.dry_run {
            true => weights.into_iter().map(|weight| sums.admit(&weight?).map(|()| true)).collect(),
            false => way.bring_all(batch, &weights).await?,
        };
        for (object, outcome) in batch.iter().zip(outcomes) {
            match outcome {
                Ok(true) => job.progress.did(object.size),
                Ok(false) => {}
                // The folder's own marker has no place in a bucket itself, and nothing in it that a copy would lack.
                Err(_)
                    if how == How::Copy
                        && to.prefix().is_empty()
                        && object.path.as_str() == from.prefix() => {}
                Err(error) => job.progress.failed(object.path.as_str(), &error),
            }
        }
        pass(&mut job.progress, batch.last());
        keep(&mut job.progress, &sums);
        if page.is_over() && batches.peek().is_some() {
            return Ok(StepEnd::More);
        }
    }
    if page.is_last && job.job.dry_run {
        job.progress.total = Some(job.progress.done.saturating_add(job.progress.failures));
    }
    Ok(if page.is_last { StepEnd::Done } else { StepEnd::More })
}

/// What those before have taken of quotas, as far as the job looked.
fn kept(progress: &JobProgress) -> QuotaSums {
    let sums = progress.state.get(SUMS).cloned();
    sums.and_then(|sums| serde_json::from_value(sums).ok()).unwrap_or_default()
}

/// Writes that down beside where the job is.
fn keep(progress: &mut JobProgress, sums: &QuotaSums) {
    if let Value::Object(state) = &mut progress.state
        && !sums.is_empty()
        && let Ok(sums) = serde_json::to_value(sums)
    {
        state.insert(SUMS.to_owned(), sums);
    }
}

/// What there is to say of an object, or why it can't go.
type OfOne<T> = Result<T, StorageError>;

impl Way<'_> {
    /// What each object would take of quotas where it goes, or why it can't go there.
    async fn weigh(&self, batch: &[StorageObject]) -> Result<Vec<OfOne<Weight>>, StorageError> {
        let targets: Vec<_> = batch.iter().map(|object| self.target(object)).collect();
        let going = batch
            .iter()
            .zip(&targets)
            .filter_map(|(object, target)| Some((object, target.as_ref().ok()?.clone())));
        let going: Vec<_> = going.collect();
        let (from, to) = (&self.from.bucket, &self.to.bucket);
        let passage = Passage { from, to, how: self.how, mode: &self.mode };
        let mut weights = self.storage.weigh(&self.job.caller, passage, &going).await.into_iter();
        let missing = || Err(StorageError::internal("an object was not weighed"));
        let weighed =
            targets.into_iter().map(|target| target.and_then(|_| weights.next().unwrap_or_else(missing)));
        weighed.map(of_one).collect()
    }

    /// Has them go: a few at once, but one after the other where they might not fit into a quota together. Which ones do is decided by
    /// their order then, as a dry run tells it, and no bytes are copied for nothing.
    async fn bring_all(
        &self,
        batch: &[StorageObject],
        weights: &[OfOne<Weight>],
    ) -> Result<Vec<OfOne<bool>>, StorageError> {
        let fit = Weight::fit_together(weights.iter().filter_map(|weight| weight.as_ref().ok()));
        // Boxed: what a stream is told of them must hold for no lifetime but theirs.
        let going: Vec<BoxFuture<'_, _>> = batch.iter().map(|object| self.bring(object).boxed()).collect();
        let went: Vec<_> = stream::iter(going).buffered(if fit { AT_ONCE } else { 1 }).collect().await;
        // What stopped one stops the job, or has it wait: those that went all the same are met, or missed, by the next step.
        went.into_iter().map(of_one).collect()
    }

    /// Where an object goes.
    fn target(&self, object: &StorageObject) -> Result<ObjectPath, StorageError> {
        let rest = object.path.as_str().strip_prefix(self.from.prefix()).unwrap_or_default();
        ObjectPath::parse_new(&format!("{}{rest}", self.to.prefix()), PathRules::Lenient)
    }

    async fn bring(&self, object: &StorageObject) -> Result<bool, StorageError> {
        let path = self.target(object)?;
        let (from, to) = ((&self.from.bucket, &object.path), (&self.to.bucket, &path));
        let (caller, mode) = (&self.job.caller, self.mode.clone());
        let outcome = match self.how {
            How::Move => self.storage.move_object(caller, from, to, mode).await.map(drop),
            How::Copy => self.storage.copy(caller, from, to, mode, CopyOptions::default()).await.map(drop),
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
        if self.how != How::Copy {
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

/// An error where what went wrong is not the object's fault.
fn of_one<T>(outcome: Result<T, StorageError>) -> Result<OfOne<T>, StorageError> {
    match outcome {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(error) if is_its_own(&error) => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// Whether the others may go all the same: also where the object's bytes are damaged, or gone. A disk that fails as a whole has
/// each of them say so; a database that does is met where the step is written down.
fn is_its_own(error: &StorageError) -> bool {
    use StorageError as E;
    let is_damage = matches!(error, E::Io { .. } | E::ChecksumMismatch { .. } | E::ObjectDeleted { .. });
    is_damage || is_of_one_object(error)
}
