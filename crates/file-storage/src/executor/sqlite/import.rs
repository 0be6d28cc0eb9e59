//! Taking all metadata in, as one transaction, into a database that was not there before: what a restored backup is read
//! from. Our triggers are off meanwhile, as they would count what is counted already; before the commit they stand again.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::{ToSql, ToSqlOutput, Value};
use rusqlite::{Connection, params_from_iter};
use tokio::sync::mpsc;

use super::errors::Fault;
use super::export::row_of;
use super::lock::Lock;
use super::{connection, migrations, policies, usage};
use crate::errors::StorageError;
use crate::executor::event::restored_floor;
use crate::executor::migrate::cell::{Cell, Keeper, Row, Tally};
use crate::executor::migrate::tables::Table;
use crate::permissions::Access;

/// As a new database of a server has it (`SqliteOptions::page_size`).
const PAGE_SIZE: u32 = 4096;

const TRIGGERS: &str = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND sql IS NOT NULL";

/// The last number that an event had, also one that is gone.
const LAST_EVENT: &str = "SELECT max(coalesce((SELECT max(sequence) FROM storage_events), 0), \
     coalesce((SELECT max(position) FROM storage_events_gone), 0), \
     coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'storage_events'), 0))";

const EVENTS_GONE: &str = "INSERT INTO storage_events_gone (id, position) VALUES (1, ?1) \
     ON CONFLICT (id) DO UPDATE SET position = excluded.position";

/// The transaction. Nothing of it remains where it is not finished. All of its functions block.
#[derive(Debug)]
pub(in crate::executor) struct Import {
    conn: Mutex<Connection>,
    /// Statements that make the triggers again.
    triggers: Vec<String>,
    /// Kept to the end: no server opens what is not finished.
    _lock: Lock,
}

impl Import {
    /// Makes the database, and begins. Takes none that is there.
    pub(in crate::executor) fn begin(path: &Path) -> Result<Self, StorageError> {
        let there = path.try_exists().map_err(|_| unusable(path, "can't be reached"))?;
        if there {
            return Err(unusable(path, "is there already: metadata is put into a new one"));
        }
        let lock = Lock::alone(path)?.ok_or_else(|| unusable(path, "is in use"))?;
        let begin = || {
            let conn = connection::migrator(path, PAGE_SIZE)?;
            migrations::migrate(&conn, migrations::newest())?;
            conn.execute_batch("BEGIN IMMEDIATE")?;
            let found: Result<Vec<(String, String)>, _> =
                conn.prepare(TRIGGERS)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect();
            let mut triggers = Vec::new();
            for (name, sql) in found? {
                conn.execute_batch(&format!("DROP TRIGGER \"{name}\""))?;
                triggers.push(sql);
            }
            Ok(Self { conn: Mutex::new(conn), triggers, _lock: lock })
        };
        begin().map_err(|fault: Fault| fault.into_storage("import"))
    }

    /// Fills a table with rows, as they come.
    pub(in crate::executor) fn fill(
        &self,
        table: &Table,
        rows: &mut mpsc::Receiver<Vec<Row>>,
    ) -> Result<(), StorageError> {
        let conn = self.conn();
        let mut fill = || {
            let values: Vec<String> = (1..=table.columns.len()).map(|at| format!("?{at}")).collect();
            let (name, columns, values) = (table.name, table.list(), values.join(", "));
            let mut insert = conn.prepare(&format!("INSERT INTO {name} ({columns}) VALUES ({values})"))?;
            while let Some(batch) = rows.blocking_recv() {
                for row in &batch {
                    insert.execute(params_from_iter(row))?;
                }
            }
            Ok(())
        };
        fill().map_err(|fault: Fault| fault.into_storage("import"))
    }

