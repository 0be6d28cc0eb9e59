//! Receiving a blob: chunks are collected while earlier ones are hashed and written elsewhere.
//!
//! A blob that fits into one batch takes a single step off the runtime, which does everything. A larger one is
//! written batch by batch, each on a blocking thread while the next one is received; no thread waits for a client.

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
pub(super) const MEMORY_UNITS: usize = 1024;

/// How many units make a full batch.
const BATCH_UNITS: usize = 16;

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
    fn new(inner: &Inner, expected: Option<u64>) -> Self {
        let expected = expected.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let units = expected.div_ceil(UNIT).clamp(1, BATCH_UNITS);
        let wanted = u32::try_from(units.saturating_sub(1)).unwrap_or_default();
        let memory = inner.memory.clone().try_acquire_many_owned(wanted).ok();
        let limit = if memory.is_some() { units.saturating_mul(UNIT) } else { UNIT };
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
    let mut batch = Batch::new(inner, size_hint.map(|size| size.saturating_add(1)));
    let mut ended = batch.fill(&mut body).await?;
    let mut progress = Progress { inner: inner.clone(), key: key.clone(), staged: None, tally: Tally::new() };
    while !ended {
        let written = inner.for_writing("write", move || progress.add(&batch));
        let mut next = Batch::new(inner, None);
        // A disk that fails ends the upload at once; a body that fails, when nothing is being written any more.
        let received = next.fill(&mut body).map(Ok);
        let (written, received) = future::try_join(written, received).await?;
        progress = written;
        ended = match received {
            Ok(ended) => ended,
            Err(error) => {
                inner.for_writing("write", move || progress.give_up()).await?;
                return Err(error);
            }
        };
        batch = next;
    }
    let (written, trace) = inner.for_writing("write", move || progress.add(&batch)?.finish()).await?;
    trace.keep();
    Ok(written)
}

/// What has been written so far.
struct Progress {
    inner: Arc<Inner>,
    key: BlobKey,
    staged: Option<Staged>,
    tally: Tally,
}

impl Progress {
    fn add(mut self, batch: &Batch) -> Result<Self, BackendError> {
        let mut staged = match self.staged.take() {
            Some(staged) => staged,
            None => Staged::create(&self.inner, &self.key).map_err(error::io("write"))?,
        };
        if let Err(error) = staged.append(&batch.chunks) {
            staged.trace.discard();
            return Err(error::io("write")(error));
        }
        self.tally.add(&batch.chunks);
        self.staged = Some(staged);
        Ok(self)
    }

    /// Removes what was written.
    fn give_up(self) -> Result<(), BackendError> {
        if let Some(staged) = self.staged {
            staged.trace.discard();
        }
        Ok(())
    }

    fn finish(self) -> Result<(BlobWritten, Unsettled), BackendError> {
        let Some(staged) = self.staged else {
            let source = std::io::Error::other("nothing was staged");
            return Err(BackendError::Io { operation: "write", source: Arc::new(source) });
        };
        let trace = publish(staged).map_err(error::io("write"))?;
        Ok((self.tally.finish(), trace))
    }
}
