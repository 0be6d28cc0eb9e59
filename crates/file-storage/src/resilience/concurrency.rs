//! How much a provider is asked at once: uploads, downloads and deletions each for themselves. Who comes later waits, in
//! order; where too many wait, the next one is told to come back.
//!
//! A slot is held by an operation that runs: a download holds it until its last byte is taken, or it is dropped. Nothing
//! of a body is read before its upload has a slot, so that memory is bounded by the slots.

#![deny(clippy::missing_trait_methods)]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use metrics::{Counter, Gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::backend::originals::Adopter;
use crate::backend::{BackendError, BlobInfo, BlobWritten, StorageBackend};
use crate::body::ByteStream;
use crate::file::BlobKey;

/// When somebody who found too many waiting may come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How much a provider is asked at once. The defaults are those of SPEC 8 for remote providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcurrencyOptions {
    /// Uploads and copies; 0 means no limit.
    pub uploads: u32,
    /// Downloads; 0 means no limit.
    pub downloads: u32,
    /// Deletions; 0 means no limit.
    pub deletes: u32,
    /// How many may wait for each of these.
    pub waiting: u32,
}

impl Default for ConcurrencyOptions {
    fn default() -> Self {
        Self { uploads: 5, downloads: 10, deletes: 10, waiting: 1000 }
    }
}

/// A backend that is asked only so much at once.
pub struct ConcurrencyLimit<B> {
    inner: B,
    uploads: Option<Slots>,
    downloads: Option<Slots>,
    deletes: Option<Slots>,
}

/// Slots of one kind of operation.
struct Slots {
    provider: Arc<str>,
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    bound: usize,
    queue: Gauge,
    refused: Counter,
}

/// Somebody who waits for a slot.
struct Waiting<'a>(&'a Slots);

impl Slots {
    fn new(provider: &Arc<str>, kind: &'static str, slots: u32, bound: u32) -> Option<Self> {
        let slots = usize::try_from(slots).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let labels = [("operation", kind.to_owned()), ("backend", provider.to_string())];
        (slots > 0).then(|| Self {
            provider: provider.clone(),
            free: Arc::new(Semaphore::new(slots)),
            waiting: Arc::default(),
            bound: usize::try_from(bound).unwrap_or(usize::MAX),
            queue: metrics::gauge!("storage_backend_waiting", &labels),
            refused: metrics::counter!("storage_backend_overloaded_total", &labels),
        })
    }

    /// A slot, when its turn comes.
    async fn take(&self, operation: &'static str) -> Result<OwnedSemaphorePermit, BackendError> {
        if let Ok(slot) = self.free.clone().try_acquire_owned() {
            return Ok(slot);
        }
        let Some(_waiting) = Waiting::join(self) else {
            self.refused.increment(1);
            return Err(BackendError::Overloaded { operation, retry_after: RETRY_AFTER });
        };
        tracing::debug!(provider = %self.provider, operation, "queued");
        let slot = self.free.clone().acquire_owned().await;
        slot.map_err(|closed| BackendError::Io { operation, source: Arc::new(closed) })
    }
}

impl<'a> Waiting<'a> {
    fn join(slots: &'a Slots) -> Option<Self> {
        let joined = slots.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
            (waiting < slots.bound).then(|| waiting.saturating_add(1))
        });
        joined.ok().map(|_| {
            slots.queue.increment(1.0);
            Self(slots)
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
        self.0.queue.decrement(1.0);
    }
}

impl<B: StorageBackend> ConcurrencyLimit<B> {
    /// Limits another backend.
    pub fn new(inner: B, options: ConcurrencyOptions) -> Self {
        let slots = |kind, slots| Slots::new(inner.provider(), kind, slots, options.waiting);
        Self {
            uploads: slots("upload", options.uploads),
            downloads: slots("download", options.downloads),
            deletes: slots("delete", options.deletes),
            inner,
        }
    }

    /// A body that holds a slot for as long as it takes.
    async fn opened(
        &self,
        opening: impl Future<Output = Result<ByteStream, BackendError>> + Send,
    ) -> Result<ByteStream, BackendError> {
        let slot = slot(&self.downloads, "read").await?;
        let body = opening.await?;
        Ok(match slot {
            None => body,
            Some(slot) => hold(body, slot),
        })
    }
}

async fn slot(
    slots: &Option<Slots>,
    operation: &'static str,
) -> Result<Option<OwnedSemaphorePermit>, BackendError> {
    match slots {
        Some(slots) => slots.take(operation).await.map(Some),
        None => Ok(None),
    }
}

#[async_trait]
impl<B: StorageBackend> StorageBackend for ConcurrencyLimit<B> {
    fn provider(&self) -> &Arc<str> {
        self.inner.provider()
    }

    async fn write(
        &self,
        key: &BlobKey,
        body: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<BlobWritten, BackendError> {
        let _slot = slot(&self.uploads, "write").await?;
        self.inner.write(key, body, size_hint).await
    }

    async fn settle(&self, key: &BlobKey, kept: bool) {
        self.inner.settle(key, kept).await;
    }

    async fn read(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.opened(self.inner.read(key, range)).await
    }

    async fn read_once(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.opened(self.inner.read_once(key, range)).await
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
        let _slot = slot(&self.uploads, "copy").await?;
        self.inner.copy(from, to).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError> {
        let _slot = slot(&self.deletes, "delete").await?;
        self.inner.delete(key).await
    }

    async fn exists(&self, key: &BlobKey) -> Result<bool, BackendError> {
        self.inner.exists(key).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError> {
        self.inner.size(key).await
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, BackendError>> {
        self.inner.list()
    }

    fn lists_in_order(&self) -> bool {
        self.inner.lists_in_order()
    }

    fn adopter(&self) -> Option<Arc<dyn Adopter>> {
        self.inner.adopter()
    }

    async fn recover(&self) -> Result<Vec<BlobKey>, BackendError> {
        self.inner.recover().await
    }

    async fn give_up_leftovers(&self) {
        self.inner.give_up_leftovers().await;
    }

    /// Needs no slot: a provider that is busy is not ill.
    async fn probe(&self) -> Result<(), BackendError> {
        self.inner.probe().await
    }

    async fn drain(&self) {
        self.inner.drain().await;
    }
}

/// A body that holds its slot until it ends, or is dropped.
fn hold(body: ByteStream, slot: OwnedSemaphorePermit) -> ByteStream {
    let state = (body, Some(slot));
    futures_util::stream::unfold(state, |(mut body, mut slot)| async move {
        slot.as_ref()?;
        match body.next().await {
            Some(chunk) => Some((chunk, (body, slot))),
            None => {
                drop(slot.take());
                None
            }
        }
    })
    .boxed()
}
