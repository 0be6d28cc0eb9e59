//! All metadata at one instant, out of either engine and into either: what a backup is made of. Rows are told as lines, so
//! that whoever keeps them knows no more of them than which blobs they name. Knows no file but SQLite's own.
//!
//! As in a move from one engine to the other (`migrate/`), `sqlite/export.rs` and `postgres/export.rs` read and change
//! nothing, `sqlite/import.rs` and `postgres/import.rs` write in one transaction, and what was written is read back before it
//! is committed.

mod line;
mod restore;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::migrate::cell::{Cell, Keeper, Row};
use super::migrate::tables::{TABLES, Table};
use super::postgres::PostgresOptions;
use super::{postgres, sqlite};
use crate::errors::StorageError;
use crate::file::{BlobKey, Sha256};

pub use restore::{Fill, Restore};

/// Batches that are read ahead of what is written.
const AHEAD: usize = 4;

/// Tables whose rows are of a server's state, and mean nothing where blobs lie elsewhere: what is to be deleted, where copies are, what
/// is on its way to another provider, which directory is which. Nor do jobs go on: one of them may be why a backup is restored.
const NOT_RESTORED: &[&str] =
    &["blob_deletions", "blob_copies", "upload_queue", "provider_identities", "quota_changes", "jobs"];

/// Where metadata is.
#[derive(Debug, Clone)]
pub enum Database {
    /// In SQLite, in this file.
    Sqlite(PathBuf),
    /// In PostgreSQL.
    Postgres(Box<PostgresOptions>),
}

/// Keeps every server over a database from deleting blobs that rows let go of, until it is dropped or its process ends.
#[must_use = "blobs are held until this is dropped"]
pub struct BlobHold {
    _held: Box<dyn std::any::Any + Send + Sync>,
}

/// A table, as a snapshot has it.
#[derive(Debug, Clone, Copy)]
pub struct TableName(&'static Table);

/// A blob that a row names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBlob {
    /// The provider that has it.
    pub provider: Arc<str>,
    /// Its name there.
    pub key: BlobKey,
    /// Its length, in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
}

/// A copy of a blob, as a row names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCopy {
    /// The provider that has it.
    pub provider: Arc<str>,
    /// Its name there.
    pub key: BlobKey,
}

/// What was read of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSum {
    /// Its rows.
    pub rows: u64,
    /// What identifies the content of all of them, in hexadecimal.
    pub digest: String,
    /// The number that its next row has, where rows are numbered.
    pub next: Option<i64>,
}

impl TableName {
    /// All tables, in an order in which no row comes before one that it refers to.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLES.iter().map(Self)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The names and types of its columns: a line has a value for each, in this order.
    pub fn columns(self) -> Vec<String> {
        self.0.columns.iter().map(|(name, ty)| format!("{name} {ty}")).collect()
    }

    /// Whether its rows are put into a restored database.
    pub fn is_restored(self) -> bool {
        !NOT_RESTORED.contains(&self.0.name)
    }

    /// Whether its rows name blobs that are to be kept.
    pub fn names_blobs(self) -> bool {
        matches!(self.0.name, "storage_segments" | "multipart_parts")
    }

    /// The blob that a line names.
    ///
    /// # Errors
    /// [`StorageError::Internal`] where it is no line of the table.
    pub fn blob(self, line: &str) -> Result<Option<NamedBlob>, StorageError> {
        let row = line::read(self.0, line).ok_or_else(|| self.no_line())?;
        let cell = |name: &str| {
            let at = self.0.columns.iter().position(|(column, _)| *column == name);
            at.and_then(|at| row.get(at))
        };
        if !self.names_blobs() {
            return Ok(None);
        }
        let named = match (cell("provider"), cell("blob_key"), cell("size"), cell("sha256")) {
            (Some(Cell::Null), ..) => return Ok(None),
            (
                Some(Cell::Text(provider)),
                Some(Cell::Text(key)),
                Some(Cell::Int(size)),
                Some(Cell::Text(sha256)),
            ) => BlobKey::from_stored(key).zip(Sha256::from_hex(sha256)).zip(u64::try_from(*size).ok()).map(
                |((key, sha256), size)| NamedBlob { provider: provider.as_str().into(), key, size, sha256 },
            ),
            _ => None,
        };
        named.ok_or_else(|| self.no_line()).map(Some)
    }

    /// Whether its rows name copies of blobs.
    pub fn names_copies(self) -> bool {
        self.0.name == "blob_copies"
    }

