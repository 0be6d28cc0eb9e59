//! The start of a server, in its order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use file_storage::backend::originals::AllowedDirectories;
use file_storage::executor::Executor;
use file_storage::executor::postgres::{PostgresAddress, PostgresExecutor, PostgresOptions};
use file_storage::executor::sqlite::{SqliteExecutor, SqliteOptions, Synchronous};
use file_storage::health::HealthChecks;
use file_storage::permissions::AccessRules;
use file_storage::quota::{QuotaEnforcement, QuotaSettings};
use file_storage::storage::{
    BatchOptions, CacheOptions, EventOptions, JobOptions, LifecycleOptions, QueryOptions, QueueOptions,
    ScrubOptions, StorageOptions, WarmingOptions,
};
use file_storage::upkeep::{EventRetention, LifecycleSchedule, Upkeep, UpkeepOptions};
use file_storage::{FileStorage, StorageError, failpoint};

use super::{Server, ServerError, audit, check, identities, overlaps, providers, rules, unfinished};
use crate::app::{App, AppState};
use crate::auth::Authenticator;
use crate::client_address::Proxies;
use crate::config::{BucketCreation, ByteSize, Config, Database, Durability, Enforcement, TimeOfDay};
use crate::health::Readiness;
use crate::http::{HttpOptions, Listener};
use crate::rate_limit::RateLimits;
use crate::s3;
use crate::secrets::Secrets;
use crate::telemetry::Figures;
use crate::webhooks::Webhooks;

/// The metadata's file, in the data directory.
const DATABASE_FILE: &str = "metadata.sqlite";

/// Where it is noted, in the data directory, which lists are asked for most.
const LISTS_FILE: &str = "lists-asked-for.json";

pub(super) async fn open(config: Config) -> Result<Server, ServerError> {
    // Before anything is made: a second server on the same address must not touch the first one's data.
    let listener = listen(&config.listen.0).await?;
    let s3_listener = match &config.s3.listen {
        Some(address) => Some(listen(&address.0).await?),
        None => None,
    };
    unfinished::refuse(&config.data_dir)?;
    overlaps::refuse(&config)?;
    let figures = Figures::install()?;
    let secrets = Secrets::open_or_create(&config)?;
    let new_keys = secrets.created().then(|| secrets.keys()).transpose()?;
    let authenticator = Authenticator::start(&config.auth, secrets.jwt(), secrets.previous_jwt()).await?;

    let webhooks = Webhooks::new(&config.webhooks).map_err(ServerError::Webhooks)?;
    let s3_keys = s3::Keys::new(secrets.first_s3_key(), &secrets.keys()?.anon_key);

    // Before the database is brought to this version: what can't start leaves it to the one before.
    let audit = audit::open(&config).map_err(ServerError::Audit)?;
    let executor = executor(&config).await.map_err(ServerError::Database)?;
    let foreign = identities::foreign(&config, &*executor).await?;
    let (providers, keys) = (providers::open(&config, &foreign)?, secrets.signing_keys());
    let (credential_key, options) = (secrets.credential_key(), storage_options(&config));
    let storage = if audit.is_some() || config.telemetry.otlp_endpoint.is_some() {
        FileStorage::watched(executor.clone(), audit.clone(), providers, keys, credential_key, options)
    } else {
        FileStorage::new(executor.clone(), providers, keys, credential_key, options)
    };
    let settled = storage.recover().await.map_err(ServerError::Recovery)?;
    if providers::active_is_remote(&config) {
        check_active(&storage).await?;
    }
    rules::warn(&storage, &config).await;
    if let Some(said) = check::short_grace(&config) {
        tracing::warn!("{said}");
    }
    // Last of what can fail: these are also the settings of servers that share the database, and run.
    executor.configure_quotas(&quota_settings(&config)).await.map_err(ServerError::Database)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        data_dir = %config.data_dir.display(),
        address = %listener.address(),
        unsettled_blobs = settled,
        "start-up check done"
    );

    let app = AppState::new(App {
        upkeep: Upkeep::start(&storage, upkeep_options(&config)),
        health_checks: HealthChecks::start(&storage),
        readiness: Readiness::new(storage.clone()),
        storage,
        authenticator: ArcSwap::from_pointee(authenticator),
        s3_keys: ArcSwap::from_pointee(s3_keys),
        allowed_origins: ArcSwap::from_pointee(config.cors.allowed_origins.clone()),
        s3_documents: s3::Budget::default(),
        rate_limits: RateLimits::new(&config.rate_limit),
        proxies: Proxies::new(&config.server.trusted_proxies),
        webhooks,
        figures,
        audit,
        config,
    });
    let http = http_options(&app.config);
    Ok(Server { app, listener, s3_listener, http, new_keys, reload: None, exporter: None })
}

