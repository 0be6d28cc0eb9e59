//! SQLite's lock of readers, held by one connection while nobody writes.
//!
//! Each read takes a shared lock on the log and gives it back: two system calls, inside a mutex that all connections of
//! this process share. Where another connection of the process holds the same lock, a counter does, and no thread waits
//! for another. Reads see the same as without it: each still looks for the newest commit itself.
//!
//! IMPORTANT: what holds the lock is in the way of checkpoints, those of other processes too. So it is held only when
//! the whole log was moved, it is let go before this process writes, and once a second in any case.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use rusqlite::Connection;

use super::SqliteOptions;
use super::connection;
use super::errors::Fault;

/// The connection that holds the lock, and whether there are readers whom it would serve.
#[derive(Debug)]
pub(super) struct Anchor {
    conn: Mutex<Option<Connection>>,
    held: AtomicBool,
    wanted: AtomicBool,
    /// Wakes the thread that checkpoints, which takes the lock when all is quiet.
    waker: Weak<SyncSender<()>>,
}

impl Anchor {
    /// Opens the connection.
    pub(super) fn open(options: &SqliteOptions, waker: Weak<SyncSender<()>>) -> Result<Self, Fault> {
        let conn = Mutex::new(Some(connection::reader(options)?));
        Ok(Self { conn, held: AtomicBool::new(false), wanted: AtomicBool::new(false), waker })
    }

    /// Says that somebody reads. Costs next to nothing, but for the first time in a second.
    pub(super) fn want(&self) {
        if !self.wanted.load(Ordering::Relaxed)
            && !self.wanted.swap(true, Ordering::AcqRel)
            && !self.held.load(Ordering::Acquire)
            && let Some(waker) = self.waker.upgrade()
        {
            // Full means that the thread will look anyway.
            let _full = waker.try_send(());
        }
    }

    /// Whether the thread that checkpoints has to come back for it.
    pub(super) fn is_pending(&self) -> bool {
        self.wanted.load(Ordering::Acquire) || self.held.load(Ordering::Acquire)
    }

    /// Takes the lock, if somebody has read since it was asked for last.
    pub(super) fn take(&self) -> Result<(), Fault> {
        if !self.wanted.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let slot = self.slot();
        if let Some(conn) = &*slot {
            self.held.store(true, Ordering::Release);
            conn.prepare_cached("BEGIN")?.execute([])?;
            conn.prepare_cached("SELECT 1 FROM sqlite_schema LIMIT 1")?.exists([])?;
        }
        Ok(())
    }

    /// Lets the lock go.
    pub(super) fn release(&self) -> Result<(), Fault> {
        if !self.held.load(Ordering::Acquire) {
            return Ok(());
        }
        let slot = self.slot();
        if let Some(conn) = slot.as_ref().filter(|conn| !conn.is_autocommit()) {
            conn.prepare_cached("ROLLBACK")?.execute([])?;
        }
        self.held.store(false, Ordering::Release);
        Ok(())
    }

    /// Closes the connection. From then on the lock is never taken.
    pub(super) fn close(&self) {
        drop(self.slot().take());
    }

    fn slot(&self) -> MutexGuard<'_, Option<Connection>> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
