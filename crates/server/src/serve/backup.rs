//! Backups of a server, as it is configured: its metadata, the blobs of all its providers, its secrets.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use file_storage::backup::{self, Watch};
pub use file_storage::backup::{
    BackupError, Created, Losses, Manifest, Progress as BackupProgress, Restored, Verified,
};
use file_storage::executor::snapshot;
use file_storage::failpoint;

use super::last_backup::LastBackup;
use super::unfinished::{self, Mark};
use super::{ServerError, identities, open, overlaps, providers};
use crate::config::{Config, Database};
use crate::secrets;

/// How a backup is made.
#[derive(Debug, Clone)]
pub struct BackupOptions {
    /// The directory: empty, not there, or one of backups.
    pub to: PathBuf,
    /// Blobs that are copied at once.
    pub concurrency: usize,
    /// Whether to make a backup of the rest where blobs are missing or damaged.
    pub despite_losses: bool,
}

/// How a backup is restored.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The backup.
    pub from: PathBuf,
    /// Blobs that are copied at once.
    pub concurrency: usize,
    /// Whether to restore the rest where blobs are missing in the backup, or damaged.
    pub despite_losses: bool,
}

/// A backup that is made.
#[derive(Debug)]
pub struct BackupMade {
    /// What it has.
    pub created: Created,
    /// Why the data directory does not say that it was made: `doctor` will not know of it.
    pub unrecorded: Option<io::Error>,
}

/// Makes a backup of the server that is configured so, whether it runs or not.
///
/// # Errors
/// [`ServerError`], saying what is in the way.
pub async fn create_backup(
    config: &Config,
    options: BackupOptions,
    watch: Watch<'_>,
) -> Result<BackupMade, ServerError> {
    unfinished::refuse(&config.data_dir)?;
    let secrets = secrets::document(&config.data_dir)?;
    refuse_inside(&config.data_dir, &options.to)?;
    let create = backup::Create {
        database: database(config),
        providers: providers::open(config, &BTreeSet::new())?,
        secrets,
        to: options.to,
        concurrency: options.concurrency,
        despite_losses: options.despite_losses,
    };
    let created = create.run(watch).await;
    create.providers.drain().await;
    let created = created.map_err(ServerError::Backup)?;
    let last = LastBackup::of(&created.manifest, &create.to);
    let unrecorded = last.write(&config.data_dir).err();
    Ok(BackupMade { created, unrecorded })
}

/// Reads everything in a backup, and says whether it is what was written.
///
/// # Errors
/// [`ServerError::Backup`].
pub async fn verify_backup(
    from: &Path,
    concurrency: usize,
    watch: Watch<'_>,
) -> Result<Verified, ServerError> {
    backup::verify(from, concurrency, watch).await.map_err(ServerError::Backup)
}

/// Restores a backup into the data directory, the database and the active provider that are configured, all of them empty, as
/// the other providers must be. No server starts before it is done.
///
/// # Errors
/// [`ServerError`], saying what is in the way. What failed half-way goes on when it is tried again.
pub async fn restore_backup(
    config: &Config,
    options: RestoreOptions,
    watch: Watch<'_>,
) -> Result<Restored, ServerError> {
    overlaps::refuse(config)?;
    let (manifest, secrets) = backup::read_secrets(&options.from).await.map_err(ServerError::Backup)?;
    let before = identities::said_before(config).await?;
    let path = open::database_path(config);
    let place = path.as_ref().map_or("a PostgreSQL database".to_owned(), |path| path.display().to_string());
    let mark = Mark::set(&config.data_dir, path.as_deref(), &format!("{} into {place}\n", manifest.id))?;
    if let Some(path) = path.filter(|_| mark.was_there) {
        unfinished::remove_database(&path)?;
    }
    secrets::put_back(&config.data_dir, &secrets)?;
    let restore = backup::Restore {
        from: options.from,
        database: database(config),
        providers: providers::open(config, &BTreeSet::new())?,
        concurrency: options.concurrency,
        despite_losses: options.despite_losses,
        failpoints: failpoint::Scope::new(&config.data_dir),
    };
    let restored = restore.run(watch).await;
    restore.providers.drain().await;
    let restored = restored.map_err(ServerError::Backup)?;
    let taken = match &before {
        Some(named) => identities::take_restored(config, named).await,
        None => Ok(()),
    };
    // All rows are committed: another try would find the database not empty, and what is left to be done is a command of its own.
    mark.remove()?;
    taken?;
    Ok(restored)
}

/// Where the metadata is, for what reads it past a server.
pub(super) fn database(config: &Config) -> snapshot::Database {
    match &config.database {
        Database::Sqlite(_) => snapshot::Database::Sqlite(open::sqlite_file(config)),
        Database::Postgres(address) => {
            snapshot::Database::Postgres(Box::new(open::postgres(config, address)))
        }
    }
}

/// A backup in the data directory would go with it.
fn refuse_inside(data_dir: &Path, to: &Path) -> Result<(), ServerError> {
    let there = to.ancestors().find_map(|place| {
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        place.canonicalize().ok()
    });
    match (data_dir.canonicalize(), there) {
        (Ok(data_dir), Some(there)) if there.starts_with(&data_dir) => {
            Err(ServerError::BackupInside(to.to_owned()))
        }
        _ => Ok(()),
    }
}
