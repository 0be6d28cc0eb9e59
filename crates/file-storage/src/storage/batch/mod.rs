//! Writing many files in one request: bytes go to their places one file after the other, a few writes at once, and one
//! transaction makes all of them visible. A file that is refused is refused alone.
//!
//! Memory is bounded: files that are read whole wait until some of them are let in together, up to a sum; small ones wait on for
//! the transaction in memory, up to another; of others, as many as are written at once wait for their provider; large ones stream
//! through. Dropped before its end, a batch leaves nothing.

mod commit;

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::task::{JoinError, JoinSet};

use commit::{Commit, Taken};

use super::FileStorage;
use super::upload::PendingUpload;
use crate::body::{self, ByteStream};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Announced, Written, is_of_one_object};
use crate::file::{ObjectAttributes, PutMode};
use crate::path::ObjectPath;
use crate::permissions::{Access, Operation, RlsContext};

/// A file up to that many bytes is read whole, and written while the next one comes.
const READ_AHEAD: usize = 256 * 1024;

/// Most files that are let in together: one look of the database for all of them.
const LET_IN_TOGETHER: usize = 100;

/// Bytes of files that wait to be let in, at which they are.
const MOST_WAITING: usize = 2 * 1024 * 1024;

/// Most bytes of small files that wait in memory for the transaction; those beyond go to the provider.
const MOST_HELD: usize = 4 * 1024 * 1024;

/// What became of one file, or path, of a batch.
#[derive(Debug)]
pub struct BatchItem<T> {
    /// What the request called it.
    pub name: String,
    /// What became of it.
    pub outcome: Result<T, StorageError>,
}

/// Files that are on their way in.
#[must_use]
pub struct Batch {
    storage: FileStorage,
    access: Access,
    bucket: BucketName,
    mode: PutMode,
    concurrency: usize,
    threshold: usize,
    files: Vec<File>,
    paths: HashSet<ObjectPath>,
    waiting: Vec<Waiting>,
    writes: JoinSet<WrittenFile>,
    held: usize,
}

/// Which file was written, and how that went.
type WrittenFile = (usize, Result<Taken, StorageError>);

/// A file that was read whole, and was not let in yet.
struct Waiting {
    /// Which one it is.
    number: usize,
    path: ObjectPath,
    attributes: ObjectAttributes,
    bytes: Bytes,
}

struct File {
    name: String,
    /// `None` while it waits, or is being written.
    taken: Option<Result<Taken, StorageError>>,
    /// Whether metrics have its refusal already.
    is_counted: bool,
}

impl FileStorage {
    /// Begins a batch of uploads to one bucket. Each file is decided in the transaction, and before where its bytes go to a provider, or
    /// the caller may not write all of the bucket.
    ///
    /// # Errors
    /// A denial where the caller's role never writes; [`StorageError::DiskFull`].
    pub async fn begin_batch(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        mode: PutMode,
    ) -> Result<Batch, StorageError> {
        let access = self.access(context, Operation::Upload(&mode), Some(bucket)).await?;
        self.executor().check_room()?;
        let options = self.options();
        Ok(Batch {
            storage: self.clone(),
            access,
            bucket: bucket.clone(),
            mode,
            concurrency: options.batch.concurrency.max(1),
            threshold: options.inline_threshold,
            files: Vec::new(),
            paths: HashSet::new(),
            waiting: Vec::new(),
            writes: JoinSet::new(),
            held: 0,
        })
    }
}

impl Batch {
    /// How many files came so far.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Says of a file that it is not to be written.
    pub fn refuse(&mut self, name: &str, error: StorageError) {
        self.files.push(File { name: name.to_owned(), taken: Some(Err(error)), is_counted: false });
    }

    /// Takes a file in. What is wrong with it is told at the end; a body that fails is the caller's to notice.
    ///
    /// # Errors
    /// What is wrong with the batch as a whole: [`StorageError::BucketNotFound`], and what the database can't answer. Then no file
    /// of it will be there, and there is no use in further ones.
    pub async fn add(
        &mut self,
        path: ObjectPath,
        attributes: ObjectAttributes,
        mut body: ByteStream,
    ) -> Result<(), StorageError> {
        let name = path.as_str().to_owned();
        if !self.paths.insert(path.clone()) {
            let message = "the batch has this path twice".to_owned();
            self.refuse(&name, StorageError::InvalidRequest { message });
            return Ok(());
        }
        let number = self.files.len();
        self.files.push(File { name, taken: None, is_counted: false });
        match read_ahead(&mut body).await {
            Ok((bytes, true)) => {
                self.waiting.push(Waiting { number, path, attributes, bytes });
                let waiting: usize = self.waiting.iter().map(|file| file.bytes.len()).sum();
                if self.waiting.len() >= LET_IN_TOGETHER || waiting >= MOST_WAITING {
                    self.let_in().await?;
                }
            }
            Ok((read, false)) => {
                let bytes = stream::iter([Ok(read)]).chain(body).boxed();
                self.stream_in(number, path, attributes, bytes).await?;
            }
            Err(error) => self.became(number, Err(error)),
        }
        Ok(())
    }

