//! Decorators of a backend for when a provider is slow, broken or gone (SPEC 8), and the one place where they are put
//! together. From the outside in: retry → circuit breaker → concurrency limit → timeout → the provider. So each attempt
//! passes the breaker, and an open one ends the retries; a slot is held by running attempts and not by waiting ones;
//! and waiting for a slot is no time of the operation. Around them, where another provider stands by, is `failover`,
//! which is no decorator: what it writes has another place then.
//!
//! May use any [`StorageBackend`]; knows no provider of its own.

mod circuit;
mod circuit_breaker;
mod concurrency;
pub(crate) mod failover;
mod retry;
pub(crate) mod tape;
mod timeout;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{Act, Backend};

use std::sync::Arc;

pub use circuit::{Circuit, CircuitOptions, CircuitState};
pub use circuit_breaker::CircuitBreaker;
pub use concurrency::{ConcurrencyLimit, ConcurrencyOptions};
pub use retry::{Attempts, Retry, RetryOptions};
pub use timeout::{Timeout, TimeoutOptions};

use crate::backend::StorageBackend;
use crate::backend::metered::Metered;

/// How one provider is guarded. The defaults are those of SPEC 8 for remote providers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ResilienceOptions {
    /// How often and when the same is tried again.
    pub retry: RetryOptions,
    /// When the provider is left alone; `None` asks it always.
    pub circuit: Option<CircuitOptions>,
    /// How much it is asked at once.
    pub concurrency: ConcurrencyOptions,
    /// How long operations may stand still.
    pub timeout: TimeoutOptions,
    /// Largest body that is kept in memory to be sent again, in bytes. The provider sends larger ones in parts, and each
    /// part again by itself.
    pub resend_limit: usize,
}

impl ResilienceOptions {
    /// What holds for a remote provider where nothing is said.
    pub fn remote() -> Self {
        Self {
            circuit: Some(CircuitOptions::default()),
            resend_limit: crate::backend::remote::DEFAULT_STREAM_THRESHOLD,
            ..Self::default()
        }
    }
}

/// A provider with its guards, and the state of one of them.
pub struct Guarded {
    /// The provider.
    pub backend: Arc<dyn StorageBackend>,
    /// Whether it is left alone.
    pub circuit: Option<Arc<Circuit>>,
    /// Largest body that is kept in memory to be sent again, in bytes.
    pub resend_limit: usize,
}

/// Puts a provider and its guards together. `open` gives the provider what it needs to try parts of an operation again
/// by itself.
///
/// # Errors
/// Those of opening the provider.
pub fn guarded<B: StorageBackend, E>(
    name: &Arc<str>,
    options: ResilienceOptions,
    open: impl FnOnce(Attempts) -> Result<B, E>,
) -> Result<Guarded, E> {
    let circuit = options.circuit.map(|options| Circuit::new(name.clone(), options));
    let provider = open(Attempts::new(name.clone(), options.retry, circuit.clone()))?;
    let timed = Timeout::new(Metered::new(provider), options.timeout);
    let limited = ConcurrencyLimit::new(timed, options.concurrency);
    let attempts = Attempts::new(name.clone(), options.retry, None);
    let backend: Arc<dyn StorageBackend> = match &circuit {
        Some(circuit) => {
            let broken = CircuitBreaker::new(limited, circuit.clone());
            Arc::new(Retry::new(broken, attempts, options.resend_limit))
        }
        None => Arc::new(Retry::new(limited, attempts, options.resend_limit)),
    };
    Ok(Guarded { backend, circuit, resend_limit: options.resend_limit })
}
