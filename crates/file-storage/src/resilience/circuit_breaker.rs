//! A provider that failed too often is left alone: closed → open after consecutive failures → after a while half-open,
//! which lets exactly one call through → closed, or open again.
//!
//! What counts as a failure is what may be tried again: a provider that refuses, or has no such blob, is well.

#![deny(clippy::missing_trait_methods)]

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use crate::backend::originals::Adopter;
use crate::backend::{BackendError, BlobInfo, BlobWritten, StorageBackend};
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::file::BlobKey;

/// When a provider is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitOptions {
    /// Consecutive failures that open the circuit.
    pub failures: u32,
    /// How long it stays open before one call is let through.
    pub open_for: Duration,
}

impl Default for CircuitOptions {
    fn default() -> Self {
        Self { failures: 5, open_for: Duration::from_secs(60) }
    }
}

/// How a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// The provider is asked.
    Closed,
    /// The next call, or one that is on its way, tells whether it is well again.
    HalfOpen,
    /// It is left alone.
    Open,
}

impl CircuitState {
    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// The state that all calls of a provider share.
pub struct Circuit {
    provider: Arc<str>,
    options: CircuitOptions,
    state: Mutex<State>,
}

enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// One call is on its way, and everybody else waits for its outcome.
    Probing,
}

/// Leave to make one call. Says how it went, or is dropped where that says nothing about the provider.
#[must_use]
struct Pass {
    circuit: Arc<Circuit>,
    /// Whether this is the call that a half-open circuit lets through, and has not told yet.
    is_probe: bool,
}

impl Circuit {
    /// A closed one.
    pub fn new(provider: Arc<str>, options: CircuitOptions) -> Arc<Self> {
        let circuit = Self { provider, options, state: Mutex::new(State::Closed { failures: 0 }) };
        circuit.show(CircuitState::Closed);
        Arc::new(circuit)
    }

    /// How it stands.
    pub fn state(&self) -> CircuitState {
        match *self.lock() {
            State::Closed { .. } => CircuitState::Closed,
            State::Probing => CircuitState::HalfOpen,
            State::Open { until } if until <= Instant::now() => CircuitState::HalfOpen,
            State::Open { .. } => CircuitState::Open,
        }
    }

    /// Whether calls are refused now.
    pub fn is_open(&self) -> bool {
        self.state() == CircuitState::Open
    }

    /// Counts a failure of a call that did not pass here: of a part of an operation.
    pub fn record_failure(&self) {
        self.failed(false);
    }

    /// Counts such a call's success.
    pub fn record_success(&self) {
        if let State::Closed { failures } = &mut *self.lock() {
            *failures = 0;
        }
    }

    /// Leave to make a call; else when to ask again.
    fn enter(self: &Arc<Self>) -> Result<Pass, Duration> {
        let mut state = self.lock();
        let is_probe = match &*state {
            State::Closed { .. } => false,
            State::Probing => return Err(Duration::from_secs(1)),
            State::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                *state = State::Probing;
                true
            }
        };
        drop(state);
        if is_probe {
            tracing::info!(provider = %self.provider, "circuit half-open: one call is let through");
            self.show(CircuitState::HalfOpen);
        }
        Ok(Pass { circuit: self.clone(), is_probe })
    }

    fn failed(&self, was_probe: bool) {
        let mut state = self.lock();
        let opens = match &mut *state {
            State::Closed { failures } => {
                *failures = failures.saturating_add(1);
                *failures >= self.options.failures
            }
            State::Probing => was_probe,
            // A call that began before.
            State::Open { .. } => false,
        };
        if opens {
            *state = State::Open { until: Instant::now() + self.options.open_for };
            drop(state);
            let seconds = self.options.open_for.as_secs();
            tracing::error!(provider = %self.provider, seconds, "circuit opened");
            let labels = [("backend", self.provider.to_string())];
            metrics::counter!("storage_backend_circuit_opened_total", &labels).increment(1);
            self.show(CircuitState::Open);
        }
    }

    fn succeeded(&self, was_probe: bool) {
        let mut state = self.lock();
        match &mut *state {
            State::Closed { failures } => *failures = 0,
            State::Probing if was_probe => {
                *state = State::Closed { failures: 0 };
                drop(state);
                tracing::warn!(provider = %self.provider, "circuit closed");
                self.show(CircuitState::Closed);
            }
            // A call that began before it opened says nothing about now.
            State::Probing | State::Open { .. } => {}
        }
    }

    /// The one call that was let through ended without telling: the next one may.
    fn abandoned(&self) {
        let mut state = self.lock();
        if let State::Probing = &*state {
            *state = State::Open { until: Instant::now() };
        }
    }

    fn show(&self, state: CircuitState) {
        let labels = [("backend", self.provider.to_string())];
        let value = match state {
            CircuitState::Closed => 0.0,
            CircuitState::HalfOpen => 1.0,
            CircuitState::Open => 2.0,
        };
        metrics::gauge!("storage_backend_circuit_state", &labels).set(value);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// Says how the call went.
    fn tell<T>(mut self, outcome: &Result<T, BackendError>) {
        match outcome {
            Err(error) if error.is_transient() => self.circuit.failed(self.is_probe),
            // Of these, none says how the provider is.
            Err(
                BackendError::Body(_) | BackendError::Overloaded { .. } | BackendError::CircuitOpen { .. },
            ) => {
                return;
            }
            Ok(_) | Err(_) => self.circuit.succeeded(self.is_probe),
        }
        self.is_probe = false;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.is_probe {
            self.circuit.abandoned();
        }
    }
}

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
        operation: &'static str,
        call: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        let pass = self.circuit.enter();
        let pass = pass.map_err(|retry_after| BackendError::CircuitOpen { operation, retry_after })?;
        let outcome = call.await;
        pass.tell(&outcome);
        outcome
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
        self.call("write", self.inner.write(key, body, size_hint)).await
    }

    async fn settle(&self, key: &BlobKey, kept: bool) {
        // What is not wanted any more can wait for the orphan job.
        if kept || !self.circuit.is_open() {
            self.inner.settle(key, kept).await;
        }
    }

    /// A blob that breaks off on its way is a failure, too.
    async fn read(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        let body = self.call("read", self.inner.read(key, range)).await?;
        let circuit = self.circuit.clone();
        let watched = body.inspect(move |chunk| {
            use StorageError as E;
            if let Err(
                E::ProviderUnavailable { .. } | E::ProviderThrottled { .. } | E::ProviderTimeout { .. },
            ) = chunk
            {
                circuit.record_failure();
            }
        });
        Ok(watched.boxed())
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
        self.call("copy", self.inner.copy(from, to)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError> {
        self.call("delete", self.inner.delete(key)).await
    }

    async fn exists(&self, key: &BlobKey) -> Result<bool, BackendError> {
        self.call("exists", self.inner.exists(key)).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError> {
        self.call("size", self.inner.size(key)).await
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

    async fn probe(&self) -> Result<(), BackendError> {
        self.call("probe", self.inner.probe()).await
    }

    async fn drain(&self) {
        self.inner.drain().await;
    }
}
