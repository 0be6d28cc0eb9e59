//! A server from its start to its end.
//!
//! Start: bind, secrets, database, provider, what a crash left, and only then the first request. End: no longer ready,
//! no new requests, running ones finish, jobs stop, the database is closed.

mod announce;
mod audit;
mod backup;
mod check;
mod doctor;
mod error;
mod identities;
mod inventory;
pub(crate) mod last_backup;
mod migrate;
mod open;
mod overlaps;
mod providers;
mod reload;
mod rules;
mod signals;
mod supervisor;
mod unfinished;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::AppState;
use crate::config::{Config, Loaded, Sources};
use crate::gauges::Gauges;
use crate::http::{Harness, HttpOptions, Listener, Shutdown};
use crate::routes;
use crate::s3;
use crate::secrets::Keys;
use crate::telemetry;
use crate::telemetry::traces::{Exporter, TraceLayer, TraceOptions};
use crate::webhooks::Courier;

pub use backup::{
    BackupError, BackupMade, BackupOptions, BackupProgress, Created, Losses, Manifest, RestoreOptions,
    Restored, Verified, create_backup, restore_backup, verify_backup,
};
pub use check::{check, remarks};
pub use doctor::{Finding, Severity, doctor};
pub use error::ServerError;
pub use identities::{TakenOver, take_over};
use reload::Reload;

pub use migrate::{Migration, Moved, MovedTable, Progress, migration};

/// Runs the server of the `aerostore` binary: logs to standard error, says on standard output when and where it is
/// ready, ends on SIGTERM or SIGINT, and reads `sources` again, which it was `loaded` from, on SIGHUP. Wants a runtime of several threads, one for each core.
///
/// # Errors
/// [`ServerError`], where it can't start.
pub async fn serve(loaded: Loaded, sources: Sources) -> Result<(), ServerError> {
    let config = loaded.config.clone();
    let (exporter, layer) = traces(&config)?.unzip();
    let logs = telemetry::init_logs(config.log.format, config.log.level, layer).map_err(ServerError::Logs)?;
    let (_flush, logs) = logs;
    let reload = Reload::new(sources, loaded, logs)?;
    let shutdown = Shutdown::default();
    let signals = tokio::spawn(signals::watch(shutdown.clone(), config.server.drain)?);
    let opened = tokio::select! {
        opened = Server::open(config) => opened,
        // Nobody was told yet that it is ready: there is nothing to drain.
        () = shutdown.draining() => return Ok(()),
    };
    // Whoever called says why it can't start: once.
    let server = Server { reload: Some(reload), exporter, ..opened? };
    announce::ready(&server).map_err(ServerError::Announce)?;
    supervisor::tell("READY=1");
    server.run(&shutdown).await;
    signals.abort();
    Ok(())
}

/// What sends traces and what makes them, where they are wanted.
fn traces(config: &Config) -> Result<Option<(Exporter, TraceLayer)>, ServerError> {
    let telemetry = &config.telemetry;
    let Some(endpoint) = &telemetry.otlp_endpoint else { return Ok(None) };
    let options = TraceOptions {
        endpoint: endpoint.0.clone(),
        service: telemetry.service_name.clone(),
        percent: telemetry.sample_percent,
    };
    Exporter::new(options).map(Some).map_err(ServerError::Traces)
}

/// A server that is ready and does not serve yet.
pub struct Server {
    app: AppState,
    listener: Listener,
    /// Where S3 is served besides.
    s3_listener: Option<Listener>,
    http: HttpOptions,
    new_keys: Option<Keys>,
    /// What reads the configuration again, where somebody may ask for it.
    reload: Option<Reload>,
    /// What sends traces, where they are wanted.
    exporter: Option<Exporter>,
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
        let Self { app, listener, s3_listener, http, new_keys, reload, exporter } = self;
        drop(new_keys);
        let (jobs, stop) = (TaskTracker::new(), CancellationToken::new());
        jobs.spawn(app.figures.clone().upkeep(stop.clone()));
        let disks = open::disks(&app.config);
        let per_user = app.config.metrics.usage_per_user;
        let gauges = Gauges::new(app.storage.clone(), disks, app.config.data_dir.clone(), per_user);
        jobs.spawn(gauges.run(stop.clone()));
        jobs.spawn(inventory::look(app.storage.clone(), stop.clone()));
        jobs.spawn(Courier::new(app.clone(), stop.clone()).run());
        let harness = Arc::new(Harness::new(routes::all(&app), &http).telling(app.audit.clone()));
        let of_s3 = HttpOptions { own_cors_below: Some(""), ..http.clone() };
        let s3_harness = Arc::new(Harness::new(s3::own_listener(&app), &of_s3).telling(app.audit.clone()));
        if let Some(reload) = reload {
            jobs.spawn(reload.run(app.clone(), vec![harness.clone(), s3_harness.clone()], stop.clone()));
        }
        if let Some(exporter) = exporter {
            jobs.spawn(exporter.run(stop.clone()));
        }
        jobs.close();
        let s3 = async {
            if let Some(listener) = s3_listener {
                listener.serve(s3_harness, &of_s3, shutdown).await;
            }
        };
        // Streams of events have no end of their own, and would be waited for.
        let streams = async {
            shutdown.stopping().await;
            app.storage.end_subscriptions();
        };
        let drained = async {
            shutdown.draining().await;
            app.readiness.end();
        };
        tokio::join!(listener.serve(harness, &http, shutdown), s3, streams, drained);
        let end = async {
            app.health_checks.stop().await;
            app.upkeep.stop().await;
            // The jobs read the storage: they end before it does.
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
