//! Connections that read: a few slots, each a connection behind a lock that is almost always free.
//!
//! A point lookup runs where its request runs: it is cheaper than a hop to another thread. Each thread has a
//! slot that it tries first, so that threads neither wait for each other nor share a page cache.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::SqliteOptions;
use super::anchor::Anchor;
use super::connection;
use super::errors::{Fault, unavailable};

/// A fixed number of connections. Empty slots mean that the database is closed.
#[derive(Debug)]
pub(super) struct Readers {
    slots: Vec<Mutex<Option<Connection>>>,
    anchor: Arc<Anchor>,
}

impl Readers {
    /// Opens `number` connections, at least one.
    pub(super) fn open(options: &SqliteOptions, number: usize, anchor: &Arc<Anchor>) -> Result<Self, Fault> {
        let slots = (0..number.max(1))
            .map(|_| Ok(Mutex::new(Some(connection::reader(options)?))))
            .collect::<Result<_, Fault>>()?;
        Ok(Self { slots, anchor: Arc::clone(anchor) })
    }

    /// Runs a read on this thread's connection, or on another one that is free.
    pub(super) fn with<T>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let slot = self.lock(operation)?;
        let conn = slot.as_ref().ok_or_else(|| unavailable(operation))?;
        self.anchor.want();
        read(conn)
    }

    /// The same, of a read that ends when its time is over: as one that was interrupted.
    pub(super) fn with_limit<T>(
        &self,
        operation: &'static str,
        longest: Duration,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        /// Steps of the engine between two looks at the clock: about a millisecond.
        const STEPS: i32 = 100_000;
        let mut slot = self.lock(operation)?;
        let conn = slot.as_mut().ok_or_else(|| unavailable(operation))?;
        self.anchor.want();
        let began = Instant::now();
        conn.progress_handler(STEPS, Some(move || began.elapsed() >= longest))?;
        let outcome = read(conn);
        conn.progress_handler(0, None::<fn() -> bool>)?;
        outcome
    }

    fn lock(&self, operation: &'static str) -> Result<MutexGuard<'_, Option<Connection>>, Fault> {
        let home = home() % self.slots.len().max(1);
        let (before, from_home) = self.slots.split_at_checked(home).unwrap_or((&[], &self.slots));
        let free = from_home.iter().chain(before).find_map(|slot| slot.try_lock().ok());
        match free {
            Some(guard) => Ok(guard),
            // A panic while a slot was held leaves nothing half done: reads change nothing.
            None => from_home
                .first()
                .map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner))
                .ok_or_else(|| unavailable(operation).into()),
        }
    }

    /// Closes the connections, each when its read has ended.
    pub(super) fn close(&self) {
        for slot in &self.slots {
            drop(slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// The slot that this thread tries first.
fn home() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static HOME: Cell<Option<usize>> = const { Cell::new(None) });
    HOME.with(|home| {
        home.get().unwrap_or_else(|| {
            let mine = NEXT.fetch_add(1, Ordering::Relaxed);
            home.set(Some(mine));
            mine
        })
    })
}
