//! How long a provider may take. What takes longer is cancelled: its future is dropped.
//!
//! The time is that of the provider: it does not run while an upload waits for its client's bytes, or a download for its
//! client to take them. Of uploads and downloads it is the time without progress, as large ones go part by part, and each
//! part is an operation of its own.

#![deny(clippy::missing_trait_methods)]

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};

use crate::backend::originals::Adopter;
use crate::backend::provider::PROBE_PATIENCE;
use crate::backend::{BackendError, BlobInfo, BlobWritten, StorageBackend, metered};
use crate::body::ByteStream;
use crate::file::BlobKey;

/// How long operations may stand still. The defaults are those of SPEC 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutOptions {
    /// Uploads and copies.
    pub upload: Duration,
    /// Downloads.
    pub download: Duration,
    /// Deletions.
    pub delete: Duration,
    /// Each page of a list, and questions about one blob.
    pub list: Duration,
}

impl Default for TimeoutOptions {
    fn default() -> Self {
        Self {
            upload: Duration::from_secs(300),
            download: Duration::from_secs(600),
            delete: Duration::from_secs(30),
            list: Duration::from_secs(30),
        }
    }
}

/// A backend whose operations are cancelled when they stand still.
pub struct Timeout<B> {
    inner: B,
    options: TimeoutOptions,
}

impl<B: StorageBackend> Timeout<B> {
    /// Watches another backend.
    pub fn new(inner: B, options: TimeoutOptions) -> Self {
        Self { inner, options }
    }

    async fn within<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        call: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        match timeout(limit, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(timed_out(self.inner.provider(), operation, limit)),
        }
    }

    /// A body that may not stand still.
    async fn opened(
        &self,
        opening: impl Future<Output = Result<ByteStream, BackendError>> + Send,
    ) -> Result<ByteStream, BackendError> {
        let limit = self.options.download;
        let body = self.within("read", limit, opening).await?;
        let provider = self.inner.provider().clone();
        Ok(each_within(body, limit, move || {
            timed_out(&provider, "read", limit).into_storage_error(&provider)
        }))
    }
}

fn timed_out(provider: &Arc<str>, operation: &'static str, limit: Duration) -> BackendError {
    tracing::warn!(%provider, operation, limit_s = limit.as_secs(), "timed out");
    metered::gave_up(provider, operation);
    BackendError::TimedOut { operation, limit }
}

/// When an upload last moved; `None` while it waits for its client.
struct Moved(Mutex<Option<Instant>>);

impl Moved {
    fn set(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that notes when it is waited for.
fn watched(mut body: ByteStream, moved: Arc<Moved>) -> ByteStream {
    stream::poll_fn(move |context| {
        let polled = body.as_mut().poll_next(context);
        moved.set(match &polled {
            Poll::Pending => None,
            Poll::Ready(_) => Some(Instant::now()),
        });
        polled
    })
    .boxed()
}

/// Ends when an upload has stood still for that long.
async fn stood_still(moved: &Moved, limit: Duration) {
    loop {
        let deadline = moved.get().unwrap_or_else(Instant::now) + limit;
        if deadline <= Instant::now() {
            return;
        }
        sleep_until(deadline).await;
    }
}

#[async_trait]
impl<B: StorageBackend> StorageBackend for Timeout<B> {
    fn provider(&self) -> &Arc<str> {
        self.inner.provider()
    }

    async fn write(
        &self,
        key: &BlobKey,
        body: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<BlobWritten, BackendError> {
        let limit = self.options.upload;
        let moved = Arc::new(Moved(Mutex::new(Some(Instant::now()))));
        let body = watched(body, moved.clone());
        tokio::select! {
            outcome = self.inner.write(key, body, size_hint) => outcome,
            () = stood_still(&moved, limit) => Err(timed_out(self.provider(), "write", limit)),
        }
    }

    async fn settle(&self, key: &BlobKey, kept: bool) {
        let settled = async {
            self.inner.settle(key, kept).await;
            Ok(())
        };
        // Whatever is left, the orphan job finds.
        let _ = self.within("settle", self.options.delete, settled).await;
    }

    async fn read(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.opened(self.inner.read(key, range)).await
    }

    async fn read_once(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.opened(self.inner.read_once(key, range)).await
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
        self.within("copy", self.options.upload, self.inner.copy(from, to)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError> {
        self.within("delete", self.options.delete, self.inner.delete(key)).await
    }

    async fn exists(&self, key: &BlobKey) -> Result<bool, BackendError> {
        self.within("exists", self.options.list, self.inner.exists(key)).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError> {
        self.within("size", self.options.list, self.inner.size(key)).await
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, BackendError>> {
        let (provider, limit) = (self.provider().clone(), self.options.list);
        each_within(self.inner.list(), limit, move || timed_out(&provider, "list", limit))
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

    async fn probe(&self) -> Result<(), BackendError> {
        self.within("probe", self.options.list.min(PROBE_PATIENCE), self.inner.probe()).await
    }

    async fn drain(&self) {
        self.inner.drain().await;
    }
}

/// A stream that ends with an error where an item takes longer.
fn each_within<T: Send + 'static, E: Send + 'static>(
    items: impl Stream<Item = Result<T, E>> + Send + Unpin + 'static,
    limit: Duration,
    late: impl Fn() -> E + Send + 'static,
) -> BoxStream<'static, Result<T, E>> {
    stream::unfold((Some(items), late), move |(items, late)| async move {
        let mut items = items?;
        match timeout(limit, items.next()).await {
            Ok(Some(item)) => Some((item, (Some(items), late))),
            Ok(None) => None,
            Err(_) => {
                let error = late();
                Some((Err(error), (None, late)))
            }
        }
    })
    .boxed()
}
