//! A server from its start to its end.
//!
//! Start: bind, secrets, database, provider, what a crash left, and only then the first request. End: no new
//! requests, running ones finish, jobs stop, the database is closed.

mod announce;
mod check;
mod directories;
mod error;
mod inventory;
mod migrate;
mod open;
mod providers;
mod signals;

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::AppState;
use crate::config::Config;
use crate::http::{Harness, HttpOptions, Listener, Shutdown};
use crate::routes;
use crate::s3;
use crate::secrets::Keys;
use crate::telemetry;

pub use check::check;
pub use error::ServerError;
pub use migrate::{Migration, Moved, MovedTable, Progress, migration};

/// Runs the server of the `aerostore` binary: logs to standard error, says on standard output when and where it is
/// ready, and ends on SIGTERM or SIGINT. Wants a runtime of several threads, one for each core.
///
/// # Errors
/// [`ServerError`], where it can't start.
pub async fn serve(config: Config) -> Result<(), ServerError> {
    let _flush = telemetry::init_logs(config.log.format, config.log.level).map_err(ServerError::Logs)?;
    let shutdown = Shutdown::default();
    let signals = tokio::spawn(signals::watch(shutdown.clone())?);
    let opened = tokio::select! {
        opened = Server::open(config) => opened,
        () = shutdown.stopping() => return Ok(()),
    };
    // Whoever called says why it can't start: once.
    let server = opened?;
    announce::ready(&server).map_err(ServerError::Announce)?;
    server.run(&shutdown).await;
    signals.abort();
    Ok(())
}

/// A server that is ready and does not serve yet.
pub struct Server {
    app: AppState,
    listener: Listener,
    /// Where S3 is served besides.
    s3_listener: Option<Listener>,
    http: HttpOptions,
    new_keys: Option<Keys>,
}

impl Server {
    /// Opens everything, and finishes or undoes what a crash interrupted. Clients may connect from then on; they
    /// are answered by [`Server::run`].
    ///
    /// # Errors
    /// [`ServerError`], saying what is in the way.
    pub async fn open(config: Config) -> Result<Self, ServerError> {
        open::open(config).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Where S3 is served besides, at `/`.
    pub fn s3_address(&self) -> Option<SocketAddr> {
        self.s3_listener.as_ref().map(Listener::address)
    }

    /// The keys that this start made; `None` if they were there before.
    pub fn new_keys(&self) -> Option<&Keys> {
        self.new_keys.as_ref()
    }

    /// Serves until told to stop; then ends in order.
    pub async fn run(self, shutdown: &Shutdown) {
        let Self { app, listener, s3_listener, http, new_keys } = self;
        drop(new_keys);
        let (jobs, stop) = (TaskTracker::new(), CancellationToken::new());
        jobs.spawn(app.figures.clone().upkeep(stop.clone()));
        jobs.spawn(inventory::look(app.storage.clone(), stop.clone()));
        jobs.close();
        let harness = Harness::new(routes::all(&app), &http);
        let s3 = async {
            if let Some(listener) = s3_listener {
                let http = HttpOptions { own_cors_below: Some(""), ..http.clone() };
                listener.serve(Harness::new(s3::own_listener(&app), &http), &http, shutdown).await;
            }
        };
        tokio::join!(listener.serve(harness, &http, shutdown), s3);
        let end = async {
            app.health_checks.stop().await;
            app.upkeep.stop().await;
            stop.cancel();
            jobs.wait().await;
            app.storage.close().await;
        };
        tokio::select! {
            () = end => tracing::info!("stopped"),
            () = shutdown.abandoning() => tracing::warn!("stopped at once; the next start cleans up"),
        }
    }
}
