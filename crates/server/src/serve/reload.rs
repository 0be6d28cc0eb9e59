//! SIGHUP: the configuration is read again, and what can change in a running server does.
//!
//! All or nothing: everything new is made before anything of it is put in force, so that a mistake leaves the server as it was.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{ServerError, open, rules};
use crate::app::AppState;
use crate::auth::Authenticator;
use crate::config::{Config, ConfigErrors, Loaded, Sources};
use crate::http::Harness;
use crate::s3;
use crate::secrets::Secrets;
use crate::telemetry::LogControl;

/// What reads the configuration again.
pub(super) struct Reload {
    signal: Signal,
    sources: Sources,
    /// What is in force.
    config: Config,
    /// Whether a file has a part in it.
    has_file: bool,
    logs: LogControl,
}

/// Parts that are ready to take the place of those in force.
struct Prepared {
    config: Config,
    has_file: bool,
    secrets: Secrets,
    authenticator: Authenticator,
    s3_keys: s3::Keys,
    taken: Vec<&'static str>,
    left: Vec<&'static str>,
}

/// Why everything stays as it was.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("it could not be read")]
    Unread(#[from] tokio::task::JoinError),
}

impl Reload {
    /// From this call on, SIGHUP no longer kills the process.
    pub(super) fn new(sources: Sources, loaded: Loaded, logs: LogControl) -> Result<Self, ServerError> {
        let signal = signal(SignalKind::hangup()).map_err(ServerError::Signals)?;
        Ok(Self { signal, sources, has_file: loaded.file.is_some(), config: loaded.config, logs })
    }

    /// Reads again whenever it is asked for, until stopped.
    pub(super) async fn run(mut self, app: AppState, harnesses: Vec<Arc<Harness>>, stop: CancellationToken) {
        while let Some(Some(())) = stop.run_until_cancelled(self.signal.recv()).await {
            match self.prepare(&app).await {
                Ok(prepared) => {
                    self.put_in_force(&app, &harnesses, prepared);
                    rules::warn(&app.storage, &self.config).await;
                }
                Err(Refusal::Config(mistakes)) => {
                    for mistake in mistakes.0 {
                        tracing::error!(%mistake, "configuration not reloaded; what was in force stays");
                    }
                }
                Err(error @ (Refusal::Server(_) | Refusal::Unread(_))) => {
                    let cause = std::error::Error::source(&error);
                    tracing::error!(%error, cause, "configuration not reloaded; what was in force stays");
                }
            }
        }
    }

    async fn prepare(&self, app: &AppState) -> Result<Prepared, Refusal> {
        let (sources, was, had_file) = (self.sources.clone(), self.config.clone(), self.has_file);
        let read = move || {
            let read = Config::load_again(&sources, had_file)?;
            let (config, taken, left) = was.adopt(&read.config);
            let secrets = Secrets::open(&config).map_err(ServerError::from)?;
            Ok::<_, Refusal>((config, read.file.is_some(), secrets, taken, left))
        };
        let (config, has_file, secrets, taken, left) = tokio::task::spawn_blocking(read).await??;
        let before = app.authenticator.load_full();
        let made = before.successor(&self.config.auth, &config.auth, secrets.jwt(), secrets.previous_jwt());
        let authenticator = made.await.map_err(ServerError::from)?;
        let anon_key = secrets.keys().map_err(ServerError::from)?.anon_key;
        let s3_keys = s3::Keys::new(secrets.first_s3_key(), &anon_key);
        // Last of what can fail, and only where it changes: servers that share the database share these.
        if taken.iter().any(|key| key.starts_with("quotas.") || *key == "storage.quota_enforcement") {
            let configured = app.storage.configure_quotas(&open::quota_settings(&config)).await;
            configured.map_err(ServerError::Database)?;
        }
        Ok(Prepared { config, has_file, secrets, authenticator, s3_keys, taken, left })
    }

    /// Nothing in here fails.
    fn put_in_force(&mut self, app: &AppState, harnesses: &[Arc<Harness>], prepared: Prepared) {
        let Prepared { config, has_file, secrets, authenticator, s3_keys, taken, left } = prepared;
        app.storage.reconfigure(open::storage_options(&config), secrets.signing_keys());
        app.upkeep.reconfigure(open::upkeep_options(&config));
        app.rate_limits.change(&config.rate_limit);
        app.authenticator.store(Arc::new(authenticator));
        app.s3_keys.store(Arc::new(s3_keys));
        // Who was let in by what is in force no more comes again, and is not. After what lets in is new.
        app.storage.renew_subscriptions();
        app.allowed_origins.store(Arc::new(config.cors.allowed_origins.clone()));
        for harness in harnesses {
            harness.allow_origins(&config.cors.allowed_origins);
        }
        self.logs.set_level(config.log.level);
        (self.config, self.has_file) = (config, has_file);
        tracing::info!(changed = taken.join(", "), "configuration reloaded");
        if !left.is_empty() {
            tracing::warn!(keys = left.join(", "), "these settings differ, and wait for a restart");
        }
    }
}
