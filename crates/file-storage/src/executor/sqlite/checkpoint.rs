//! Checkpoints: moving what was committed from the write-ahead log into the database, from a thread of their
//! own, so that no commit waits for one.
//!
//! The log starts anew only when all of it was moved while nobody was writing. Under steady load that never
//! comes by itself: when the log has grown long, the writer moves the little that is left, between two commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::SqliteOptions;
use super::anchor::Anchor;
use super::connection;
use super::errors::Fault;
use super::room::Room;
use crate::errors::StorageError;

/// Bytes of the log that are worth a checkpoint.
const WORTH: u64 = 16 << 20;

/// Bytes of the log at which the writer has to lend a hand.
const LONG: u64 = 128 << 20;

/// How long after the last commit the rest of the log is moved.
const QUIET: Duration = Duration::from_secs(1);

/// How often the log is looked at under load.
const PACE: Duration = Duration::from_millis(20);

/// The writer's end of the checkpointing thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    dirty: Option<Arc<SyncSender<()>>>,
    lend_a_hand: Arc<AtomicBool>,
    anchor: Arc<Anchor>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(options: &SqliteOptions, room: Arc<Room>) -> Result<Self, Fault> {
        let conn = connection::checkpointer(options)?;
        let page_size: u64 =
            u64::try_from(conn.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0))?)
                .unwrap_or(4096);
        let (dirty, commits) = sync_channel(1);
        let dirty = Arc::new(dirty);
        let anchor = Arc::new(Anchor::open(options, Arc::downgrade(&dirty))?);
        let lend_a_hand = Arc::new(AtomicBool::new(false));
        let (flag, held) = (Arc::clone(&lend_a_hand), Arc::clone(&anchor));
        let thread = std::thread::Builder::new()
            .name("sqlite-checkpoint".to_owned())
            .spawn(move || run(&conn, page_size, &commits, &flag, &room, &held))
            .map_err(|error| StorageError::Internal {
                context: "the checkpointing thread could not be started".to_owned(),
                source: Some(Arc::new(error)),
            })?;
        Ok(Self { dirty: Some(dirty), lend_a_hand, anchor, thread: Some(thread) })
    }

    /// What readers share.
    pub(super) fn anchor(&self) -> Arc<Anchor> {
        Arc::clone(&self.anchor)
    }

    /// Says that there will be a commit.
    pub(super) fn commits(&self) {
        report(self.anchor.release());
    }

    /// Says that there was a commit. Called by the writer between transactions.
    pub(super) fn committed(&self, conn: &Connection) {
        if self.lend_a_hand.swap(false, Ordering::AcqRel) {
            report(checkpoint(conn, "PASSIVE").map(|_| ()));
        }
        self.wake();
    }

    /// Makes the thread look at the log, and at the room on the disk.
    pub(super) fn wake(&self) {
        if let Some(dirty) = &self.dirty {
            // Full means that the thread will look anyway.
            let _full = dirty.try_send(());
        }
    }

    /// Ends the thread. What is left of the log is moved when the last connection closes.
    pub(super) fn close(&mut self) {
        self.dirty = None;
        self.anchor.close();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the checkpointing thread ended badly");
        }
    }
}

fn run(
    conn: &Connection,
    page_size: u64,
    commits: &Receiver<()>,
    lend_a_hand: &AtomicBool,
    room: &Room,
    anchor: &Anchor,
) {
    let mut unmoved = false;
    loop {
        let waits = unmoved || room.is_refusing() || anchor.is_pending();
        let patience = if waits { QUIET } else { Duration::MAX };
        let quiet = match commits.recv_timeout(patience) {
            Ok(()) => false,
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        report(anchor.release());
        let worth = if quiet { 1 } else { WORTH / page_size };
        match tick(conn, worth, room) {
            Ok(log) => {
                unmoved = !quiet && log.unmoved() > 0;
                if log.pages > LONG / page_size {
                    lend_a_hand.store(true, Ordering::Release);
                }
                if quiet && log.unmoved() == 0 {
                    report(anchor.take());
                }
            }
            Err(fault) => {
                let error = fault.into_storage("checkpoint");
                // The room that moving the log takes comes back with the log.
                if !matches!(error, StorageError::DiskFull { .. }) || !room.give_up() {
                    report(Err(error.into()));
                }
                unmoved = true;
            }
        }
        if !quiet {
            std::thread::sleep(PACE);
        }
    }
}

/// Looks at the log, and moves it where that is worth it; where the disk has little room, all of it, and gives back
/// what the log took.
fn tick(conn: &Connection, worth: u64, room: &Room) -> Result<Log, Fault> {
    if room.is_short() {
        let log = checkpoint(conn, "TRUNCATE")?;
        room.reconsider(conn);
        return Ok(log);
    }
    let log = checkpoint(conn, "NOOP")?;
    if log.unmoved() >= worth { checkpoint(conn, "PASSIVE") } else { Ok(log) }
}

/// How long the log is, and how much of it was moved, in pages.
pub(super) struct Log {
    pages: u64,
    moved: u64,
}

impl Log {
    /// Pages that the database does not have yet.
    pub(super) fn unmoved(&self) -> u64 {
        self.pages.saturating_sub(self.moved)
    }
}

/// Moves the log as SQLite's `mode` says.
pub(super) fn checkpoint(conn: &Connection, mode: &str) -> Result<Log, Fault> {
    let log = conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (pages, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
        // Both are -1 where there is no log yet.
        Ok(Log { pages: u64::try_from(pages).unwrap_or(0), moved: u64::try_from(moved).unwrap_or(0) })
    })?;
    Ok(log)
}

fn report(outcome: Result<(), Fault>) {
    if let Err(fault) = outcome {
        let error = fault.into_storage("checkpoint");
        match error {
            // Told when the reserve was given up.
            StorageError::DiskFull { .. } => {
                tracing::debug!("no room for a checkpoint; the next one tries again");
            }
            error => tracing::warn!(?error, "a checkpoint failed; the next one tries again"),
        }
    }
}
