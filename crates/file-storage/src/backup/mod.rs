//! Backups: all metadata at one instant, and every blob that it names, in a directory.
//!
//! ```text
//! aerostore-backup.lock      says that the directory is one of backups; held by who works on it
//! manifest.json              what there is, with digests; written last, and in one step: without it there is no backup
//! metadata/{id}/*.jsonl      the rows of each table, as lines
//! metadata/{id}/secrets.json the server's secrets
//! blobs/                     as a directory of blobs has them
//! ```
//!
//! A backup is made beside running servers. While it is made, no server deletes blobs (`BlobHold`): so what the rows of its
//! instant name is there until it is copied. The next one into the same directory copies what is new, and takes the
//! place of the one before when it is whole; then what only the older one named goes.

mod blobs;
mod create;
mod lines;
mod manifest;
mod place;
mod restore;
mod verify;

use std::io;
use std::path::PathBuf;

use crate::backend::BackendError;
use crate::errors::StorageError;

pub use create::{Create, Created};
pub use manifest::{Losses, Manifest, TableEntry};
pub use restore::{Restore, Restored, read_secrets};
pub use verify::{Verified, verify};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: &'static str,
    /// Steps done: rows, or blobs.
    pub done: u64,
    /// How many it will be, where that is known.
    pub total: u64,
}

/// Is told how far it is.
pub type Watch<'w> = &'w (dyn Fn(Progress) + Send + Sync);

/// Why there is no backup, or none was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The directory is to hold backups, and holds something else.
    #[error("{} is neither empty nor a directory of backups: choose another one", .0.display())]
    Foreign(PathBuf),
    /// The directory holds no backup, or one that was never finished.
    #[error("there is no finished backup in {}", .0.display())]
    Missing(PathBuf),
    /// Somebody else works on the directory.
    #[error("another process works on the backup in {}", .0.display())]
    Busy(PathBuf),
    /// The backup is not what was written.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// The backup has other tables than this program.
    #[error(
        "the backup was made by Aerostore {made_by}, whose table {table} is another one than this version's: restore it with \
         that version, and upgrade afterwards"
    )]
    OtherVersion {
        /// Who made it.
        made_by: String,
        /// The first table that differs.
        table: String,
    },
    /// The backup's format is newer than this program.
    #[error("the backup has format {0}, made by a newer Aerostore: restore it with that")]
    NewerFormat(u32),
    /// Blobs that the metadata names are not there, or are not what was stored.
    #[error(
        "{} blobs that files are made of are missing or damaged where they are kept (first: {}); no backup was made. `aerostore \
         cleanup --dry-run` says more; --despite-losses makes a backup of the rest", .0.count, .0.first()
    )]
    Lost(Losses),
    /// A provider has blobs that are not the restore's.
    #[error(
        "the provider '{provider}' is not empty: it has the blob {blob}, which this restore did not bring. Each provider that is \
         configured must be empty: restore to an empty directory or bucket, and leave the others out"
    )]
    NotEmpty {
        /// The provider's name.
        provider: String,
        /// One of the others.
        blob: String,
    },
    /// Whether a provider is empty can't be told.
    #[error("the provider '{provider}' must be empty, and can't be listed: {source}")]
    Unlisted {
        /// The provider's name.
        provider: String,
        /// What it says.
        source: BackendError,
    },
    /// The directory can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The database, or a provider.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl BackupError {
    /// Says which file an error is of.
    fn of(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// Works where that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| StorageError::internal("work on the backup panicked"))?
}
