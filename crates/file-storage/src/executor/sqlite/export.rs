//! Reading a whole database, to move it or to back it up: through a connection that can't write, in one transaction, table by table.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tokio::sync::mpsc;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::errors::Fault;
use super::lock::Lock;
use super::{migrations, policies};
use crate::errors::StorageError;
use crate::executor::migrate::cell::{Cell, Keeper, Row, Tally};
use crate::executor::migrate::tables::{TABLES, Table};

/// Most rows that go together.
const ROWS: usize = 512;

/// Bytes that go together, more or less: one row may have more.
const BYTES: usize = 1 << 20;

/// How long the start waits for another process's lock.
const BUSY: Duration = Duration::from_secs(10);

/// Tables of ours: SQLite's own begin with `sqlite_`.
const KNOWN: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";

/// Without what means nothing in another database: how often a bucket changed in this one.
const COLUMNS: &str = "SELECT name FROM pragma_table_info(?1) \
     WHERE NOT (?1 = 'storage_buckets' AND name = 'changes') ORDER BY name";

/// Who else may have the database open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::executor) enum Hold {
    /// Nobody.
    Alone,
    /// Servers, too.
    Beside,
    /// Servers, too; and some may start, but nobody may move it away.
    Shared,
}

/// A database that is read and not changed. All of its functions block.
#[derive(Debug)]
pub(in crate::executor) struct Export {
    conn: Mutex<Connection>,
    /// Kept to the end. `None` where a server has the database open.
    lock: Option<Lock>,
}

impl Export {
    pub(in crate::executor) fn open(path: &Path, hold: Hold) -> Result<Self, StorageError> {
        if !path.is_file() {
            let context = format!("there is no SQLite database {}", path.display());
            return Err(StorageError::internal(context));
        }
        let lock = match hold {
            Hold::Alone | Hold::Beside => Lock::alone(path)?,
            Hold::Shared => Some(Lock::serve(path)?),
        };
        if lock.is_none() && hold == Hold::Alone {
            let context = format!("a server has {} open: stop it first", path.display());
            return Err(StorageError::internal(context));
        }
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let conn = Connection::open_with_flags(path, flags)?;
            conn.busy_timeout(BUSY)?;
            // One view of all tables, whatever a server beside us writes.
            conn.execute_batch("BEGIN")?;
            check(&conn)?;
            Ok(conn)
        };
        let conn = open().map_err(|fault: Fault| fault.into_storage("open"))?;
        Ok(Self { conn: Mutex::new(conn), lock })
    }

    /// Whether a server has it open.
    pub(in crate::executor) fn in_use(&self) -> bool {
        self.lock.is_none()
    }

    /// Rows of all tables.
    pub(in crate::executor) fn count(&self) -> Result<u64, StorageError> {
        let conn = self.conn();
        let count = |table: &Table| {
            let sql = format!("SELECT count(*) FROM {}", table.name);
            conn.query_row(&sql, [], |row| row.get::<_, i64>(0))
        };
        let counts: Result<Vec<i64>, _> = TABLES.iter().map(count).collect();
        let sum = counts.map_err(|error| Fault::from(error).into_storage("count"))?.into_iter().sum::<i64>();
        Ok(u64::try_from(sum).unwrap_or(0))
    }

    /// Sends the rows of a table, as they lie. Ends early where nobody takes them any more.
    pub(in crate::executor) fn read(
        &self,
        table: &Table,
        rows: &mpsc::Sender<Vec<Row>>,
        keeper: Keeper,
    ) -> Result<Tally, StorageError> {
        send(&self.conn(), table, rows, keeper).map_err(|fault| fault.into_storage("read"))
    }

    /// The number that the next row of a table would have.
    pub(in crate::executor) fn next_in_sequence(&self, table: &Table) -> Result<i64, StorageError> {
        let conn = self.conn();
        let last = conn
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = ?1", [table.name], |row| row.get(0))
            .optional()
            .map_err(|error| Fault::from(error).into_storage("sequence"))?;
        Ok(last.map_or(1, |last: i64| last.saturating_add(1)))
    }

    /// Tells servers that the metadata is elsewhere now.
    pub(in crate::executor) fn leave_word(&self, word: &str) -> Result<(), StorageError> {
        self.lock.as_ref().map_or(Ok(()), |lock| lock.leave_word(word))
    }

    fn conn(&self) -> MutexGuard<'_, Connection> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The schema must be the one that is known, to the last column: what is not known would be lost.
