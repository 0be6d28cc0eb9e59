//! SIGTERM and SIGINT: the first one politely, the second one at once. Where there is a time to drain, the first one begins it, and the
//! next one ends it.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{ServerError, supervisor};
use crate::http::Shutdown;

/// Passes signals on, for as long as it is polled. From this call on, they no longer kill the process.
pub(super) fn watch(
    shutdown: Shutdown,
    drain: Duration,
) -> Result<impl Future<Output = ()> + Send, ServerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Signals)?;
    Ok(async move {
        let name = next(&mut terminate, &mut interrupt).await;
        supervisor::tell("STOPPING=1");
        shutdown.drain();
        if !drain.is_zero() {
            let seconds = drain.as_secs_f64();
            tracing::info!(
                signal = name,
                seconds,
                "no longer ready; requests are taken until the drain ends, or the same comes again"
            );
            tokio::select! {
                () = tokio::time::sleep(drain) => {}
                _ = next(&mut terminate, &mut interrupt) => {}
            }
        }
        tracing::info!(signal = name, "stopping; the same again stops at once");
        shutdown.stop();
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = name, "stopping at once");
        shutdown.cut();
    })
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