    /// Says what became of a file.
    fn became(&mut self, number: usize, taken: Result<Taken, StorageError>) {
        if let Some(file) = self.files.get_mut(number) {
            file.taken = Some(taken);
        }
    }

    /// Says that a file was not let in. Who admits counts whom they do not.
    ///
    /// # Errors
    /// What no file of the batch gets past.
    fn was_not_let_in(&mut self, number: usize, error: StorageError) -> Result<(), StorageError> {
        if !is_of_one_object(&error) || matches!(error, StorageError::BucketNotFound { .. }) {
            return Err(error);
        }
        if let Some(file) = self.files.get_mut(number) {
            (file.taken, file.is_counted) = (Some(Err(error)), true);
        }
        Ok(())
    }

    /// Takes in a file that is larger than what is read ahead.
    async fn stream_in(
        &mut self,
        number: usize,
        path: ObjectPath,
        attributes: ObjectAttributes,
        body: ByteStream,
    ) -> Result<(), StorageError> {
        let announced = Announced { attributes: Some(attributes.clone()), size: None, is_final: false };
        let (access, mode) = (self.access.clone(), self.mode.clone());
        let pending = match self.storage.admit(access, &self.bucket, &path, mode, announced).await {
            Ok(pending) => pending,
            Err(error) => return self.was_not_let_in(number, error),
        };
        let prepared = pending.prepare(attributes, None, body, 0).await;
        let taken = prepared.map(|prepared| Taken::of(self.storage.clone(), prepared));
        self.became(number, taken);
        Ok(())
    }