fn check(conn: &Connection) -> Result<(), Fault> {
    let (found, known) = (migrations::current(conn)?, migrations::newest());
    if found != known {
        let context = format!(
            "the database has schema version {found}, and this Aerostore moves version {known}: start and stop a server \
             of this version on it first (a newer database needs a newer Aerostore)"
        );
        return Err(StorageError::internal(context).into());
    }
    let names = |sql: &str, of: &[&str]| -> Result<Vec<String>, rusqlite::Error> {
        conn.prepare(sql)?.query_map(rusqlite::params_from_iter(of), |row| row.get(0))?.collect()
    };
    for found in names(KNOWN, &[])? {
        let columns = TABLES.iter().find(|table| table.name == found).map(|table| {
            let mut columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
            columns.sort_unstable();
            columns
        });
        if columns.is_none_or(|columns| names(COLUMNS, &[&found]).is_ok_and(|there| there != columns)) {
            let context = format!("the database's table {found} is not one that can be moved");
            return Err(StorageError::internal(context).into());
        }
    }
    // What is not understood could not be put into force there.
    policies::load(conn)?;
    Ok(())
}

fn send(
    conn: &Connection,
    table: &Table,
    rows: &mpsc::Sender<Vec<Row>>,
    keeper: Keeper,
) -> Result<Tally, Fault> {
    let mut statement = conn.prepare(&format!("SELECT {} FROM {}", table.list(), table.name))?;
    let mut found = statement.query([])?;
    let (mut tally, mut batch, mut weight) = (Tally::default(), Vec::new(), 0_usize);
    while let Some(row) = found.next()? {
        let cells = row_of(row, table)?;
        tally.add_for(&cells, keeper).map_err(|reason| unkeepable(table, &cells, reason))?;
        weight = cells.iter().fold(weight, |sum, cell| sum.saturating_add(cell.weight()));
        batch.push(cells);
        if batch.len() >= ROWS || weight >= BYTES {
            weight = 0;
            if rows.blocking_send(std::mem::take(&mut batch)).is_err() {
                return Ok(tally);
            }
        }
    }
    if !batch.is_empty() {
        // Whoever takes them no more knows why.
        let _ = rows.blocking_send(batch);
    }
    Ok(tally)
}

/// What a row of `SELECT` over a table's columns holds.
pub(super) fn row_of(row: &rusqlite::Row<'_>, table: &Table) -> Result<Row, Fault> {
    let mut cells = Row::with_capacity(table.columns.len());
    for (at, (name, ty)) in table.columns.iter().enumerate() {
        cells.push(cell(row.get_ref(at)?, ty).ok_or_else(|| Fault::corrupt(name))?);
    }
    Ok(cells)
}

/// A value as PostgreSQL's type has it; `None` where our own code never puts such a one.
fn cell(value: ValueRef<'_>, ty: &Type) -> Option<Cell> {
    Some(match (value, ty) {
        (ValueRef::Null, _) => Cell::Null,
        (ValueRef::Integer(number), &Type::BOOL) => Cell::Flag(number != 0),
        (ValueRef::Integer(number), &Type::INT4) => Cell::Int(i32::try_from(number).ok()?.into()),
        (ValueRef::Integer(number), &Type::INT8) => Cell::Int(number),
        (ValueRef::Integer(micros), &Type::TIMESTAMPTZ) => Cell::Time(micros),
        (ValueRef::Text(text), &Type::UUID) => Cell::Uuid(Uuid::try_parse_ascii(text).ok()?),
        (ValueRef::Text(text), &Type::TEXT) => Cell::Text(str::from_utf8(text).ok()?.to_owned()),
        (ValueRef::Text(text), &Type::JSONB) => Cell::Json(str::from_utf8(text).ok()?.to_owned()),
        (ValueRef::Text(text), &Type::TEXT_ARRAY) => Cell::Words(serde_json::from_slice(text).ok()?),
        (ValueRef::Blob(bytes), &Type::BYTEA) => Cell::Bytes(bytes.to_owned()),
        _ => return None,
    })
}

/// Names the row by its first columns, which are its name.
fn unkeepable(
    table: &Table,
    row: &[Cell],
    reason: crate::executor::migrate::cell::Unkeepable,
) -> StorageError {
    let name = |cell: &Cell| match cell {
        Cell::Text(text) => Some(format!("'{}'", text.escape_debug())),
        Cell::Uuid(uuid) => Some(uuid.to_string()),
        Cell::Int(number) => Some(number.to_string()),
        _ => None,
    };
    let names: Vec<String> = row.iter().take(2).filter_map(name).collect();
    StorageError::internal(format!("a row of {} can't be moved ({}): {reason}", table.name, names.join(", ")))
}
