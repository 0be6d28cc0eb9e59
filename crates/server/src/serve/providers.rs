//! From the configuration to the providers of bytes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use file_storage::backend::BackendError;
use file_storage::backend::local::{self, Directory, LocalBackend, LocalOptions};
use file_storage::backend::metered::Metered;
use file_storage::backend::place::Place;
use file_storage::backend::provider::Provider;
use file_storage::backend::registry::Providers;
use file_storage::backend::remote::{
    AzureCredentials, AzureStore, GcsCredentials, GcsStore, RemoteBackend, RemoteOptions, RemotePlace,
    S3Credentials, S3Store, Store,
};
use file_storage::resilience::{
    Attempts, CircuitOptions, ConcurrencyOptions, ResilienceOptions, RetryOptions, TimeoutOptions, guarded,
};

use super::ServerError;
use crate::config::{ByteSize, Config, Credential, Durability, LOCAL, ProviderConfig, ProviderKind, WebUrl};

/// Where unfinished uploads to remote providers are noted, in the data directory.
const JOURNALS: &str = "unfinished";

/// By how much waits between attempts differ from what is configured, as a part of it.
const JITTER: f64 = 0.1;

/// Opens all providers but those directories that are not ours. Asks no remote one anything yet. Blocks.
pub(super) fn open(config: &Config, foreign: &BTreeSet<String>) -> Result<Providers, ServerError> {
    let mut all = Vec::new();
    if !foreign.contains(LOCAL) {
        let local = disk(blobs(config, &config.data_dir)).map_err(ServerError::Blobs)?;
        let local = local.in_place(Arc::new(Directory::new(config.data_dir.clone())));
        all.push(with_options(local, config.providers.get(LOCAL)));
    }
    for (name, provider) in config.providers.iter().filter(|(name, _)| !foreign.contains(*name)) {
        let (opened, place): (Opened, Option<Arc<dyn Place>>) = match provider.kind {
            None => continue,
            Some(ProviderKind::Local) => match &provider.path {
                None => continue,
                Some(path) => (
                    disk(LocalOptions { provider: name.as_str().into(), ..blobs(config, path) }),
                    Some(Arc::new(Directory::new(path.clone())) as Arc<dyn Place>),
                ),
            },
            Some(kind) => {
                let place = place(config, name, kind, provider)?.map(|at| Arc::new(at) as Arc<dyn Place>);
                (remote(config, name, kind, provider)?, place)
            }
        };
        let opened = opened.map_err(|error| ServerError::Provider { name: name.clone(), error })?;
        let opened = match place {
            Some(place) => opened.in_place(place),
            None => opened,
        };
        all.push(with_options(opened, Some(provider)));
    }
    // The configuration was checked: it names one of them.
    let active = all.iter().position(|provider| **provider.name() == *config.storage.active_provider);
    let active = all.swap_remove(active.unwrap_or_default());
    let providers = Providers::new(active, all).failing_over_to(&config.storage.failover_providers);
    Ok(providers.copying_to(&config.storage.backup_providers))
}

/// What is configured of all kinds of providers.
fn with_options(provider: Provider, config: Option<&ProviderConfig>) -> Provider {
    match config {
        Some(config) => {
            let provider = provider.checked_every(config.health_check_interval);
            provider.failing_over_after(config.failover_after)
        }
        None => provider,
    }
}

/// Looks at what would be opened, without touching anything.
pub(super) fn check(config: &Config) -> Result<(), ServerError> {
    for (name, provider) in &config.providers {
        if let Some(kind) = provider.kind {
            store(name, kind, provider)?;
        }
    }
    Ok(())
}

/// Whether new bytes go to another machine.
pub(super) fn active_is_remote(config: &Config) -> bool {
    let active = config.providers.get(&config.storage.active_provider);
    active.and_then(|provider| provider.kind).is_some_and(|kind| kind != ProviderKind::Local)
}

/// A disk is measured and not guarded: what fails on it fails for good, and it needs no turns but its own.
fn disk(options: LocalOptions) -> Opened {
    LocalBackend::open(options).map(|disk| Arc::new(Metered::new(disk)).into())
}

fn blobs(config: &Config, root: &Path) -> LocalOptions {
    let durability = match config.storage.durability {
        Durability::Full => local::Durability::Full,
        Durability::Relaxed => local::Durability::Relaxed,
    };
    LocalOptions { durability, ..LocalOptions::new(root) }
}

type Opened = Result<Provider, BackendError>;

fn remote(
    config: &Config,
    name: &str,
    kind: ProviderKind,
    provider: &ProviderConfig,
) -> Result<Opened, ServerError> {
    let Some(options) = remote_options(config, name, kind, provider)? else {
        return Ok(Err(BackendError::NotFound));
    };
    let name = options.provider.clone();
    let open = |attempts| RemoteBackend::open(options, attempts);
    Ok(guarded(&name, resilience(provider), open).map(Provider::from))
}

