//! A provider that failed too often is left alone, as its [`Circuit`] says.
//!
//! What counts as a failure is what may be tried again: a provider that refuses, or has no such blob, is well.

#![deny(clippy::missing_trait_methods)]

use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::circuit::{About, Circuit};
use crate::backend::originals::Adopter;
use crate::backend::{BackendError, BlobInfo, BlobWritten, StorageBackend};
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::file::BlobKey;

/// A backend that is left alone when it failed too often.
pub struct CircuitBreaker<B> {
    inner: B,
    circuit: Arc<Circuit>,
}

impl<B: StorageBackend> CircuitBreaker<B> {
    /// Guards another backend.
    pub fn new(inner: B, circuit: Arc<Circuit>) -> Self {
        Self { inner, circuit }
    }

    async fn call<T>(
        &self,
        about: About<'_>,
        operation: &'static str,
        call: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        let pass = self.circuit.enter(about);
        let pass = pass.map_err(|retry_after| BackendError::CircuitOpen { operation, retry_after })?;
        let outcome = call.await;
        pass.tell(&outcome);
        outcome
    }

    /// A body whose way is watched: a blob that breaks off on it is a failure, too.
    async fn opened(
        &self,
        key: &BlobKey,
        opening: impl Future<Output = Result<ByteStream, BackendError>> + Send,
    ) -> Result<ByteStream, BackendError> {
        let body = self.call(About::Blob(key), "read", opening).await?;
        let (circuit, key) = (self.circuit.clone(), key.clone());
        let watched = body.inspect(move |chunk| {
            if let Err(error) = chunk
                && let Some(cause) = broken_off(error)
            {
                circuit.record_failure(Some(&key), cause);
            }
        });
        Ok(watched.boxed())
    }
}

/// What a provider says of a body that it broke off; `None` where that is not its fault.
fn broken_off(error: &StorageError) -> Option<&dyn Display> {
    match error {
        StorageError::ProviderUnavailable { source: Some(source), .. }
        | StorageError::ProviderThrottled { source, .. } => Some(source),
        StorageError::ProviderUnavailable { .. } | StorageError::ProviderTimeout { .. } => Some(error),
        _ => None,
    }
}

#[async_trait]
impl<B: StorageBackend> StorageBackend for CircuitBreaker<B> {
    fn provider(&self) -> &Arc<str> {
        self.inner.provider()
    }

    async fn write(
        &self,
        key: &BlobKey,
        body: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<BlobWritten, BackendError> {
        self.call(About::Provider, "write", self.inner.write(key, body, size_hint)).await
    }

    async fn settle(&self, key: &BlobKey, kept: bool) {
        // What is not wanted any more can wait for the orphan job.
        if kept || !self.circuit.is_open() {
            self.inner.settle(key, kept).await;
        }
    }

    async fn read(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.opened(key, self.inner.read(key, range)).await
    }

    async fn read_once(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.opened(key, self.inner.read_once(key, range)).await
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
        self.call(About::Blob(from), "copy", self.inner.copy(from, to)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError> {
        self.call(About::Blob(key), "delete", self.inner.delete(key)).await
    }

    async fn exists(&self, key: &BlobKey) -> Result<bool, BackendError> {
        self.call(About::Blob(key), "exists", self.inner.exists(key)).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError> {
        self.call(About::Blob(key), "size", self.inner.size(key)).await
    }

    /// Not guarded: it is upkeep's, which asks now and then.
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

    async fn probe(&self) -> Result<(), BackendError> {
        self.call(About::Look, "probe", self.inner.probe()).await
    }

    async fn drain(&self) {
        self.inner.drain().await;
    }
}
