//! Why a server can't start.

use std::io;
use std::path::PathBuf;

use file_storage::StorageError;
use file_storage::audit::AuditError;
use file_storage::backend::BackendError;
use file_storage::backup::BackupError;
use file_storage::identities::IdentityError;

use crate::auth::{KeySetError, MintError};
use crate::secrets::SecretsError;
use crate::telemetry::FiguresError;
use crate::telemetry::traces::TraceError;

/// Why a server can't start. Its sources say why in turn, and are not repeated in its own words.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// As configured.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The secrets can't be read or made.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The keys can't be computed.
    #[error(transparent)]
    Keys(#[from] MintError),
    /// The key set that signs users' tokens can't be read.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// The metadata can't be opened.
    #[error("the database can't be opened: {}", .0.with_causes())]
    Database(StorageError),
    /// The bytes can't be reached.
    #[error("the blobs in the data directory can't be opened: {0}")]
    Blobs(BackendError),
    /// A provider of bytes can't be opened.
    #[error("the provider '{name}' can't be opened: {error}")]
    Provider {
        /// Its name.
        name: String,
        /// What is wrong, with its causes.
        error: BackendError,
    },
    /// A provider's place is not the one that the database means.
    #[error("{}", identity(.0))]
    Identity(IdentityError),
    /// Two providers keep their bytes in one place.
    #[error(
        "the providers '{first}' and '{second}' {relation} ({place}): each would take what the other keeps for orphans; give each a place of its own"
    )]
    Overlap {
        /// The name of one.
        first: String,
        /// The name of the other.
        second: String,
        /// How they lie to each other.
        relation: &'static str,
        /// Where the second is.
        place: String,
    },
    /// A provider's directory can't be written.
    #[error("the provider '{name}' can't be written in {}", path.display())]
    ProviderPlace {
        /// The provider's name.
        name: String,
        /// Its directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No provider has that name.
    #[error("there is no provider '{name}' in the configuration")]
    NoProvider {
        /// The name.
        name: String,
    },
    /// A provider's credentials can't be read.
    #[error("the credentials of the provider '{name}' can't be read from {}", path.display())]
    Credentials {
        /// The provider's name.
        name: String,
        /// Their file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The provider that new bytes go to refuses them.
    #[error("the provider '{name}', which new bytes are to go to, refuses them: {}", error.with_causes())]
    ActiveProvider {
        /// Its name.
        name: String,
        /// What it says, with its causes.
        error: StorageError,
    },
    /// The metadata could not be moved to another engine.
    #[error("the metadata was not moved: {}", .0.with_causes())]
    Migration(StorageError),
    /// There is no backup, or none was restored.
    #[error("{}", backup(.0))]
    Backup(BackupError),
    /// A backup is to be made in what it is a backup of.
    #[error("{} lies in the data directory, and would be lost with it: choose another place", .0.display())]
    BackupInside(PathBuf),
    /// A restore into the data directory was not finished.
    #[error(
        "a backup is being restored into {}, or was not restored wholly: run `aerostore backup restore` again; or delete the \
         directory, and restore into a new one", .0.display()
    )]
    RestoreUnfinished(PathBuf),
    /// A backup is to be restored over something.
    #[error("{} is not empty: a backup is restored into a new data directory, and a new database", .0.display())]
    NotEmpty(PathBuf),
    /// Another process restores into the data directory.
    #[error("another process restores a backup into {}", .0.display())]
    RestoreRuns(PathBuf),
    /// All is restored, and still marked as if it were not.
    #[error("everything was restored; but {} could not be deleted: delete it, and start the server", path.display())]
    MarkStays {
        /// The mark's file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// All is restored, and the provider still says that it is another database's.
    #[error(
        "everything was restored; but the provider '{name}' could not be made the restored database's: {error}. Run \
         `aerostore take-over {name}`, and start the server"
    )]
    NotTaken {
        /// The provider's name.
        name: String,
        /// Why not.
        error: Box<ServerError>,
    },
    /// A directory that is restored into can't be used.
    #[error("{} can't be restored into", path.display())]
    RestorePlace {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What a crash interrupted can be neither finished nor undone.
    #[error("the start-up check failed: {}", .0.with_causes())]
    Recovery(StorageError),
    /// The database's place can't be used.
    #[error("the database {} can't be made or written", path.display())]
    DatabasePlace {
        /// Its file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The audit log that is wanted can't be kept.
    #[error("the audit log can't be kept: {0}")]
    Audit(AuditError),
    /// Figures can't be collected.
    #[error(transparent)]
    Figures(#[from] FiguresError),
    /// There is no client for webhooks: the system has no certificates, mostly.
    #[error("webhooks can't be sent")]
    Webhooks(#[source] reqwest::Error),
    /// Traces can't be sent, whoever collects them.
    #[error("traces can't be sent")]
    Traces(#[source] TraceError),
    /// Log lines can't be written.
    #[error("logs can't be written")]
    Logs(#[source] io::Error),
    /// Signals can't be received.
    #[error("signals can't be received")]
    Signals(#[source] io::Error),
    /// Standard output is closed.
    #[error("standard output")]
    Announce(#[source] io::Error),
}

fn backup(error: &BackupError) -> String {
    match error {
        BackupError::Storage(error) => error.with_causes(),
        other => other.to_string(),
    }
}

impl From<IdentityError> for ServerError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

fn identity(error: &IdentityError) -> String {
    match error {
        IdentityError::Database(error) => format!("the start-up check failed: {}", error.with_causes()),
        other => other.to_string(),
    }
}
