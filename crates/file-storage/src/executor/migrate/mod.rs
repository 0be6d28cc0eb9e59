//! Moving: all metadata of an SQLite database into a PostgreSQL database, wholly or not at all. Blobs stay where they
//! are, and inline bytes go along in their rows.
//!
//! `sqlite/export.rs` reads and changes nothing, `postgres/import.rs` writes in one transaction, and `tables.rs` says what
//! there is to move; between them go cells, a few hundred rows at a time. Before the transaction is committed,
//! what stands in PostgreSQL is read back, and must have the digest of what was read from SQLite.

pub(super) mod cell;
mod json;
pub(super) mod tables;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::postgres::PostgresOptions;
use super::postgres::import::{Import, Target};
use super::sqlite::export::{Export, Hold};
use crate::errors::StorageError;
use crate::failpoint::Scope;

use cell::{Keeper, Tally};
use tables::{TABLES, Table};

/// Batches that are read ahead of what is written.
const AHEAD: usize = 4;

/// From where to where.
#[derive(Debug, Clone)]
pub struct Migration {
    /// The SQLite database's file. No server may have it open.
    pub source: PathBuf,
    /// The PostgreSQL database, which must have no rows of ours yet.
    pub target: PostgresOptions,
}

/// What was moved, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Every table, in the order in which they went.
    pub tables: Vec<MovedTable>,
    /// Whether a server has the source open: it must be stopped before anything is moved. Only a rehearsal goes on
    /// beside one.
    pub in_use: bool,
}

/// What was moved of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTable {
    /// Its name.
    pub name: &'static str,
    /// Its rows.
    pub rows: u64,
    /// What identifies the content of all of them, in hexadecimal; both databases gave the same.
    pub digest: String,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The table that is being read or written.
    pub table: &'static str,
    /// Rows read, written or read back so far, of all tables.
    pub done: u64,
    /// How many it will be.
    pub total: u64,
}

/// Is told how far it is, after each batch of rows.
pub type Watch<'w> = &'w (dyn Fn(Progress) + Send + Sync);

impl Migration {
    /// Moves everything. Until the end nothing shows in the target, and nothing is left there by a failure or a crash,
    /// but for empty tables. The source is never changed; a word beside it tells a server that it was moved.
    ///
    /// # Errors
    /// [`StorageError::Internal`], saying what is in the way: a server that has the source open, a target with rows,
    /// missing rights, a row that PostgreSQL can't hold, a difference between the two. And what the databases say.
    pub async fn run(&self, watch: Watch<'_>) -> Result<Moved, StorageError> {
        let export = self.source(Hold::Alone).await?;
        let meter = Meter::new(&export, 2, watch).await?;
        let mut target = Target::connect(self.target.clone()).await?;
        let moved = self.copy(&export, &mut target, &meter).await;
        target.close().await;
        let tables = moved?;
        let word = format!("{} (schema {})", self.target.address, self.target.schema);
        blocking(&export, move |export| export.leave_word(&word)).await.map_err(|error| StorageError::Internal {
            context: "everything was moved; the source could not be marked as moved, and must not be served again"
                .to_owned(),
            source: Some(Arc::new(error)),
        })?;
        Ok(Moved { tables, in_use: false })
    }

    /// Does all of it that changes nothing: reads every row, and looks whether the target would take them.
    ///
    /// # Errors
    /// As [`Migration::run`], but for a server that has the source open.
    pub async fn rehearse(&self, watch: Watch<'_>) -> Result<Moved, StorageError> {
        let export = self.source(Hold::Beside).await?;
        let mut target = Target::connect(self.target.clone()).await?;
        let surveyed = target.survey().await;
        target.close().await;
        surveyed?;
        let meter = Meter::new(&export, 1, watch).await?;
        let mut tables = Vec::with_capacity(TABLES.len());
        for table in TABLES {
            let (send, mut rows) = mpsc::channel::<Vec<cell::Row>>(AHEAD);
            let count = async {
                while let Some(batch) = rows.recv().await {
                    meter.add(table, batch.len());
                }
            };
            let (tally, ()) = tokio::join!(
                blocking(&export, move |export| export.read(table, &send, Keeper::Postgres)),
                count
            );
            tables.push(MovedTable::new(table, &tally?));
        }
        Ok(Moved { tables, in_use: export.in_use() })
    }

