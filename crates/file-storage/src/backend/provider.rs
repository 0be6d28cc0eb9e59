//! A provider as a storage knows it: its backend, and how it is, as far as the last look at it told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::time::{Instant, timeout};

use super::{BackendError, StorageBackend};
use crate::Timestamp;
use crate::errors::StorageError;
use crate::resilience::{Circuit, CircuitState, Guarded};

/// How long a probe may take. A provider that needs longer to keep a few bytes is not well.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time between two looks at a provider that is well.
const DEFAULT_CHECK_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// A backend, and how it is.
pub struct Provider {
    backend: Arc<dyn StorageBackend>,
    circuit: Option<Arc<Circuit>>,
    is_remote: bool,
    check_interval: Duration,
    last: Mutex<Option<Look>>,
}

/// What a probe found.
#[derive(Clone)]
struct Look {
    at: Timestamp,
    latency: Duration,
    /// What was wrong.
    error: Option<String>,
}

/// How a provider is. No text of it has a secret in it; it names what operators alone should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderStatus {
    /// Its name.
    pub provider: Arc<str>,
    /// Whether its last probe succeeded, and it is not left alone since. One that nobody has looked at yet counts as healthy.
    pub is_healthy: bool,
    /// How long the last probe took.
    pub latency: Option<Duration>,
    /// When that was.
    pub last_check: Option<Timestamp>,
    /// What was wrong then.
    pub error: Option<String>,
    /// How its circuit stands now, if it has one.
    pub circuit: Option<CircuitState>,
}

impl Provider {
    /// Has it looked at that often while it is well.
    #[must_use]
    pub fn checked_every(mut self, interval: Duration) -> Self {
        self.check_interval = interval;
        self
    }

    /// Its name, as segments record it.
    pub fn name(&self) -> &Arc<str> {
        self.backend.provider()
    }

    /// Where its bytes are.
    pub fn backend(&self) -> &Arc<dyn StorageBackend> {
        &self.backend
    }

    /// Whether it is on another machine, which may bill each question.
    pub fn is_remote(&self) -> bool {
        self.is_remote
    }

    /// Time between two looks at it while it is well.
    pub fn check_interval(&self) -> Duration {
        self.check_interval
    }

    /// How it is, without asking it.
    pub fn status(&self) -> ProviderStatus {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let circuit = self.circuit.as_ref().map(|circuit| circuit.state());
        let error = last.as_ref().and_then(|look| look.error.clone());
        ProviderStatus {
            provider: self.name().clone(),
            is_healthy: error.is_none() && circuit != Some(CircuitState::Open),
            latency: last.as_ref().map(|look| look.latency),
            last_check: last.as_ref().map(|look| look.at),
            error,
            circuit,
        }
    }

    /// Asks it how it is, and remembers what it says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn probe(&self) -> Result<(), BackendError> {
        let started = Instant::now();
        let outcome = match timeout(PATIENCE, self.backend.probe()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(BackendError::TimedOut { operation: "probe", limit: PATIENCE }),
        };
        self.remember(started.elapsed(), outcome.as_ref().err());
        outcome
    }

    /// Whether it takes new blobs, as far as is known. A disk is asked for that; what is far away, and bills each question,
    /// was asked before.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn check(&self) -> Result<(), StorageError> {
        if !self.is_remote {
            return self.probe().await.map_err(|error| error.into_storage_error(self.name()));
        }
        match self.status() {
            ProviderStatus { is_healthy: true, .. } => Ok(()),
            ProviderStatus { provider, error, .. } => {
                let source = error.map(|error| Arc::new(Unhealthy(error)) as _);
                Err(StorageError::ProviderUnavailable { provider, operation: "probe", source })
            }
        }
    }

    fn remember(&self, latency: Duration, error: Option<&BackendError>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.take().and_then(|look| look.error);
        let text = match (error, &before) {
            // That it is left alone says nothing new: what was wrong before is the reason.
            (Some(BackendError::CircuitOpen { .. }), Some(before)) => Some(before.clone()),
            (error, _) => error.map(ToString::to_string),
        };
        match (&before, &text) {
            (None, Some(error)) => tracing::warn!(provider = %self.name(), error, "provider is unhealthy"),
            (Some(_), None) => tracing::warn!(provider = %self.name(), "provider is healthy again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        let labels = [("backend", self.name().to_string())];
        metrics::gauge!("storage_backend_healthy", &labels).set(if text.is_none() { 1.0 } else { 0.0 });
        *last = Some(Look { at: Utc::now(), latency, error: text });
    }
}

impl From<Arc<dyn StorageBackend>> for Provider {
    /// One without guards: a disk, or a part of a test.
    fn from(backend: Arc<dyn StorageBackend>) -> Self {
        let check_interval = DEFAULT_CHECK_INTERVAL;
        Self { backend, circuit: None, is_remote: false, check_interval, last: Mutex::new(None) }
    }
}

impl<B: StorageBackend> From<Arc<B>> for Provider {
    fn from(backend: Arc<B>) -> Self {
        Self::from(backend as Arc<dyn StorageBackend>)
    }
}

impl From<Guarded> for Provider {
    fn from(Guarded { backend, circuit }: Guarded) -> Self {
        Self { circuit, is_remote: true, ..Self::from(backend) }
    }
}

/// What a probe said, some time ago.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unhealthy(String);
