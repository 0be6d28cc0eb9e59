//! A provider as a storage knows it: its backend, and how it is, as far as the last look at it told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::place::Place;
use super::{BackendError, StorageBackend, metered};
use crate::Timestamp;
use crate::errors::StorageError;
use crate::resilience::{Circuit, CircuitState, Guarded};

/// How long a probe may take. A provider that needs longer to keep a few bytes is not well.
pub(crate) const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// Time between two looks at a provider that is well.
const DEFAULT_CHECK_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// How long a provider that is not well counts as such where nobody looks at it again.
const UNWELL: Duration = Duration::from_secs(60);

/// How long a write may stand still before another provider is asked that stands by.
const DEFAULT_FAILOVER_AFTER: Duration = Duration::from_secs(4);

/// Bytes of an upload to a disk that are kept in memory, so that another provider can have them. Nothing bounds how many
/// uploads a disk takes at once.
const DISK_RESEND_LIMIT: usize = 1 << 20;

/// A backend, and how it is.
pub struct Provider {
    backend: Arc<dyn StorageBackend>,
    place: Option<Arc<dyn Place>>,
    circuit: Option<Arc<Circuit>>,
    is_remote: bool,
    check_interval: Duration,
    failover_after: Duration,
    resend_limit: usize,
    condition: watch::Sender<Condition>,
    /// Until when reads are rather sent elsewhere, as one of them stood still.
    still_until: Mutex<Option<Instant>>,
}

/// What is known of a provider.
#[derive(Clone, Default)]
struct Condition {
    /// When it was probed last, and how long that took.
    probed: Option<(Timestamp, Duration)>,
    /// What is wrong.
    error: Option<String>,
    /// Whether that is that it does not answer. One that refuses, or is full, may do other things all the same.
    is_away: bool,
    /// Until when that counts.
    unwell_until: Option<Instant>,
}

impl Condition {
    fn is_well(&self) -> bool {
        self.error.is_none() || self.unwell_until.is_none_or(|until| until <= Instant::now())
    }
}

/// How a provider is. No text of it has a secret in it; it names what operators alone should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderStatus {
    /// Its name.
    pub provider: Arc<str>,
    /// Whether its last probe succeeded, no write to it was given up since, and it is not left alone. One that nobody has looked at yet counts as healthy.
    pub is_healthy: bool,
    /// How long the last probe took.
    pub latency: Option<Duration>,
    /// When that was.
    pub last_check: Option<Timestamp>,
    /// What is wrong with it.
    pub error: Option<String>,
    /// How its circuit stands now, if it has one.
    pub circuit: Option<CircuitState>,
}

impl Provider {
    /// Says in which place it is, so that the place can be asked whose it is.
    #[must_use]
    pub fn in_place(mut self, place: Arc<dyn Place>) -> Self {
        self.place = Some(place);
        self
    }

    /// Has it looked at that often while it is well.
    #[must_use]
    pub fn checked_every(mut self, interval: Duration) -> Self {
        self.check_interval = interval;
        self
    }

    /// Has another provider that stands by asked where a write stands still for that long.
    #[must_use]
    pub fn failing_over_after(mut self, patience: Duration) -> Self {
        self.failover_after = patience;
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

    /// The place in which it is, as far as that was said.
    pub(crate) fn place(&self) -> Option<&Arc<dyn Place>> {
        self.place.as_ref()
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
        let condition = self.condition.borrow().clone();
        let circuit = self.circuit.as_ref().map(|circuit| circuit.state());
        let cause = || self.circuit.as_ref().filter(|circuit| circuit.is_open())?.cause();
        ProviderStatus {
            provider: self.name().clone(),
            is_healthy: condition.is_well() && circuit != Some(CircuitState::Open),
            latency: condition.probed.map(|(_, latency)| latency),
            last_check: condition.probed.map(|(at, _)| at),
            error: condition.error.or_else(|| cause().map(|cause| cause.to_string())),
            circuit,
        }
    }

    /// Whether writes are likely to succeed there.
    pub fn is_healthy(&self) -> bool {
        self.condition.borrow().is_well() && self.circuit.as_ref().is_none_or(|circuit| !circuit.is_open())
    }

    /// Whether it is known not to answer: whatever is asked of it now would wait, and fail. One that refuses, or is full, does answer.
    pub(crate) fn is_away(&self) -> bool {
        let condition = self.condition.borrow();
        let is_open = self.circuit.as_ref().is_some_and(|circuit| circuit.is_open());
        is_open || condition.is_away && !condition.is_well()
    }

    /// Says so where it is away. Of an open circuit, the circuit tells.
    ///
    /// # Errors
    /// [`StorageError::ProviderUnavailable`].
    pub(crate) fn expect_answers(&self, operation: &'static str) -> Result<(), StorageError> {
        let ProviderStatus { provider, error, circuit, .. } = self.status();
        if !self.is_away() || circuit == Some(CircuitState::Open) {
            return Ok(());
        }
        let source = error.map(|error| Arc::new(Unhealthy(error)) as _);
        Err(StorageError::ProviderUnavailable { provider, operation, source })
    }

    /// Whether so much failed there in a row that somebody should look at it.
    pub(crate) fn is_suspicious(&self) -> bool {
        self.circuit.as_ref().is_some_and(|circuit| circuit.is_suspicious())
    }

    /// Ends when that may have come to be so; for one who waits.
    pub(crate) async fn turns_suspicious(&self) {
        match &self.circuit {
            Some(circuit) => circuit.turns_suspicious().await,
            None => std::future::pending().await,
        }
    }

    /// Whether reads are likely to succeed there: of what has a copy elsewhere, they need not be tried else.
    pub(crate) fn answers_reads(&self) -> bool {
        let still_until = *self.still_until.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_healthy() && still_until.is_none_or(|until| until <= Instant::now())
    }

    /// Notes that a read stood still there. It says nothing of writes: reads may have waited for their turn.
    pub(crate) fn stands_still(&self) {
        *self.still_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + UNWELL);
    }