    async fn source(&self, hold: Hold) -> Result<Arc<Export>, StorageError> {
        let path = self.source.clone();
        let opened = tokio::task::spawn_blocking(move || Export::open(&path, hold)).await;
        opened.map_err(|_| panicked())?.map(Arc::new)
    }

    async fn copy(
        &self,
        export: &Arc<Export>,
        target: &mut Target,
        meter: &Meter<'_>,
    ) -> Result<Vec<MovedTable>, StorageError> {
        let failpoints = Scope::new(self.source.parent().unwrap_or(Path::new(".")));
        let import = target.begin().await?;
        let mut moved = Vec::with_capacity(TABLES.len());
        for table in TABLES {
            hit(&failpoints, "migrate.table").await?;
            moved.push(copy_table(export, &import, table, meter).await?);
        }
        for (table, moved) in TABLES.iter().zip(&moved) {
            let found = import.tally(table, &|rows| meter.add(table, rows)).await?;
            let found = MovedTable::new(table, &found);
            if found != *moved {
                return Err(StorageError::internal(format!(
                    "{} came out different: {} rows and digest {}, instead of {} and {}; nothing was moved",
                    table.name, found.rows, found.digest, moved.rows, moved.digest
                )));
            }
        }
        hit(&failpoints, "migrate.before_commit").await?;
        import.finish().await?;
        Ok(moved)
    }
}

/// One table: a thread reads it, while what was read before is on its way.
async fn copy_table(
    export: &Arc<Export>,
    import: &Import<'_>,
    table: &'static Table,
    meter: &Meter<'_>,
) -> Result<MovedTable, StorageError> {
    let (send, rows) = mpsc::channel(AHEAD);
    let reading = blocking(export, move |export| export.read(table, &send, Keeper::Postgres));
    let add = |rows| meter.add(table, rows);
    let writing = import.fill(table, rows, &add);
    // A failed write closes the channel, which ends the reading; a failed read ends the writing early.
    let (read, written) = tokio::join!(reading, writing);
    written?;
    let tally = read?;
    if table.sequence.is_some() {
        let next = blocking(export, move |export| export.next_in_sequence(table)).await?;
        import.restart(table, next).await?;
    }
    Ok(MovedTable::new(table, &tally))
}

impl MovedTable {
    fn new(table: &Table, tally: &Tally) -> Self {
        Self { name: table.name, rows: tally.rows(), digest: tally.digest() }
    }
}

/// Counts rows, and tells of them.
struct Meter<'w> {
    done: AtomicU64,
    total: u64,
    watch: Watch<'w>,
}

impl<'w> Meter<'w> {
    /// For so many passes over all rows.
    async fn new(export: &Arc<Export>, passes: u64, watch: Watch<'w>) -> Result<Self, StorageError> {
        let rows = blocking(export, Export::count).await?;
        Ok(Self { done: AtomicU64::new(0), total: rows.saturating_mul(passes), watch })
    }

    fn add(&self, table: &Table, rows: usize) {
        let rows = rows as u64;
        let done = self.done.fetch_add(rows, Ordering::Relaxed).saturating_add(rows);
        (self.watch)(Progress { table: table.name, done, total: self.total });
    }
}

/// Works on the source where that may block.
async fn blocking<T: Send + 'static>(
    export: &Arc<Export>,
    work: impl FnOnce(&Export) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let export = Arc::clone(export);
    tokio::task::spawn_blocking(move || work(&export)).await.map_err(|_| panicked())?
}

async fn hit(failpoints: &Scope, point: &'static str) -> Result<(), StorageError> {
    failpoints.hit_async(point).await.map_err(|source| StorageError::Internal {
        context: point.to_owned(),
        source: Some(Arc::new(source)),
    })
}

fn panicked() -> StorageError {
    StorageError::internal("reading the source panicked")
}

#[cfg(test)]
mod tests;
