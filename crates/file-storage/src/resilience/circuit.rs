//! How a provider's circuit stands: closed → open after failures in a row → after a while half-open, which lets exactly one
//! call through → closed, or open again.
//!
//! One blob that its store does not give says little about all others. So of a blob that is there already, failures count once,
//! however often it is asked for; where they are many all the same, a look at the provider is asked for, and decides. Of what is new, each
//! failure counts, as it can't be the blob's.
//!
//! **Who tries while it is half-open:** whoever comes first, a caller or the look that is taken at an unwell provider every few seconds
//! (see [`crate::health`]). A look does not wait for a call that tries: it tries, too, and what is known first counts. A call about one blob
//! closes the circuit if it succeeds, and decides nothing if it fails.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backend::BackendError;
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

/// What a call is about, and so what its failure says.
#[derive(Debug, Clone, Copy)]
pub(super) enum About<'a> {
    /// A blob that is there already: it may be the only one that is ill.
    Blob(&'a BlobKey),
    /// Something new, or the provider as a whole.
    Provider,
    /// How the provider is: that is what it asks for.
    Look,
}

impl<'a> About<'a> {
    /// The blob that it is, if it is one.
    pub(super) fn of(blob: Option<&'a BlobKey>) -> Self {
        blob.map_or(Self::Provider, Self::Blob)
    }
}

/// The state that all calls of a provider share.
pub struct Circuit {
    provider: Arc<str>,
    options: CircuitOptions,
    state: Mutex<State>,
    /// Rings where a look at the provider is wanted.
    suspicion: Notify,
}

enum State {
    Closed(Failures),
    Open {
        until: Instant,
        cause: Arc<str>,
    },
    /// One call is on its way, and everybody else waits for its outcome.
    Trying {
        cause: Arc<str>,
    },
}

/// Failures since the last success.
#[derive(Default)]
struct Failures {
    /// All of them.
    in_a_row: u32,
    /// Those that count: of each blob that is there, one.
    counted: u32,
    /// These blobs. No more than open the circuit.
    blobs: Vec<BlobKey>,
}

impl Failures {
    fn add(&mut self, about: About<'_>) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        match about {
            About::Blob(key) if self.blobs.contains(key) => return,
            About::Blob(key) => self.blobs.push(key.clone()),
            About::Provider | About::Look => {}
        }
        self.counted = self.counted.saturating_add(1);
    }
}

/// Leave to make one call. Says how it went, or is dropped where that says nothing about the provider.
#[must_use]
pub(super) struct Pass<'a> {
    circuit: &'a Circuit,
    about: About<'a>,
    /// Whether this is the call that a half-open circuit lets through, and has not told yet.
    is_trial: bool,
}

impl Circuit {
    /// A closed one.
    pub fn new(provider: Arc<str>, options: CircuitOptions) -> Arc<Self> {
        let state = Mutex::new(State::Closed(Failures::default()));
        let circuit = Self { provider, options, state, suspicion: Notify::new() };
        circuit.show(CircuitState::Closed);
        Arc::new(circuit)
    }

    /// How it stands.
    pub fn state(&self) -> CircuitState {
        match &*self.lock() {
            State::Closed(_) => CircuitState::Closed,
            State::Trying { .. } => CircuitState::HalfOpen,
            State::Open { until, .. } if *until <= Instant::now() => CircuitState::HalfOpen,
            State::Open { .. } => CircuitState::Open,
        }
    }

    /// Whether calls are refused now.
    pub fn is_open(&self) -> bool {
        self.state() == CircuitState::Open
    }

    /// The failure that opened it; `None` while it is closed.
    pub fn cause(&self) -> Option<Arc<str>> {
        match &*self.lock() {
            State::Closed(_) => None,
            State::Open { cause, .. } | State::Trying { cause } => Some(cause.clone()),
        }
    }

    /// Whether so much failed in a row that the provider may be ill: a look at it tells.
    pub fn is_suspicious(&self) -> bool {
        match &*self.lock() {
            State::Closed(failures) => failures.in_a_row >= self.options.failures,
            State::Open { .. } | State::Trying { .. } => false,
        }
    }