/// The place of a provider on another machine; `None` for a directory. Asks it nothing yet.
pub(super) fn place(
    config: &Config,
    name: &str,
    kind: ProviderKind,
    provider: &ProviderConfig,
) -> Result<Option<RemotePlace>, ServerError> {
    let Some(options) = remote_options(config, name, kind, provider)? else { return Ok(None) };
    let attempts = Attempts::new(options.provider.clone(), resilience(provider).retry, None);
    let wrong = |error| ServerError::Provider { name: name.to_owned(), error };
    RemotePlace::new(&options, attempts).map(Some).map_err(wrong)
}

fn remote_options(
    config: &Config,
    name: &str,
    kind: ProviderKind,
    provider: &ProviderConfig,
) -> Result<Option<RemoteOptions>, ServerError> {
    let Some(store) = store(name, kind, provider)? else { return Ok(None) };
    Ok(Some(RemoteOptions {
        prefix: provider.prefix.clone().unwrap_or_default(),
        stream_threshold: bytes(provider.stream_threshold),
        chunk_size: bytes(provider.chunk_size),
        max_idle_connections: usize::try_from(provider.max_idle_connections).unwrap_or(usize::MAX),
        connect_timeout: provider.connection_timeout,
        // So that a part which stands still is sent again before the upload as a whole has stood still for too long.
        part_timeout: provider.upload_timeout / 3,
        ..RemoteOptions::new(name, store, config.data_dir.join(JOURNALS).join(name))
    }))
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

fn resilience(provider: &ProviderConfig) -> ResilienceOptions {
    ResilienceOptions {
        retry: RetryOptions {
            attempts: provider.retry_attempts,
            initial_delay: provider.retry_initial_delay,
            multiplier: provider.retry_backoff_multiplier,
            max_delay: provider.retry_max_delay,
            jitter: JITTER,
        },
        circuit: provider.circuit_breaker_enabled.then_some(CircuitOptions {
            failures: provider.circuit_breaker_failure_threshold,
            open_for: provider.circuit_breaker_timeout,
        }),
        concurrency: ConcurrencyOptions {
            uploads: provider.max_concurrent_uploads,
            downloads: provider.max_concurrent_downloads,
            deletes: provider.max_concurrent_deletes,
            waiting: provider.max_waiting,
        },
        timeout: TimeoutOptions {
            upload: provider.upload_timeout,
            download: provider.download_timeout,
            delete: provider.delete_timeout,
            list: provider.list_timeout,
        },
        resend_limit: bytes(provider.stream_threshold),
    }
}

/// Where a provider's blobs are; `None` for a directory.
fn store(name: &str, kind: ProviderKind, provider: &ProviderConfig) -> Result<Option<Store>, ServerError> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path);
        let refuse =
            |source| ServerError::Credentials { name: name.to_owned(), path: path.to_owned(), source };
        text.map(|text| text.trim().to_owned()).map_err(refuse)
    };
    let secret = |said: &Option<Credential>, file: &Option<std::path::PathBuf>| match (said, file) {
        (Some(Credential(secret)), _) => Ok(Some(secret.expose().to_owned())),
        (None, Some(file)) => read(file).map(Some),
        (None, None) => Ok(None),
    };
    let bucket = provider.bucket.clone().unwrap_or_default();
    let endpoint = provider.endpoint.as_ref().map(|WebUrl(url)| url.trim_end_matches('/').to_owned());
    Ok(Some(match kind {
        ProviderKind::Local => return Ok(None),
        ProviderKind::S3 => {
            let secret = secret(&provider.secret_access_key, &provider.secret_access_key_file)?;
            let credentials = provider.access_key_id.clone().zip(secret).map(|(access_key_id, secret)| {
                let session_token =
                    provider.session_token.as_ref().map(|Credential(token)| token.expose().to_owned());
                S3Credentials { access_key_id, secret_access_key: secret, session_token }
            });
            let (region, virtual_hosted) = (provider.region.clone(), provider.virtual_hosted);
            Store::S3(S3Store { bucket, endpoint, region, virtual_hosted, credentials })
        }
        ProviderKind::Azure => {
            let key = secret(&provider.account_key, &provider.account_key_file)?;
            let sas = provider.sas_token.as_ref().map(|Credential(token)| token.expose().to_owned());
            let credentials = key.map(AzureCredentials::AccountKey).or(sas.map(AzureCredentials::Sas));
            let account = provider.account.clone().unwrap_or_default();
            Store::Azure(AzureStore { account, container: bucket, endpoint, credentials })
        }
        ProviderKind::Gcs => {
            let key = secret(&None, &provider.service_account_file)?;
            let anonymous = provider.anonymous.then_some(GcsCredentials::Anonymous);
            let credentials = anonymous.or(key.map(GcsCredentials::ServiceAccount));
            Store::Gcs(GcsStore { bucket, endpoint, credentials })
        }
    }))
}
