//! How connections are opened: the settings that durability and speed depend on.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::errors::Fault;
use super::functions;
use super::{SqliteOptions, Synchronous};
use crate::errors::StorageError;
use crate::ownership;

/// Statements that a connection keeps compiled: more than there are.
const STATEMENTS: usize = 128;

/// How long a statement waits for a lock. Only a migration in another process, or a backup, ever holds one.
const BUSY: Duration = Duration::from_secs(10);

/// The connection that writes. Checkpoints are another thread's, so that no commit waits for one.
pub(super) fn writer(options: &SqliteOptions) -> Result<Connection, Fault> {
    let conn = open(options, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(conn)
}

/// A connection that reads, and can do nothing else.
pub(super) fn reader(options: &SqliteOptions) -> Result<Connection, Fault> {
    let conn = open(options, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// A connection that runs what callers ask: on a file opened for reading alone, with what it sorts beyond its cache in
/// files rather than in memory.
pub(super) fn inquirer(options: &SqliteOptions) -> Result<Connection, Fault> {
    let conn = open(options, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "temp_store", "FILE")?;
    conn.set_prepared_statement_cache_capacity(0);
    Ok(conn)
}
/// How long a checkpoint that shortens the log waits for readers, while nobody can write.
const BRIEFLY: Duration = Duration::from_millis(200);

/// The connection that checkpoints.
pub(super) fn checkpointer(options: &SqliteOptions) -> Result<Connection, Fault> {
    let conn = open(options, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.busy_timeout(BRIEFLY)?;
    Ok(conn)
}

/// Makes the file where it is missing, for its owner's eyes alone: it holds the bytes of small objects. SQLite gives
/// its log the same permissions.
fn make_private(path: &Path) -> Result<(), Fault> {
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            // Where root may not give it away, a server of another user says that it can't open it.
            let _ = ownership::hand_over(&file, folder.unwrap_or(Path::new(".")));
            Ok(())
        }
        // Whether it can be opened, SQLite says.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => {
            let context = format!("the database {} could not be made", path.display());
            Err(StorageError::Internal { context, source: Some(Arc::new(source)) }.into())
        }
    }
}

/// A connection for changing the schema, before any other is open.
pub(super) fn migrator(path: &Path, page_size: u32) -> Result<Connection, Fault> {
    make_private(path)?;
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY)?;
    // Only a database that is still empty takes the page size on, and only before it is in WAL mode.
    conn.pragma_update(None, "page_size", page_size)?;
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    Ok(conn)
}

fn open(options: &SqliteOptions, flags: OpenFlags) -> Result<Connection, Fault> {
    // Each connection belongs to one thread at a time, which a mutex of ours sees to: SQLite's own is off.
    let conn = Connection::open_with_flags(&options.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Query plans that do not depend on bound values: else each binding compiles its statement again.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(
        None,
        "synchronous",
        match options.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Relaxed => "NORMAL",
        },
    )?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -i64::from(options.cache_kib))?;
    functions::register(&conn)?;
    Ok(conn)
}