/// Asks the provider that new bytes go to whether it takes them. One that refuses, for a wrong key or a bucket that is not
/// there, would refuse every upload: that stops the start. One that can't be reached may be reached in a minute.
async fn check_active(storage: &FileStorage) -> Result<(), ServerError> {
    match storage.probe_active().await {
        Ok(()) => Ok(()),
        Err(error) if error.is_retryable() => {
            let cause = std::error::Error::source(&error);
            tracing::error!(provider = %storage.active_provider(), %error, cause, "the active provider does not answer; starting all the same");
            Ok(())
        }
        Err(error) => Err(ServerError::ActiveProvider { name: storage.active_provider().to_string(), error }),
    }
}

/// Binds the first address that the configured host has.
async fn listen(address: &str) -> Result<Listener, ServerError> {
    let bound = async {
        let mut addresses = tokio::net::lookup_host(address).await?;
        let first: SocketAddr =
            addresses.next().ok_or_else(|| std::io::Error::other("the host has no address"))?;
        Listener::bind(first)
    };
    bound.await.map_err(|source| ServerError::Listen { address: address.to_owned(), source })
}

/// Where SQLite's file is, if that is the engine.
pub(super) fn database_path(config: &Config) -> Option<PathBuf> {
    match &config.database {
        Database::Sqlite(path) => Some(sqlite_path(config, path.as_deref())),
        Database::Postgres(_) => None,
    }
}

/// The directories whose disks are watched, each with the label that its figures have.
pub(super) fn disks(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let database = database_path(config).and_then(|path| path.parent().map(Path::to_owned));
    let database = database.filter(|folder| *folder != config.data_dir);
    let elsewhere = database.map(|folder| {
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        ("database", folder)
    });
    let audit = config.audit.directory.clone().map(|folder| ("audit", folder));
    std::iter::once(("blobs", config.data_dir.clone())).chain(elsewhere).chain(audit).collect()
}

/// Opens the metadata, on the engine that is configured.
pub(super) async fn executor(config: &Config) -> Result<Arc<dyn Executor>, StorageError> {
    Ok(match &config.database {
        Database::Sqlite(path) => {
            Arc::new(SqliteExecutor::open(sqlite(config, sqlite_path(config, path.as_deref())))?)
        }
        Database::Postgres(address) => Arc::new(PostgresExecutor::open(postgres(config, address)).await?),
    })
}

/// Where SQLite's file is, or would be: also for a server that is configured for another engine by now.
pub(super) fn sqlite_file(config: &Config) -> PathBuf {
    database_path(config).unwrap_or_else(|| sqlite_path(config, None))
}

fn sqlite_path(config: &Config, configured: Option<&Path>) -> PathBuf {
    configured.map_or_else(|| config.data_dir.join(DATABASE_FILE), Path::to_owned)
}

fn sqlite(config: &Config, path: PathBuf) -> SqliteOptions {
    let synchronous = match config.storage.durability {
        Durability::Full => Synchronous::Full,
        Durability::Relaxed => Synchronous::Relaxed,
    };
    let queries = usize::try_from(config.query.concurrency).unwrap_or(usize::MAX);
    SqliteOptions { synchronous, queries, ..SqliteOptions::new(path) }
}

pub(super) fn postgres(config: &Config, address: &PostgresAddress) -> PostgresOptions {
    let postgres = &config.postgres;
    PostgresOptions {
        schema: postgres.schema.clone(),
        connections: usize::try_from(postgres.connections).unwrap_or(usize::MAX),
        queries: usize::try_from(config.query.concurrency).unwrap_or(usize::MAX),
        wait: postgres.connection_wait,
        statement_timeout: postgres.statement_timeout,
        root_certificates: postgres.root_certificates.clone(),
        failpoints: failpoint::Scope::new(&config.data_dir),
        ..PostgresOptions::new(address.clone())
    }
}

