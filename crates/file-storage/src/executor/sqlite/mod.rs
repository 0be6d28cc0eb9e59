//! The embedded engine: metadata in one SQLite file.
//!
//! Reads and writes never wait for each other (WAL). One thread writes, and commits many operations at a time;
//! another checkpoints. Point lookups run where their request runs, everything longer on the blocking pool.
//! Each file here is one operation or one noun; SQL that decides about rows gets its predicate from `rls`.

mod anchor;
mod buckets;
mod checkpoint;
mod connection;
mod credentials;
mod decide;
mod delete;
mod emptying;
mod engine;
mod errors;
mod events;
mod explain;
pub(super) mod export;
mod extra;
mod functions;
mod history;
pub(super) mod import;
mod jobs;
mod ledger;
mod lifecycle;
mod listing;
pub(super) mod lock;
mod look;
mod marks;
mod migrations;
mod multipart;
#[cfg(test)]
mod oracle;
mod policies;
mod put;
mod put_many;
mod query;
mod queue;
mod quotas;
mod read;
mod readers;
mod relocate;
mod removal;
mod rls;
mod room;
mod rows;
mod rules;
mod scrub;
mod task;
mod upkeep;
mod usage;
mod usage_by;
mod versions;
mod webhooks;
mod writer;

#[cfg(test)]
pub(crate) use functions::register as register_functions;
#[cfg(test)]
pub(crate) use oracle::Oracle;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rusqlite::Connection;

use checkpoint::Checkpointer;
use errors::Fault;
use lock::Lock;
use query::Queries;
use readers::Readers;
use room::Room;
use rules::Rules;
use writer::Writer;

use crate::errors::StorageError;

/// How the database is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The database's file. Two more stand beside it while it is open: `-wal` and `-shm`.
    pub path: PathBuf,
    /// Connections for point lookups: as many as threads ask at a time.
    pub readers: usize,
    /// Connections for lists and upkeep, which may take longer.
    pub long_readers: usize,
    /// Queries of callers that run at once, each on a connection of its own.
    pub queries: usize,
    /// Bytes of a page. Only a new database takes it on. Of 4, 8 and 16 KiB, 4 KiB wrote fastest.
    pub page_size: u32,
    /// Most KiB of pages that each connection caches.
    pub cache_kib: u32,
    /// What an answer promises.
    pub synchronous: Synchronous,
}

impl SqliteOptions {
    /// Durable, and sized for this machine.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().map_or(4, std::num::NonZero::get);
        Self {
            path: path.into(),
            readers: cores.saturating_add(1),
            long_readers: cores.clamp(2, 8),
            queries: 4,
            page_size: 4096,
            cache_kib: 2048,
            synchronous: Synchronous::Full,
        }
    }
}

/// What an answer promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// What was answered survives a power cut.
    #[default]
    Full,
    /// A power cut may take the last moments; the database stays whole.
    Relaxed,
}

/// Metadata in SQLite.
#[derive(Debug)]
pub struct SqliteExecutor {
    readers: Arc<Readers>,
    long_readers: Arc<Readers>,
    long_places: Arc<tokio::sync::Semaphore>,
    /// Those of the long places that looks at everything may take at once: the others stay with lists.
    look_places: Arc<tokio::sync::Semaphore>,
    queries: Queries,
    writer: Writer,
    room: Arc<Room>,
    /// In force; replaced as a whole after the commit that changed a policy.
    rules: Arc<ArcSwap<Rules>>,
    /// Held for as long as anything above may be open.
    lock: Arc<Lock>,
}

impl SqliteExecutor {
    /// Opens the database, makes it where there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StorageError::Internal`] where the database is newer than this program, or was moved to another engine, and what
    /// the engine says.
    pub fn open(options: SqliteOptions) -> Result<Self, StorageError> {
        Self::start(options).map_err(|fault| fault.into_storage("open"))
    }

    fn start(options: SqliteOptions) -> Result<Self, Fault> {
        let lock = Lock::serve(&options.path)?;
        // A database that is not to be served says nothing of its disk.
        let room = Arc::new(Room::open(&options.path));
        let conn = connection::migrator(&options.path, options.page_size)?;
        migrations::migrate(&conn, migrations::newest())?;
        // Not where a command opens the database beside its server, whose claims these are.
        if lock.is_sole() {
            webhooks::end_claims(&conn)?;
            jobs::end_claims(&conn)?;
        }
        // Only when another connection keeps the log open may this one close without a checkpoint.
        let options = Arc::new(options);
        let checkpointer = Checkpointer::start(&options, Arc::clone(&room))?;
        let anchor = checkpointer.anchor();
        let writer = Writer::start(Arc::clone(&options), checkpointer, Arc::clone(&room))?;
        let rules = Arc::new(ArcSwap::new(policies::load(&conn)?));
        drop(conn);
        let long_readers = options.long_readers.max(1);
        Ok(Self {
            readers: Arc::new(Readers::open(&options, options.readers, &anchor)?),
            long_readers: Arc::new(Readers::open(&options, long_readers, &anchor)?),
            long_places: Arc::new(tokio::sync::Semaphore::new(long_readers)),
            look_places: Arc::new(tokio::sync::Semaphore::new((long_readers / 2).max(1))),
            queries: Queries::open(&options)?,
            writer,
            room,
            rules,
            lock: Arc::new(lock),
        })
    }

    /// Takes the schema of a database that nobody has open back to an earlier version, for a return to an
    /// earlier program. What later versions kept is lost.
    ///
    /// # Errors
    /// What the engine says.
    pub fn roll_back(path: &Path, version: u32) -> Result<(), StorageError> {
        let back = || {
            let conn = connection::migrator(path, 8192)?;
            migrations::roll_back(&conn, i64::from(version))
        };
        back().map_err(|fault: Fault| fault.into_storage("roll back"))
    }

    /// Runs a point lookup on this thread.
    fn read<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StorageError> {
        self.readers.with(operation, work).map_err(|fault| fault.into_storage(operation))
    }

    /// Runs a read of whatever length on the blocking pool, for as long as PostgreSQL lets a statement run. It waits for its place no
    /// longer than there, and however many come, they leave half of the places to lists.
    async fn scan_within_bounds<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StorageError> {
        const LONGEST: Duration = Duration::from_secs(30);
        const PATIENCE: Duration = Duration::from_secs(1);
        let places = async {
            let look = Arc::clone(&self.look_places).acquire_owned().await.ok()?;
            Some((look, Arc::clone(&self.long_places).acquire_owned().await.ok()?))
        };
        let places = match tokio::time::timeout(PATIENCE, places).await {
            Ok(Some(places)) => places,
            Ok(None) => return Err(errors::unavailable(operation)),
            Err(_) => return Err(StorageError::Overloaded { retry_after: PATIENCE }),
        };
        let readers = Arc::clone(&self.long_readers);
        let read = move || {
            // Held until the connection is free, also when nobody waits for the answer any more.
            let _places = places;
            readers.with_limit(operation, LONGEST, work)
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| StorageError::internal(format!("{operation} panicked")))?
            .map_err(|fault| fault.into_storage(operation))
    }

    /// Runs a longer read on the blocking pool.
    async fn scan<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StorageError> {
        let place = Arc::clone(&self.long_places).acquire_owned().await;
        let place = place.map_err(|_| errors::unavailable(operation))?;
        let readers = Arc::clone(&self.long_readers);
        let read = move || {
            let _place = place;
            readers.with(operation, work)
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| StorageError::internal(format!("{operation} panicked")))?
            .map_err(|fault| fault.into_storage(operation))
    }
}