    /// What a table holds now.
    pub(in crate::executor) fn tally(&self, table: &Table) -> Result<Tally, StorageError> {
        let conn = self.conn();
        let read = || {
            let mut statement = conn.prepare(&format!("SELECT {} FROM {}", table.list(), table.name))?;
            let (mut found, mut tally) = (statement.query([])?, Tally::default());
            while let Some(row) = found.next()? {
                let row = row_of(row, table)?;
                tally.add_for(&row, Keeper::Anything).map_err(|_| Fault::corrupt(table.name))?;
            }
            Ok(tally)
        };
        read().map_err(|fault: Fault| fault.into_storage("import"))
    }

    /// Sets the number that the next row of a table gets.
    pub(in crate::executor) fn restart(&self, table: &Table, next: i64) -> Result<(), StorageError> {
        let Some(_) = table.sequence else { return Ok(()) };
        let (conn, last) = (self.conn(), next.saturating_sub(1));
        let restart = || {
            conn.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table.name])?;
            let insert = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";
            conn.execute(insert, rusqlite::params![table.name, last])?;
            Ok(())
        };
        restart().map_err(|fault: Fault| fault.into_storage("import"))
    }

    /// Has events go on far ahead of all that may have been told of since they were read: whoever comes back with such a number hears
    /// that what came between is gone.
    pub(in crate::executor) fn leave_events_behind(&self) -> Result<(), StorageError> {
        let conn = self.conn();
        let leave = || {
            let last: i64 = conn.query_row(LAST_EVENT, [], |row| row.get(0))?;
            let floor = restored_floor(last);
            conn.execute(EVENTS_GONE, [floor])?;
            conn.execute("DELETE FROM sqlite_sequence WHERE name = 'storage_events'", [])?;
            conn.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('storage_events', ?1)", [floor])?;
            Ok(())
        };
        leave().map_err(|fault: Fault| fault.into_storage("import"))
    }

    /// Counts anew, and where the counters are right puts the triggers back, and commits.
    pub(in crate::executor) fn finish(self, access: &Access) -> Result<(), StorageError> {
        let Self { conn, triggers, _lock } = self;
        let conn = conn.into_inner().unwrap_or_else(PoisonError::into_inner);
        let finish = || {
            for trigger in &triggers {
                conn.execute_batch(trigger)?;
            }
            if conn.prepare("PRAGMA foreign_key_check")?.exists([])? {
                let context = "rows refer to others that are not there; nothing was restored";
                return Err(StorageError::internal(context).into());
            }
            if let Some(first) = usage::differences(&conn, access)?.first() {
                let context = format!(
                    "counters are wrong (first {} '{}'), and were so when the backup was made: set them right there with \
                     `aerostore usage --repair`; nothing was restored",
                    first.scope, first.name
                );
                return Err(StorageError::internal(context).into());
            }
            // What is not understood would not be in force.
            policies::load(&conn)?;
            Ok(conn.execute_batch("COMMIT")?)
        };
        finish().map_err(|fault: Fault| fault.into_storage("import"))?;
        // Moves the log into the database, as it is the only connection.
        conn.close().map_err(|(_, error)| Fault::from(error).into_storage("import"))
    }

    fn conn(&self) -> MutexGuard<'_, Connection> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ToSql for Cell {
    /// The value as our tables have it here: no type of SQLite's own is a time, a UUID, or JSON.
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = |text: String| ToSqlOutput::Owned(Value::Text(text));
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Flag(flag) => ToSqlOutput::Owned(Value::Integer(i64::from(*flag))),
            Self::Int(number) | Self::Time(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Uuid(uuid) => text(uuid.to_string()),
            Self::Text(words) | Self::Json(words) => ToSqlOutput::Borrowed(words.as_str().into()),
            Self::Words(words) => text(
                serde_json::to_string(words)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?,
            ),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(bytes.as_slice().into()),
        })
    }
}

fn unusable(path: &Path, why: &str) -> StorageError {
    StorageError::internal(format!("the database {} {why}", path.display()))
}