    /// Ends when a look at the provider is wanted; for one who waits. May end without need: see [`Circuit::is_suspicious`].
    pub(crate) async fn turns_suspicious(&self) {
        self.suspicion.notified().await;
    }

    /// Counts a failure of a call that did not pass here: of a part of an operation, about a blob that is there already if one is
    /// named.
    pub fn record_failure(&self, blob: Option<&BlobKey>, error: &dyn Display) {
        self.failed(About::of(blob), false, error);
    }

    /// Counts such a call's success.
    pub fn record_success(&self) {
        if let State::Closed(failures) = &mut *self.lock() {
            *failures = Failures::default();
        }
    }

    /// Leave to make a call; else when to ask again.
    pub(super) fn enter<'a>(&'a self, about: About<'a>) -> Result<Pass<'a>, Duration> {
        let mut state = self.lock();
        let is_trial = match &*state {
            State::Closed(_) => false,
            // A call that tries may take minutes.
            State::Trying { .. } if matches!(about, About::Look) => true,
            State::Trying { .. } => return Err(Duration::from_secs(1)),
            State::Open { until, cause } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                *state = State::Trying { cause: cause.clone() };
                true
            }
        };
        drop(state);
        if is_trial {
            let by = if matches!(about, About::Look) { "a look at it" } else { "a call" };
            tracing::info!(provider = %self.provider, by, "circuit half-open: one call is let through");
            self.show(CircuitState::HalfOpen);
        }
        Ok(Pass { circuit: self, about, is_trial })
    }

    fn failed(&self, about: About<'_>, was_trial: bool, error: &dyn Display) {
        let mut state = self.lock();
        let (opens, is_suspicious) = match &mut *state {
            State::Closed(failures) => {
                failures.add(about);
                let is_suspicious = failures.in_a_row >= self.options.failures;
                let is_confirmed = is_suspicious && matches!(about, About::Look);
                (failures.counted >= self.options.failures || is_confirmed, is_suspicious)
            }
            State::Trying { cause } if was_trial && matches!(about, About::Blob(_)) => {
                *state = State::Open { until: Instant::now(), cause: cause.clone() };
                (false, false)
            }
            State::Trying { .. } => (was_trial, false),
            // A call that began before.
            State::Open { .. } => (false, false),
        };
        if opens {
            let cause: Arc<str> = error.to_string().into();
            *state = State::Open { until: Instant::now() + self.options.open_for, cause: cause.clone() };
            drop(state);
            let seconds = self.options.open_for.as_secs();
            tracing::error!(provider = %self.provider, seconds, error = %cause, "circuit opened");
            let labels = [("backend", self.provider.to_string())];
            metrics::counter!("storage_backend_circuit_opened_total", &labels).increment(1);
            self.show(CircuitState::Open);
        } else if is_suspicious {
            drop(state);
            self.suspicion.notify_one();
        }
    }

    fn succeeded(&self, was_trial: bool) {
        let mut state = self.lock();
        match &mut *state {
            State::Closed(failures) => *failures = Failures::default(),
            State::Trying { .. } if was_trial => {
                *state = State::Closed(Failures::default());
                drop(state);
                tracing::warn!(provider = %self.provider, "circuit closed");
                self.show(CircuitState::Closed);
            }
            // A call that began before it opened says nothing about now.
            State::Trying { .. } | State::Open { .. } => {}
        }
    }

    /// The one call that was let through ended without telling: the next one may.
    fn abandoned(&self) {
        let mut state = self.lock();
        if let State::Trying { cause } = &*state {
            *state = State::Open { until: Instant::now(), cause: cause.clone() };
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

impl Pass<'_> {
    /// Says how the call went.
    pub(super) fn tell<T>(mut self, outcome: &Result<T, BackendError>) {
        match outcome {
            Err(error) if error.is_transient() => self.circuit.failed(self.about, self.is_trial, error),
            // Of these, none says how the provider is.
            Err(
                BackendError::Body(_) | BackendError::Overloaded { .. } | BackendError::CircuitOpen { .. },
            ) => {
                return;
            }
            Ok(_) | Err(_) => self.circuit.succeeded(self.is_trial),
        }
        self.is_trial = false;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            self.circuit.abandoned();
        }
    }
}
