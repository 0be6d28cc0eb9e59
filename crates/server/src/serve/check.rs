//! What `serve --check` looks at: everything that a start would need. Leaves nothing on the disk, and binds nothing.

use std::io;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::Duration;

use file_storage::audit::Holder;
use file_storage::executor::look::look;
use file_storage::identities::IdentityError;
use rustix::fs::{Access, access};

use super::{ServerError, audit, identities, open, overlaps, providers, unfinished};
use crate::auth;
use crate::config::{Config, Database, ProviderKind};
use crate::secrets::{Secrets, SecretsError};

/// Everything that a start with this configuration would stumble over now, as far as this machine tells: nothing on another one is
/// asked. Blocks.
pub async fn check(config: &Config) -> Vec<ServerError> {
    let mut stumbles = of_machine(config);
    if let Database::Sqlite(_) = config.database {
        match look(super::backup::database(config), identities::names(config), Vec::new()).await {
            Err(error) => stumbles.push(ServerError::Database(error)),
            Ok(looked) => {
                // What is wrong with the configuration of a provider was said, and so was what is in the way of a directory.
                let mut mistaken = identities::mistaken(config, &looked, false).await.unwrap_or_default();
                if !stumbles.is_empty() {
                    mistaken.retain(|error| !matches!(error, IdentityError::Place { .. }));
                }
                stumbles.extend(mistaken.into_iter().map(ServerError::Identity));
            }
        }
    }
    stumbles
}

/// What a check says besides, and what keeps no server from starting: who keeps the audit log now, and what is short.
pub fn remarks(config: &Config) -> Vec<String> {
    let kept = audit::kept_by(config).filter(|(holder, _)| *holder != Holder::Nobody);
    kept.map(|(_, said)| said).into_iter().chain(short_grace(config)).collect()
}

/// How long the bytes of a batch may be there before its transaction ends, besides the three turns that the transaction takes at most.
const BATCH: Duration = Duration::from_secs(120);

/// Says so where another server's cleanup may take bytes for orphans whose transaction is under way.
pub(super) fn short_grace(config: &Config) -> Option<String> {
    let Database::Postgres(_) = config.database else { return None };
    let turn = config.postgres.statement_timeout + config.postgres.connection_wait + Duration::from_secs(5);
    let least = BATCH + 3 * turn;
    (config.cleanup.grace < least).then(|| {
        format!(
            "cleanup.grace is {} s: with several servers, give it {} s or more, or a cleanup of one may delete what another is about \
             to commit",
            config.cleanup.grace.as_secs(),
            least.as_secs()
        )
    })
}

/// What a start would stumble over, without what only the database knows.
pub(super) fn of_machine(config: &Config) -> Vec<ServerError> {
    let data_dir = writable(&config.data_dir).map_err(|source| match source.kind() {
        io::ErrorKind::NotADirectory => SecretsError::NoDirectory(config.data_dir.clone()).into(),
        _ => SecretsError::Io { path: config.data_dir.clone(), source }.into(),
    });
    let secrets = match Secrets::open(config) {
        // The first start makes them; what is wrong with the directory was said.
        Ok(_) | Err(SecretsError::Missing(_) | SecretsError::NoDirectory(_)) => Ok(()),
        Err(error) => Err(error.into()),
    };
    let key_set = auth::check_key_set(&config.auth).map_err(ServerError::from);
    let restored = unfinished::refuse(&config.data_dir);
    let overlaps = overlaps::refuse(config);
    let all = [
        restored,
        listen(config),
        data_dir,
        database(config),
        secrets,
        key_set,
        providers::check(config),
        overlaps,
        audit::check(config).map_err(ServerError::Audit),
    ];
    all.into_iter().chain(directories(config)).filter_map(Result::err).collect()
}

/// The directories of providers can be written, or made.
fn directories(config: &Config) -> impl Iterator<Item = Result<(), ServerError>> {
    config.providers.iter().filter_map(|(name, provider)| {
        let path = provider.path.as_ref().filter(|_| provider.kind == Some(ProviderKind::Local))?;
        Some(writable(path).map_err(|source| ServerError::ProviderPlace {
            name: name.clone(),
            path: path.clone(),
            source,
        }))
    })
}

/// The host of the address must have one; whether it is free, only binding it tells.
fn listen(config: &Config) -> Result<(), ServerError> {
    let addresses = std::iter::once(&config.listen).chain(&config.s3.listen);
    addresses.map(|address| &address.0).try_for_each(resolves)
}

fn resolves(address: &String) -> Result<(), ServerError> {
    let found = address.to_socket_addrs().and_then(|mut found| {
        found.next().map(drop).ok_or_else(|| io::Error::other("the host has no address"))
    });
    found.map_err(|source| ServerError::Listen { address: address.clone(), source })
}

/// The database's file can be written, or made: SQLite needs to write beside it, too. In the data directory, that
/// directory says it. A PostgreSQL server is not asked: its address was parsed, and a start waits for no other.
fn database(config: &Config) -> Result<(), ServerError> {
    let Some(path) = open::database_path(config) else { return Ok(()) };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let refuse = |source: io::Error| ServerError::DatabasePlace { path: path.clone(), source };
    if folder != config.data_dir {
        access(folder, Access::EXISTS | Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| refuse(error.into()))?;
    }
    match std::fs::metadata(&path) {
        Ok(file) if !file.is_file() => Err(refuse(io::Error::other("is no file"))),
        Ok(_) => access(&path, Access::READ_OK | Access::WRITE_OK).map_err(|error| refuse(error.into())),
        // There is none yet; or the data directory is none, which is said.
        Err(_) => Ok(()),
    }
}

/// Whether a directory can be written; one that is missing, whether it could be made.
fn writable(directory: &Path) -> io::Result<()> {
    for place in directory.ancestors() {
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        match std::fs::metadata(place) {
            Ok(found) if !found.is_dir() => return Err(io::ErrorKind::NotADirectory.into()),
            // Nothing but the directory itself is read.
            Ok(_) if place != directory => return Ok(access(place, Access::WRITE_OK | Access::EXEC_OK)?),
            Ok(_) => return Ok(access(place, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