pub(super) fn storage_options(config: &Config) -> StorageOptions {
    let (storage, signing) = (&config.storage, &config.signing);
    StorageOptions {
        multipart_expiry: config.uploads.multipart_expiry,
        resumable_expiry: config.uploads.resumable_expiry,
        max_unfinished_uploads: config.uploads.max_unfinished,
        max_file_size: storage.max_file_size.0,
        inline_threshold: usize::try_from(storage.inline_threshold.0).unwrap_or(usize::MAX),
        verify_on_read: storage.verify_on_read,
        verify_content: storage.verify_content,
        default_url_expiry: signing.default_expiry,
        max_url_expiry: signing.max_expiry,
        upload_url_expiry: signing.upload_expiry,
        query: QueryOptions {
            default_rows: config.query.default_rows,
            max_rows: config.query.max_rows,
            max_bytes: usize::try_from(config.query.max_bytes.0).unwrap_or(usize::MAX),
            timeout: config.query.timeout,
            per_caller: usize::try_from(config.query.per_caller).unwrap_or(usize::MAX),
        },
        events: EventOptions {
            subscribers: usize::try_from(config.events.max_subscribers).unwrap_or(usize::MAX),
            per_caller: usize::try_from(config.events.per_caller).unwrap_or(usize::MAX),
        },
        queue: QueueOptions {
            spool: storage.spool.as_deref().map(Arc::from),
            spool_max_bytes: storage.spool_max_size.0,
            max_attempts: config.upload_queue.max_attempts,
            concurrency: usize::try_from(config.upload_queue.concurrency).unwrap_or(usize::MAX),
            keep_completed: config.upload_queue.keep_completed,
        },
        cache: config
            .cache
            .enabled
            .then_some(CacheOptions { max_bytes: config.cache.max_size.0, ttl: config.cache.ttl }),
        warming: WarmingOptions {
            lists: usize::try_from(config.cache.warm).unwrap_or(usize::MAX),
            notes: Some(config.data_dir.join(LISTS_FILE).into()),
            ..WarmingOptions::default()
        },
        batch: BatchOptions {
            max_files: usize::try_from(config.batch.max_files).unwrap_or(usize::MAX),
            concurrency: usize::try_from(config.batch.concurrency).unwrap_or(usize::MAX),
        },
        lifecycle: LifecycleOptions {
            rules: config.lifecycle_rules.clone().into(),
            max_per_run: config.lifecycle.max_per_run.into(),
        },
        jobs: JobOptions {
            concurrency: usize::try_from(config.jobs.concurrency).unwrap_or(usize::MAX),
            keep: config.jobs.keep,
        },
        adopt: AllowedDirectories {
            roots: config.adopt.directories.clone().into(),
            own: own_directories(config),
        },
        scrub: ScrubOptions { bytes_per_second: config.scrub.rate.0, interval: config.scrub.interval },
        access_rules: AccessRules {
            only_service_creates_buckets: config.buckets.creation == BucketCreation::Service,
            ..AccessRules::default()
        },
        failpoints: failpoint::Scope::new(&config.data_dir),
    }
}

/// Directories whose files are the server's own, whoever is let near them.
fn own_directories(config: &Config) -> Arc<[PathBuf]> {
    let providers = config.providers.values().filter_map(|provider| provider.path.clone());
    let disks = disks(config).into_iter().map(|(_, directory)| directory);
    disks.chain(providers).collect()
}

pub(super) fn quota_settings(config: &Config) -> QuotaSettings {
    let limit = |size: ByteSize| Some(size.0).filter(|size| *size > 0);
    QuotaSettings {
        enforcement: match config.storage.quota_enforcement {
            Enforcement::Enforce => QuotaEnforcement::Enforce,
            Enforcement::Warn => QuotaEnforcement::Warn,
            Enforcement::Off => QuotaEnforcement::Off,
        },
        default_user: limit(config.quotas.default_user),
        global: limit(config.quotas.global),
    }
}

pub(super) fn upkeep_options(config: &Config) -> UpkeepOptions {
    let cleanup = &config.cleanup;
    UpkeepOptions {
        interval: cleanup.enabled.then_some(cleanup.interval),
        grace: cleanup.grace,
        // A file is one server's own: nobody else reads its blobs.
        deletion_grace: match config.database {
            Database::Sqlite(_) => Duration::ZERO,
            Database::Postgres(_) => config.postgres.deletion_grace,
        },
        max_per_run: cleanup.max_per_run,
        events: EventRetention { age: config.events.retention, most: config.events.max_kept.into() },
        lifecycle: config.lifecycle.enabled.then_some(
            match (config.lifecycle.interval, config.lifecycle.at) {
                (Some(interval), _) => LifecycleSchedule::Every(interval),
                (None, TimeOfDay { hour, minute }) => LifecycleSchedule::Daily { hour, minute },
            },
        ),
    }
}

fn http_options(config: &Config) -> HttpOptions {
    let server = &config.server;
    HttpOptions {
        max_connections: server.max_connections,
        header_timeout: server.request_header_timeout,
        body_idle_timeout: server.body_idle_timeout,
        shutdown_grace: server.shutdown_grace,
        trusted_proxies: server.trusted_proxies.clone(),
        allowed_origins: config.cors.allowed_origins.clone(),
        own_cors_below: Some(s3::BASE),
    }
}