    /// Takes in those that wait. Of small ones only the first is asked for, where it says enough of the others: as their bytes are here and
    /// go nowhere before the transaction, that decides of them.
    async fn let_in(&mut self) -> Result<(), StorageError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        if waiting.len() < 2 || !self.can_hold(&waiting) {
            return self.ask_for(waiting).await;
        }
        let sum = waiting.iter().map(|file| file.bytes.len() as u64).sum();
        let rest = waiting.split_off(1);
        let admitted = self.admit(&waiting).await.pop();
        let (Some(first), Some(admitted)) = (waiting.pop(), admitted) else {
            return Err(StorageError::internal("a file of a batch was not asked for"));
        };
        let pending = match admitted {
            Ok(pending) => pending,
            Err(error) => {
                self.was_not_let_in(first.number, error)?;
                return self.ask_for(rest).await;
            }
        };
        // What may be in a bucket at all is only told to whom it may be told: to who may write there.
        let is_vouched_for = pending.vouches_for(sum)
            && rest.iter().all(|file| pending.would_take_another(&file.attributes, &file.bytes));
        if is_vouched_for {
            for file in rest {
                self.take_in(pending.for_another(&file.path), file).await;
            }
            self.take_in(pending, first).await;
            return Ok(());
        }
        self.take_in(pending, first).await;
        self.ask_for(rest).await
    }

    /// Whether all of these may wait for the transaction in memory.
    fn can_hold(&self, files: &[Waiting]) -> bool {
        let sum: usize = files.iter().map(|file| file.bytes.len()).sum();
        files.iter().all(|file| file.bytes.len() <= self.threshold)
            && self.held.saturating_add(sum) <= MOST_HELD
    }

    /// Asks of each whether it is let in, and takes those in that are.
    async fn ask_for(&mut self, waiting: Vec<Waiting>) -> Result<(), StorageError> {
        let admitted = self.admit(&waiting).await;
        for (file, admitted) in waiting.into_iter().zip(admitted) {
            match admitted {
                Ok(pending) => self.take_in(pending, file).await,
                Err(error) => self.was_not_let_in(file.number, error)?,
            }
        }
        Ok(())
    }

    async fn admit(&self, waiting: &[Waiting]) -> Vec<Result<PendingUpload, StorageError>> {
        let announced = |file: &Waiting| {
            let size = Some(file.bytes.len() as u64);
            let announced = Announced { attributes: Some(file.attributes.clone()), size, is_final: false };
            (file.path.clone(), announced)
        };
        let wanted: Vec<(ObjectPath, Announced)> = waiting.iter().map(announced).collect();
        self.storage.admit_each(&self.access, &self.bucket, &wanted, &self.mode).await
    }

    /// Takes in a file that was read whole: where it is small it stays in memory, else it is written while others come.
    async fn take_in(&mut self, pending: PendingUpload, file: Waiting) {
        let Waiting { number, attributes, bytes, .. } = file;
        let (storage, size) = (self.storage.clone(), bytes.len());
        let held = self.held.saturating_add(size);
        if size <= self.threshold && held <= MOST_HELD {
            self.held = held;
            let prepared =
                pending.prepare(attributes, Some(size as u64), body::from_bytes(bytes), self.threshold).await;
            return self.became(number, prepared.map(|prepared| Taken::of(storage, prepared)));
        }
        while self.writes.len() >= self.concurrency {
            let joined = self.writes.join_next().await;
            self.was_written(joined);
        }
        self.writes.spawn(async move {
            let prepared = pending.prepare(attributes, Some(size as u64), body::from_bytes(bytes), 0).await;
            (number, prepared.map(|prepared| Taken::of(storage, prepared)))
        });
    }

    /// What became of a write. One that failed as a task leaves its file untaken, which fails the batch at its end.
    fn was_written(&mut self, joined: Option<Result<WrittenFile, JoinError>>) {
        match joined {
            Some(Ok((number, taken))) => self.became(number, taken),
            Some(Err(error)) => tracing::error!(%error, "a batch's write failed"),
            None => {}
        }
    }

    /// Makes all files visible that were let in, in one transaction, and says of each what became of it, in the order in which
    /// they came. Goes on though the caller goes away.
    ///
    /// # Errors
    /// As [`Batch::add`]: then no file is there.
    pub async fn finish(mut self) -> Result<Vec<BatchItem<Written>>, StorageError> {
        self.let_in().await?;
        while !self.writes.is_empty() {
            let joined = self.writes.join_next().await;
            self.was_written(joined);
        }
        let mut items = Vec::with_capacity(self.files.len());
        let mut counted = Vec::with_capacity(self.files.len());
        let mut commit = Commit::default();
        for File { name, taken, is_counted } in std::mem::take(&mut self.files) {
            counted.push(is_counted);
            match taken {
                Some(Ok(taken)) if taken.is_late() => {
                    drop(taken);
                    let error = StorageError::OperationTimeout { operation: "put_objects" };
                    items.push(BatchItem { name, outcome: Err(error) });
                }
                Some(Ok(taken)) => {
                    commit.add(&self.access, taken, items.len());
                    items.push(BatchItem { name, outcome: Err(StorageError::internal("not written")) });
                }
                Some(Err(error)) => items.push(BatchItem { name, outcome: Err(error) }),
                None => return Err(StorageError::internal("a file of a batch was not written")),
            }
        }
        if !commit.objects.is_empty() {
            let numbers = commit.numbers.clone();
            let (storage, access, mode) = (self.storage.clone(), self.access.clone(), self.mode.clone());
            let task = self.storage.inner.commits.spawn(commit.run(storage, access, mode));
            let outcomes = match task.await {
                Ok(outcomes) => outcomes,
                Err(error) => Err(StorageError::internal(format!("commit task failed: {error}"))),
            };
            let outcomes = outcomes.and_then(without_bucket);
            let outcomes = outcomes.inspect_err(|error| {
                let uncounted = counted.iter().filter(|is_counted| !**is_counted);
                uncounted.for_each(|_| self.storage.count_upload(&self.bucket, Err(error)));
            })?;
            for (number, outcome) in numbers.into_iter().zip(outcomes) {
                if let Some(item) = items.get_mut(number) {
                    item.outcome = outcome;
                }
            }
        }
        for (item, _) in items.iter().zip(counted).filter(|(_, is_counted)| !is_counted) {
            let size = item.outcome.as_ref().map(|written| written.object.size);
            self.storage.count_upload(&self.bucket, size);
        }
        Ok(items)
    }
}

/// Reads until a body ends, or is longer than is read ahead; whether it ended.
async fn read_ahead(body: &mut ByteStream) -> Result<(Bytes, bool), StorageError> {
    let mut read = BytesMut::new();
    while let Some(chunk) = body.next().await.transpose()? {
        read.extend_from_slice(&chunk);
        if read.len() > READ_AHEAD {
            return Ok((read.freeze(), false));
        }
    }
    Ok((read.freeze(), true))
}

/// Where the bucket went before the transaction, no file could be there: it fails as a whole.
fn without_bucket(
    outcomes: Vec<Result<Written, StorageError>>,
) -> Result<Vec<Result<Written, StorageError>>, StorageError> {
    let is_gone = |error: &&StorageError| matches!(error, StorageError::BucketNotFound { .. });
    let gone = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).find(is_gone).cloned();
    match gone {
        Some(error) if outcomes.iter().all(Result::is_err) => Err(error),
        _ => Ok(outcomes),
    }
}