    /// The copy that a line names, and before it the blob that it is a copy of.
    ///
    /// # Errors
    /// [`StorageError::Internal`] where it is no line of the table.
    pub fn copy(self, line: &str) -> Result<Option<(BlobKey, NamedCopy)>, StorageError> {
        let row = line::read(self.0, line).ok_or_else(|| self.no_line())?;
        if !self.names_copies() {
            return Ok(None);
        }
        let text = |name: &str| {
            let at = self.0.columns.iter().position(|(column, _)| *column == name);
            match at.and_then(|at| row.get(at)) {
                Some(Cell::Text(text)) => Some(text.as_str()),
                _ => None,
            }
        };
        let key = |name: &str| text(name).and_then(BlobKey::from_stored);
        let named = key("blob_key").zip(key("copy_key")).zip(text("provider"));
        let named = named.map(|((blob, key), provider)| (blob, NamedCopy { provider: provider.into(), key }));
        named.ok_or_else(|| self.no_line()).map(Some)
    }

    fn no_line(self) -> StorageError {
        StorageError::internal(format!("a line is no row of {}", self.0.name))
    }
}

impl Database {
    /// Holds blobs, of all servers over this database. To be taken before a snapshot, and kept until its blobs are copied.
    ///
    /// # Errors
    /// [`StorageError::Internal`] where somebody else holds them, and those of the engine.
    pub async fn hold_blobs(&self) -> Result<BlobHold, StorageError> {
        let held: Option<Box<dyn std::any::Any + Send + Sync>> = match self.clone() {
            Self::Sqlite(path) => {
                let held = blocking(move || sqlite::lock::BlobHold::take(&path)).await?;
                held.map(|held| Box::new(held) as _)
            }
            Self::Postgres(options) => {
                let held = postgres::export::BlobHold::take(&options).await?;
                held.map(|held| Box::new(held) as _)
            }
        };
        let busy = || StorageError::internal("another backup of this database is being made");
        held.map(|held| BlobHold { _held: held }).ok_or_else(busy)
    }

    /// The engine's name.
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// All metadata at one instant, also beside running servers. They write on meanwhile; a log or dead rows grow until it is
/// closed.
pub struct Snapshot(Source);

enum Source {
    Sqlite(Arc<sqlite::export::Export>),
    Postgres(Box<postgres::export::Export>),
}

impl Snapshot {
    /// Takes it.
    ///
    /// # Errors
    /// [`StorageError::Internal`] for a database of another version, or that was moved away, and those of the engine.
    pub async fn take(database: &Database) -> Result<Self, StorageError> {
        Ok(Self(match database.clone() {
            Database::Sqlite(path) => {
                let open = move || sqlite::export::Export::open(&path, sqlite::export::Hold::Shared);
                Source::Sqlite(Arc::new(blocking(open).await?))
            }
            Database::Postgres(options) => {
                Source::Postgres(Box::new(postgres::export::Export::open(*options).await?))
            }
        }))
    }

    /// Sends the lines of a table, some at a time.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn read(
        &self,
        table: TableName,
        lines: mpsc::Sender<Vec<String>>,
    ) -> Result<TableSum, StorageError> {
        let table = table.0;
        let (send, mut rows) = mpsc::channel::<Vec<Row>>(AHEAD);
        let tell = async {
            while let Some(batch) = rows.recv().await {
                if lines.send(batch.iter().map(line::write).collect()).await.is_err() {
                    break;
                }
            }
            // The reader ends when nobody takes rows, and this one's caller when nothing more is told.
            drop((rows, lines));
        };
        let (tally, ()) = match &self.0 {
            Source::Sqlite(export) => {
                let export = Arc::clone(export);
                let read = blocking(move || export.read(table, &send, Keeper::Anything));
                tokio::join!(read, tell)
            }
            Source::Postgres(export) => {
                let read = async {
                    let read = export.read(table, &send).await;
                    drop(send);
                    read
                };
                tokio::join!(read, tell)
            }
        };
        let (tally, mut next) = (tally?, None);
        if table.sequence.is_some() {
            next = Some(match &self.0 {
                Source::Sqlite(export) => {
                    let export = Arc::clone(export);
                    blocking(move || export.next_in_sequence(table)).await?
                }
                Source::Postgres(export) => export.next_in_sequence(table).await?,
            });
        }
        Ok(TableSum { rows: tally.rows(), digest: tally.digest(), next })
    }

    /// Ends it, before blobs are copied.
    pub async fn close(self) {
        match self.0 {
            Source::Sqlite(export) => drop(export),
            Source::Postgres(export) => export.close().await,
        }
    }
}

/// Works where that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| StorageError::internal("work on the metadata panicked"))?
}
