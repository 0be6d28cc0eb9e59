//! Receiving a blob: chunks are collected while earlier ones are hashed and written elsewhere.
//!
//! A blob that fits into the first batch takes a single step off the runtime, which does everything. A larger one
//! goes batch by batch, each hashed on one thread and written on another while the next one is received. No
//! thread waits for a client.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt, future};
use tokio::sync::OwnedSemaphorePermit;

use super::publish::{Unsettled, publish};
use super::stage::{Staged, Tally};
use super::{Inner, error};
use crate::backend::{BackendError, BlobWritten};
use crate::body::ByteStream;
use crate::file::BlobKey;

/// The unit in which memory for uploads is counted: what every upload may hold in any case.
pub(super) const UNIT: usize = 64 * 1024;

/// How much all uploads together may hold beyond that, in units.
pub(super) const MEMORY_UNITS: usize = 512;

/// What is at most collected before anything is written: a blob of up to 1 MiB takes one step.
const FIRST_UNITS: usize = 17;

/// How many units make one batch of a larger blob. While one is written, the next is received.
const BATCH_UNITS: usize = 8;

/// Chunks below this size are put together, so that a body of crumbs costs no more than another.
const CRUMB: usize = 4 * 1024;

/// Chunks that were received and are not written.
struct Batch {
    chunks: Vec<Bytes>,
    crumbs: BytesMut,
    size: usize,
    limit: usize,
    /// The memory it may take, beyond the first unit.
    _memory: Option<OwnedSemaphorePermit>,
}

impl Batch {
    /// An empty batch, as large as memory allows just now.
    fn new(inner: &Inner, expected: Option<u64>, most: usize) -> Self {
        let expected = expected.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let units = expected.div_ceil(UNIT).clamp(1, most);
        let more = units.saturating_sub(1).min(inner.memory.available_permits());
        let memory = u32::try_from(more).ok();
        let memory = memory.and_then(|more| inner.memory.clone().try_acquire_many_owned(more).ok());
        let limit = if memory.is_some() { more.saturating_add(1).saturating_mul(UNIT) } else { UNIT };
        Self { chunks: Vec::new(), crumbs: BytesMut::new(), size: 0, limit, _memory: memory }
    }

    fn push(&mut self, chunk: Bytes) {
        self.size = self.size.saturating_add(chunk.len());
        if chunk.len() < CRUMB {
            self.crumbs.extend_from_slice(&chunk);
        } else {
            self.gather();
            self.chunks.push(chunk);
        }
    }

    fn gather(&mut self) {
        if !self.crumbs.is_empty() {
            self.chunks.push(self.crumbs.split().freeze());
        }
    }

    /// Fills the batch from the body; `true` once the body has ended.
    async fn fill(&mut self, body: &mut ByteStream) -> Result<bool, BackendError> {
        while self.size < self.limit {
            match body.next().await {
                Some(Ok(chunk)) => self.push(chunk),
                Some(Err(error)) => return Err(BackendError::Body(Box::new(error))),
                None => {
                    self.gather();
                    return Ok(true);
                }
            }
        }
        self.gather();
        Ok(false)
    }
}

/// See [`crate::backend::StorageBackend::write`].
pub(super) async fn write(
    inner: &Arc<Inner>,
    key: &BlobKey,
    mut body: ByteStream,
    size_hint: Option<u64>,
) -> Result<BlobWritten, BackendError> {
    // One more than announced, so that the end of the body is seen before the batch is full.
    let expected = size_hint.map(|size| size.saturating_add(1));
    let mut batch = Batch::new(inner, expected, FIRST_UNITS);
    if batch.fill(&mut body).await? {
        let (this, key) = (inner.clone(), key.clone());
        let (written, trace) = inner.for_writing("write", move || at_once(&this, &key, &batch)).await?;
        trace.keep();
        return Ok(written);
    }
    let (this, name) = (inner.clone(), key.clone());
    let create = move || Staged::create(&this, &name).map_err(error::io("write"));
    let mut upload = Upload {
        inner: inner.clone(),
        staged: inner.for_writing("write", create).await?,
        tally: Tally::new(),
    };
    let mut ended = false;
    while !ended {
        let mut next = Batch::new(inner, None, BATCH_UNITS);
        // A disk that fails ends the upload at once; a body that fails, when nothing is being written any more.
        let received = next.fill(&mut body).map(Ok);
        let (added, received) = future::try_join(upload.add(batch), received).await?;
        upload = added;
        ended = match received {
            Ok(ended) => ended,
            Err(error) => {
                upload.give_up().await?;
                return Err(error);
            }
        };
        batch = next;
    }
    let (written, trace) = upload.add(batch).await?.finish().await?;
    trace.keep();
    Ok(written)
}

/// Everything about a small blob. May block.
fn at_once(
    inner: &Arc<Inner>,
    key: &BlobKey,
    batch: &Batch,
) -> Result<(BlobWritten, Unsettled), BackendError> {
    let staged = Staged::create(inner, key).and_then(|staged| append(staged, batch));
    let tally = Tally::new().and(&batch.chunks);
    let trace = staged.and_then(publish).map_err(error::io("write"))?;
    Ok((tally.finish(), trace))
}

/// Appends a batch, or removes everything. May block.
fn append(mut staged: Staged, batch: &Batch) -> io::Result<Staged> {
    match staged.append(&batch.chunks) {
        Ok(()) => Ok(staged),
        Err(error) => {
            staged.trace.discard();
            Err(error)
        }
    }
}

/// A large blob on its way.
struct Upload {
    inner: Arc<Inner>,
    staged: Staged,
    tally: Tally,
}

impl Upload {
    /// Hashes a batch on one thread, and writes it on another.
    async fn add(self, batch: Batch) -> Result<Self, BackendError> {
        let Self { inner, mut staged, tally } = self;
        let flushed = staged.flushed(true).await;
        let upload = Self { inner, staged, tally };
        let Self { inner, staged, tally } = upload.unless_lost(flushed).await?;
        let batch = Arc::new(batch);
        let to_hash = batch.clone();
        let hashed = inner.for_writing("write", move || Ok(tally.and(&to_hash.chunks)));
        let written = inner.for_writing("write", move || append(staged, &batch).map_err(error::io("write")));
        let (tally, staged) = future::try_join(hashed, written).await?;
        Ok(Self { inner, staged, tally })
    }

    /// After a failed sync, the blob is lost: removes it.
    async fn unless_lost(self, flushed: io::Result<()>) -> Result<Self, BackendError> {
        match flushed {
            Ok(()) => Ok(self),
            Err(error) => {
                self.give_up().await?;
                Err(error::io("write")(error))
            }
        }
    }

    /// Removes what was written.
    async fn give_up(self) -> Result<(), BackendError> {
        let inner = self.inner.clone();
        let discard = move || {
            self.staged.trace.discard();
            Ok(())
        };
        inner.for_writing("write", discard).await
    }

    async fn finish(self) -> Result<(BlobWritten, Unsettled), BackendError> {
        let Self { inner, mut staged, tally } = self;
        let flushed = staged.flushed(false).await;
        let upload = Self { inner, staged, tally };
        let Self { inner, staged, tally } = upload.unless_lost(flushed).await?;
        let publish = move || publish(staged).map_err(error::io("write"));
        Ok((tally.finish(), inner.for_writing("write", publish).await?))
    }
}