    /// Ends when something is found to be wrong with it from now on.
    pub(crate) async fn turns_unwell(&self) {
        let mut condition = self.condition.subscribe();
        while condition.changed().await.is_ok() {
            if !condition.borrow_and_update().is_well() {
                return;
            }
        }
    }

    /// How long a write may stand still where another provider stands by.
    pub(crate) fn failover_after(&self) -> Duration {
        self.failover_after
    }

    /// Bytes of an upload that are kept in memory so that another provider can have them.
    pub(crate) fn resend_limit(&self) -> usize {
        self.resend_limit
    }

    /// Asks it how it is, and remembers what it says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn probe(&self) -> Result<(), BackendError> {
        let started = Instant::now();
        // IMPORTANT: guards have a limit of their own. They are not cut off before it, as the circuit would not hear of the failure.
        let outcome = match self.is_remote {
            true => self.backend.probe().await,
            false => match timeout(PROBE_PATIENCE, self.backend.probe()).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    metered::gave_up(self.name(), "probe");
                    Err(BackendError::TimedOut { operation: "probe", limit: PROBE_PATIENCE })
                }
            },
        };
        self.remember(Some(started.elapsed()), outcome.as_ref().err());
        outcome
    }

    /// Notes that a write failed for a reason that lies with the provider: others need not find that out for themselves.
    pub(crate) fn doubt(&self, error: &BackendError) {
        // Of a circuit, everybody knows.
        if !matches!(error, BackendError::CircuitOpen { .. }) {
            self.remember(None, Some(error));
        }
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

    fn remember(&self, latency: Option<Duration>, error: Option<&BackendError>) {
        let (mut before, mut after) = (None, None);
        let cause = self.circuit.as_ref().and_then(|circuit| circuit.cause());
        self.condition.send_modify(|condition| {
            before = condition.error.take();
            after = match (error, &before) {
                // That it is left alone says nothing new: what was wrong before is the reason.
                (Some(BackendError::CircuitOpen { .. }), Some(before)) => Some(before.clone()),
                (Some(error @ BackendError::CircuitOpen { .. }), None) => {
                    Some(cause.clone().map_or_else(|| error.to_string(), |cause| cause.to_string()))
                }
                (error, _) => error.map(ToString::to_string),
            };
            condition.error = after.clone();
            condition.is_away = match error {
                Some(BackendError::CircuitOpen { .. }) => true,
                error => error.is_some_and(BackendError::is_transient),
            };
            condition.unwell_until = after.as_ref().map(|_| Instant::now() + UNWELL);
            condition.probed = latency.map(|latency| (Utc::now(), latency)).or(condition.probed);
        });
        match (&before, &after) {
            (None, Some(error)) => tracing::warn!(provider = %self.name(), error, "provider is unhealthy"),
            (Some(_), None) => tracing::warn!(provider = %self.name(), "provider is healthy again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        let labels = [("backend", self.name().to_string())];
        metrics::gauge!("storage_backend_healthy", &labels).set(if after.is_none() { 1.0 } else { 0.0 });
    }
}

impl From<Arc<dyn StorageBackend>> for Provider {
    /// One without guards: a disk, or a part of a test.
    fn from(backend: Arc<dyn StorageBackend>) -> Self {
        Self {
            backend,
            place: None,
            circuit: None,
            is_remote: false,
            check_interval: DEFAULT_CHECK_INTERVAL,
            failover_after: DEFAULT_FAILOVER_AFTER,
            resend_limit: DISK_RESEND_LIMIT,
            condition: watch::Sender::new(Condition::default()),
            still_until: Mutex::new(None),
        }
    }
}

impl<B: StorageBackend> From<Arc<B>> for Provider {
    fn from(backend: Arc<B>) -> Self {
        Self::from(backend as Arc<dyn StorageBackend>)
    }
}

impl From<Guarded> for Provider {
    fn from(Guarded { backend, circuit, resend_limit }: Guarded) -> Self {
        Self { circuit, is_remote: true, resend_limit, ..Self::from(backend) }
    }
}

/// What a probe said, some time ago.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unhealthy(String);
