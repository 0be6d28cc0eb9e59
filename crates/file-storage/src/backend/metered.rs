//! A backend that is measured: how long each operation takes, and how many fail. Decorates any other.

#![deny(clippy::missing_trait_methods)]

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use metrics::{Counter, Histogram};
use tracing::Instrument as _;

use super::originals::Adopter;
use super::{BackendError, BlobInfo, BlobWritten, StorageBackend};
use crate::body::ByteStream;
use crate::file::BlobKey;

/// A backend whose operations are measured.
pub struct Metered<B> {
    inner: B,
    write: Meter,
    settle: Meter,
    read: Meter,
    copy: Meter,
    delete: Meter,
    exists: Meter,
    size: Meter,
    recover: Meter,
    probe: Meter,
}

impl<B: StorageBackend> Metered<B> {
    /// Measures a backend. Metrics must be collected by then.
    pub fn new(inner: B) -> Self {
        let provider = inner.provider().to_string();
        let meter = |operation| Meter::new(operation, &provider);
        Self {
            write: meter("write"),
            settle: meter("settle"),
            read: meter("read"),
            copy: meter("copy"),
            delete: meter("delete"),
            exists: meter("exists"),
            size: meter("size"),
            recover: meter("recover"),
            probe: meter("probe"),
            inner,
        }
    }
}

#[async_trait]
impl<B: StorageBackend> StorageBackend for Metered<B> {
    fn provider(&self) -> &Arc<str> {
        self.inner.provider()
    }

    /// NOTE: the time of a write holds the time that its body takes to come.
    async fn write(
        &self,
        key: &BlobKey,
        body: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<BlobWritten, BackendError> {
        self.write.measure(self.inner.write(key, body, size_hint)).await
    }

    async fn settle(&self, key: &BlobKey, kept: bool) {
        let started = Instant::now();
        self.inner.settle(key, kept).await;
        self.settle.latency.record(started.elapsed());
    }

    async fn read(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.read.measure(self.inner.read(key, range)).await
    }

    async fn read_once(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.read.measure(self.inner.read_once(key, range)).await
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
        self.copy.measure(self.inner.copy(from, to)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError> {
        self.delete.measure(self.inner.delete(key)).await
    }

    async fn exists(&self, key: &BlobKey) -> Result<bool, BackendError> {
        self.exists.measure(self.inner.exists(key)).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError> {
        self.size.measure(self.inner.size(key)).await
    }

    /// Not measured: it takes as long as its reader wants.
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
        self.recover.measure(self.inner.recover()).await
    }

    async fn give_up_leftovers(&self) {
        self.inner.give_up_leftovers().await;
    }

    async fn probe(&self) -> Result<(), BackendError> {
        self.probe.measure(self.inner.probe()).await
    }

    async fn drain(&self) {
        self.inner.drain().await;
    }
}

/// Counts an operation that is given up, as its provider takes too long. Whoever gives up drops the call, so that its meter hears of
/// no end.
pub(crate) fn gave_up(provider: &str, operation: &'static str) {
    let labels = [("operation", operation.to_owned()), ("backend", provider.to_owned())];
    metrics::counter!("storage_backend_timeouts_total", &labels).increment(1);
    metrics::counter!("storage_backend_errors_total", &labels).increment(1);
}

/// The figures of one operation. Looked up once: the registry's lookup costs more than a measurement.
struct Meter {
    operation: &'static str,
    provider: Arc<str>,
    latency: Histogram,
    errors: Counter,
}

impl Meter {
    fn new(operation: &'static str, provider: &str) -> Self {
        let labels = [("operation", operation.to_owned()), ("backend", provider.to_owned())];
        Self {
            operation,
            provider: provider.into(),
            latency: metrics::histogram!("storage_backend_latency_seconds", &labels),
            errors: metrics::counter!("storage_backend_errors_total", &labels),
        }
    }

    async fn measure<T>(
        &self,
        operation: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        let started = Instant::now();
        // Where requests are traced, a span of its own.
        let span = tracing::info_span!(
            target: "trace",
            "provider",
            otel.name = %format_args!("provider {}", self.operation),
            otel.kind = "client",
            operation = self.operation,
            aerostore.provider = &*self.provider,
        );
        let outcome = operation.instrument(span).await;
        self.latency.record(started.elapsed());
        match &outcome {
            // A failed body is its client's failure, and a missing blob an answer.
            Ok(_) | Err(BackendError::Body(_) | BackendError::NotFound) => {}
            Err(_) => self.errors.increment(1),
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::conformance::{Place, conformance_suite};
    use crate::backend::local::{LocalBackend, LocalOptions};

    struct MeteredPlace {
        folder: tempfile::TempDir,
        local: LocalBackend,
        backend: Arc<Metered<LocalBackend>>,
    }

    fn open(folder: &tempfile::TempDir) -> (LocalBackend, Arc<Metered<LocalBackend>>) {
        let local = LocalBackend::open(LocalOptions::new(folder.path())).unwrap();
        (local.clone(), Arc::new(Metered::new(local)))
    }

    fn place() -> MeteredPlace {
        let folder = tempfile::tempdir().unwrap();
        let (local, backend) = open(&folder);
        MeteredPlace { folder, local, backend }
    }

    #[async_trait]
    impl Place for MeteredPlace {
        fn backend(&self) -> Arc<dyn StorageBackend> {
            self.backend.clone()
        }

        async fn quiet(&self) {
            self.local.drain().await;
        }

        fn has_marks(&self) -> bool {
            true
        }

        async fn restart(&mut self) {
            self.quiet().await;
            (self.local, self.backend) = open(&self.folder);
        }
    }

    conformance_suite!(place());
}
