//! Writes that another provider stands by for: given up where they stand still, so that the other one may have them.
//!
//! The time is that of the provider. It does not run while the client's bytes are waited for; nor while a write waits for a
//! slot, as nothing of its body is read before it has one. A write that waits goes on to the other provider once this one
//! is found to be unwell by somebody else. As nobody sees how fast bytes leave, a slow line is given more time for
//! more bytes.
//!
//! What was taken of a body is on a [`Tape`]. Where that is not whole any more, the other provider can't have the body, and
//! giving up costs the client its upload: so the clock does not decide that, but the provider, which is asked how it is. It
//! gives an answer, and keeps the write, or gives none: then the write ends, as it holds up whoever waits for its place.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::tape::Tape;
use crate::backend::provider::Provider;
use crate::backend::{BackendError, BlobWritten, metered};
use crate::body::ByteStream;
use crate::file::BlobKey;

/// What a line is thought to carry at least.
const BYTES_PER_SECOND: u64 = 1_000_000;

/// Writes a blob to a provider that another one stands by for: `body`, which is what is played of the tape.
///
/// # Errors
/// As [`crate::backend::StorageBackend::write`]; and [`BackendError::TimedOut`] where it stood still,
/// [`BackendError::CircuitOpen`] where it had not begun before the provider was found to be unwell.
pub(crate) async fn write(
    provider: &Provider,
    key: &BlobKey,
    tape: &Tape,
    body: ByteStream,
    size_hint: Option<u64>,
) -> Result<BlobWritten, BackendError> {
    let turns = Arc::new(Turns(Mutex::new(Turn { whose: Whose::Nobodys, taken: 0 })));
    let body = watched(body, turns.clone());
    let limit = provider.failover_after();
    let given_up = async {
        stands_still(provider, &turns, tape).await;
        metered::gave_up(provider.name(), "write");
        let error = BackendError::TimedOut { operation: "write", limit };
        // IMPORTANT: said before the write is dropped and its slot is free: whoever waits for that must not take it.
        provider.doubt(&error);
        error
    };
    tokio::select! {
        biased;
        () = is_overtaken(provider, &turns) => {
            Err(BackendError::CircuitOpen { operation: "write", retry_after: Duration::ZERO })
        }
        outcome = provider.backend().write(key, body, size_hint) => outcome,
        error = given_up => Err(error),
    }
}

/// Whether another provider may do better: not with a body that failed; and what is busy is not ill.
pub(crate) fn is_the_providers(error: &BackendError) -> bool {
    match error {
        BackendError::Body(_) | BackendError::Overloaded { .. } => false,
        BackendError::NotFound
        | BackendError::DiskFull
        | BackendError::Io { .. }
        | BackendError::Refused { .. }
        | BackendError::Unavailable { .. }
        | BackendError::TimedOut { .. }
        | BackendError::CircuitOpen { .. } => true,
    }
}

/// Whose turn it is in a write.
struct Turns(Mutex<Turn>);

#[derive(Clone, Copy)]
struct Turn {
    whose: Whose,
    /// Bytes that were taken.
    taken: u64,
}

#[derive(Clone, Copy)]
enum Whose {
    /// It has not begun.
    Nobodys,
    /// The client's bytes are waited for.
    TheClients,
    /// The provider has bytes to keep since then.
    TheProviders(Instant),
}

impl Turns {
    fn get(&self) -> Turn {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, whose: Whose, taken: usize) {
        let mut turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *turn = Turn { whose, taken: turn.taken.saturating_add(taken as u64) };
    }
}

impl Turn {
    /// Since when the provider stands still.
    fn since(self) -> Option<Instant> {
        match self.whose {
            Whose::Nobodys | Whose::TheClients => None,
            Whose::TheProviders(since) => Some(since),
        }
    }

    /// The time that a line may take for what was taken.
    fn allowance(self) -> Duration {
        Duration::from_millis(self.taken.saturating_mul(1000) / BYTES_PER_SECOND)
    }
}

/// A body that notes who waits for whom.
fn watched(mut body: ByteStream, turns: Arc<Turns>) -> ByteStream {
    stream::poll_fn(move |context| {
        let polled = body.as_mut().poll_next(context);
        match &polled {
            Poll::Pending => turns.set(Whose::TheClients, 0),
            Poll::Ready(chunk) => {
                let taken = chunk.as_ref().and_then(|chunk| chunk.as_ref().ok()).map_or(0, Bytes::len);
                turns.set(Whose::TheProviders(Instant::now()), taken);
            }
        }
        polled
    })
    .boxed()
}

/// Ends when a provider has stood still for too long; with a body that no other one can have, when it gives no answer either.
async fn stands_still(provider: &Provider, turns: &Turns, tape: &Tape) {
    let limit = provider.failover_after();
    // Since when it stood still when it was asked, and how long it may until it is asked again.
    let mut asked = (None, limit);
    loop {
        let now = Instant::now();
        let turn = turns.get();
        let is_whole = tape.is_whole();
        let patience = match turn.since() {
            _ if is_whole => limit + turn.allowance(),
            since if since == asked.0 => asked.1,
            _ => limit,
        };
        match turn.since().map(|since| since + patience) {
            Some(deadline) if deadline <= now => {
                // It may have gone on while it was asked.
                if is_whole || !answers(provider).await && turns.get().since() == turn.since() {
                    return;
                }
                asked = (turn.since(), patience.saturating_mul(2));
            }
            // Another look, at the latest when it could have stood still for as long.
            deadline => sleep_until(deadline.unwrap_or(now + limit)).await,
        }
    }
}

/// Ends when a provider that somebody waits for gives no answer any more. It is asked from time to time, ever less often.
pub(crate) async fn falls_silent(provider: &Provider) {
    let mut until_asked = provider.failover_after();
    loop {
        sleep(until_asked).await;
        if !answers(provider).await {
            return;
        }
        until_asked = until_asked.saturating_mul(2);
    }
}

/// Whether a provider says how it is, and is well, within the time that a write may stand still.
async fn answers(provider: &Provider) -> bool {
    if provider.is_away() {
        return false;
    }
    match timeout(provider.failover_after(), provider.probe()).await {
        Ok(outcome) => outcome.is_ok(),
        Err(_) => {
            metered::gave_up(provider.name(), "probe");
            false
        }
    }
}

/// Ends when a provider is found to be unwell before the write has begun.
async fn is_overtaken(provider: &Provider, turns: &Turns) {
    provider.turns_unwell().await;
    if !matches!(turns.get().whose, Whose::Nobodys) {
        pending::<()>().await;
    }
}
