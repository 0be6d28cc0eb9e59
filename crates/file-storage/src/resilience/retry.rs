//! Trying again: what failed for now (network errors, 5xx, 429, timeouts), after 1, 2, 4, 8, 10, 10 … seconds, or when the
//! provider says. What is refused is not tried again, and nothing is while the circuit is open.
//!
//! A body is a stream, and a second attempt needs its first byte again. So what the first attempt takes of a body is
//! kept ([`super::tape`]), up to a limit; the provider sends larger bodies part by part, and tries each part again by
//! itself, with the same [`Attempts`].

#![deny(clippy::missing_trait_methods)]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use uuid::Uuid;

use super::circuit::Circuit;
use super::tape::Tape;
use crate::backend::originals::Adopter;
use crate::backend::{BackendError, BlobInfo, BlobWritten, StorageBackend};
use crate::body::ByteStream;
use crate::file::BlobKey;

/// A provider that wants to be left alone for longer than this is not waited for: the caller is told.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How often and when something is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryOptions {
    /// Attempts in all; 1 tries nothing again.
    pub attempts: u32,
    /// The wait before the second attempt.
    pub initial_delay: Duration,
    /// How many times longer each further wait is.
    pub multiplier: u32,
    /// The longest wait.
    pub max_delay: Duration,
    /// By how much a wait may be shorter or longer at random, as a part of it: so that callers which failed together do
    /// not come again together.
    pub jitter: f64,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            attempts: 3,
            initial_delay: Duration::from_secs(1),
            multiplier: 2,
            max_delay: Duration::from_secs(10),
            jitter: 0.1,
        }
    }
}

impl RetryOptions {
    /// The wait after that many failed attempts, before jitter.
    fn delay(&self, failed: u32) -> Duration {
        let factor = self.multiplier.checked_pow(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial_delay.saturating_mul(factor).min(self.max_delay)
    }

    fn jittered(&self, delay: Duration) -> Duration {
        // From 0 to 1, evenly: 32 random bits of a fresh name.
        let random = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
        delay.mul_f64(1.0 + self.jitter * (2.0 * random - 1.0))
    }
}

/// Whether and when something that failed is tried again.
#[derive(Clone)]
pub struct Attempts {
    provider: Arc<str>,
    options: RetryOptions,
    /// Told of attempts that do not pass a breaker of their own.
    circuit: Option<Arc<Circuit>>,
    /// The blob that they are about, if that is there already.
    blob: Option<BlobKey>,
}

impl Attempts {
    /// Attempts at a provider.
    pub fn new(provider: Arc<str>, options: RetryOptions, circuit: Option<Arc<Circuit>>) -> Self {
        Self { provider, options, circuit, blob: None }
    }

    /// The same, at a blob that is there already: what fails may lie with that one alone.
    pub fn about(&self, blob: &BlobKey) -> Self {
        Self { blob: Some(blob.clone()), ..self.clone() }
    }

    /// How long to wait after that many failed attempts; `None` where no other one is worth it.
    pub fn next(&self, operation: &'static str, failed: u32, error: &BackendError) -> Option<Duration> {
        if !error.is_transient() {
            return None;
        }
        let wanted = error.retry_after().unwrap_or_default();
        if failed >= self.options.attempts || wanted > LONGEST_WAIT {
            return None;
        }
        // The last failure is that of the whole operation, which its own breaker hears of.
        if let Some(circuit) = &self.circuit {
            circuit.record_failure(self.blob.as_ref(), error);
            if circuit.is_open() {
                return None;
            }
        }
        let wait = self.options.jittered(self.options.delay(failed)).max(wanted);
        let (provider, next, of) = (&self.provider, failed.saturating_add(1), self.options.attempts);
        tracing::warn!(%provider, operation, wait_ms = wait.as_millis(), %error, "retry {next} of {of}");
        let labels = [("operation", operation.to_owned()), ("backend", provider.to_string())];
        metrics::counter!("storage_backend_retries_total", &labels).increment(1);
        Some(wait)
    }

    /// Makes attempts until one succeeds, or no other one is worth it.
    ///
    /// # Errors
    /// That of the last attempt.
    pub async fn run<T, A: Future<Output = Result<T, BackendError>>>(
        &self,
        operation: &'static str,
        mut attempt: impl FnMut() -> A,
    ) -> Result<T, BackendError> {
        let mut failed = 0;
        loop {
            let error = match attempt().await {
                Ok(done) => {
                    self.succeeded();
                    return Ok(done);
                }
                Err(error) => error,
            };
            failed += 1;
            match self.next(operation, failed, &error) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    /// Says that an attempt succeeded.
    pub fn succeeded(&self) {
        if let Some(circuit) = &self.circuit {
            circuit.record_success();
        }
    }
}

/// A backend whose operations are tried again.
pub struct Retry<B> {
    inner: B,
    attempts: Attempts,
    resend_limit: usize,
}

impl<B: StorageBackend> Retry<B> {
    /// Tries again what another backend failed at. Bodies up to `resend_limit` bytes are kept in memory meanwhile.
    pub fn new(inner: B, attempts: Attempts, resend_limit: usize) -> Self {
        Self { inner, attempts, resend_limit }
    }
}

#[async_trait]
impl<B: StorageBackend> StorageBackend for Retry<B> {
    fn provider(&self) -> &Arc<str> {
        self.inner.provider()
    }

    async fn write(
        &self,
        key: &BlobKey,
        body: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<BlobWritten, BackendError> {
        let tape = Tape::new(body, self.resend_limit);
        let mut failed = 0;
        loop {
            let error = match self.inner.write(key, tape.play(), size_hint).await {
                Ok(written) => return Ok(written),
                Err(error) => error,
            };
            failed += 1;
            // IMPORTANT: a body whose beginning is gone is never sent on from its middle.
            if !tape.is_whole() {
                return Err(error);
            }
            match self.attempts.next("write", failed, &error) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    async fn settle(&self, key: &BlobKey, kept: bool) {
        self.inner.settle(key, kept).await;
    }

    /// Until the first byte. Once a blob is read, its provider goes on where it was cut off.
    async fn read(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.attempts.run("read", || self.inner.read(key, range.clone())).await
    }

    async fn read_once(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.inner.read_once(key, range).await
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
        self.attempts.run("copy", || self.inner.copy(from, to)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError> {
        self.attempts.run("delete", || self.inner.delete(key)).await
    }

    async fn exists(&self, key: &BlobKey) -> Result<bool, BackendError> {
        self.attempts.run("exists", || self.inner.exists(key)).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError> {
        self.attempts.run("size", || self.inner.size(key)).await
    }

    /// A provider goes on by itself where its list was cut off.
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

    /// Not tried again: it asks how the provider is now.
    async fn probe(&self) -> Result<(), BackendError> {
        self.inner.probe().await
    }

    async fn drain(&self) {
        self.inner.drain().await;
    }
}
