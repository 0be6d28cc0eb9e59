//! Where entries wait until they are lines, and whoever made them waits for that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::writer::Writer;
use super::{AuditError, AuditOptions, Entry, Event, Outcome};
use crate::errors::StorageError;

/// Changes and reads that are under way or wait at once; more wait for room before they begin.
const ROOM: usize = 4096;

/// Entries that are kept while nothing can be written. What comes beyond them is lost, and counted.
const MOST_KEPT: usize = 100_000;

/// Time between two attempts to write what could not be written.
const RETRY: Duration = Duration::from_millis(500);

/// Time between two looks for files that are old enough to go.
pub(super) const PRUNE: Duration = Duration::from_secs(600);

/// Who is named where the log's disk is full, or gone.
const PLACE: &str = "audit log";

/// The audit log of a server. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct AuditLog(Arc<Shared>);

struct Shared {
    keeps_all: bool,
    continues_on_failure: bool,
    room: Arc<Semaphore>,
    state: Mutex<State>,
    changed: Condvar,
    /// Whether the last attempt to write failed.
    is_failing: AtomicBool,
    is_full: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    closed: bool,
}

/// Entries that are to be lines, one behind the other.
struct Waiting {
    entries: Vec<Entry>,
    answer: Option<oneshot::Sender<bool>>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Leave to make a change, whose line will have room.
pub(crate) struct Room(OwnedSemaphorePermit);

impl AuditLog {
    /// Opens the log, goes on behind its last line, and says that the server starts. Where changes go on without lines, it also
    /// starts without one, which comes later.
    ///
    /// # Errors
    /// [`AuditError`]: its place can't be used, or another process uses it.
    pub fn open(options: AuditOptions) -> Result<Self, AuditError> {
        let shared = Arc::new(Shared {
            keeps_all: options.keeps_all,
            continues_on_failure: options.continues_on_failure,
            room: Arc::new(Semaphore::new(ROOM)),
            state: Mutex::default(),
            changed: Condvar::new(),
            is_failing: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            thread: Mutex::default(),
        });
        let directory = options.directory.clone();
        let (writer, unwritten) = Writer::open(options)?;
        shared.is_failing.store(unwritten.is_some(), Ordering::Release);
        metrics::gauge!("storage_audit_failing").set(if unwritten.is_some() { 1.0 } else { 0.0 });
        let writing = shared.clone();
        // What could not be written stands before all else.
        let kept = Vec::from_iter(unwritten);
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || write_out(&writing, writer, kept));
        *lock(&shared.thread) = Some(thread.map_err(AuditError::at(&directory))?);
        Ok(Self(shared))
    }

    /// Whether reads, lists and refusals are wanted, too.
    pub fn keeps_all(&self) -> bool {
        self.0.keeps_all
    }

    /// What is wrong, while lines can't be written; `None` where they are.
    pub fn problem(&self) -> Option<String> {
        if !self.0.is_failing.load(Ordering::Acquire) {
            return None;
        }
        let why = if self.0.is_full.load(Ordering::Acquire) { ", as its disk is full" } else { "" };
        let what = match self.0.continues_on_failure {
            true => "changes go on, and their lines wait in memory",
            false => "changes are refused",
        };
        Some(format!("the audit log can't be written{why}: {what}"))
    }

    /// Leave to make a change: not while its line could not be written, unless changes go on all the same.
    pub(crate) async fn admit(&self) -> Result<Room, StorageError> {
        if self.0.is_failing.load(Ordering::Acquire) && !self.0.continues_on_failure {
            return Err(self.fault());
        }
        self.0.room().await.map(Room)
    }

    /// Writes the lines of a change, and answers when they are there. It is taken at once, also where nobody waits for the answer.
    pub(crate) fn write(
        &self,
        room: Option<Room>,
        entries: Vec<Entry>,
    ) -> impl Future<Output = Result<(), StorageError>> + use<> {
        let (answer, written) = oneshot::channel();
        self.0.push(Waiting { entries, answer: Some(answer), _room: room.map(|room| room.0) });
        let log = self.clone();
        async move {
            match written.await {
                Ok(true) => Ok(()),
                Ok(false) | Err(_) if log.0.continues_on_failure => Ok(()),
                Ok(false) | Err(_) => Err(log.fault()),
            }
        }
    }

    /// Takes what changed nothing. Waits for room, and not for the file.
    pub async fn note(&self, entry: Entry) {
        if let Ok(room) = self.0.room().await {
            self.0.push(Waiting { entries: vec![entry], answer: None, _room: Some(room) });
        }
    }

    /// Writes what waits, says that the server stops, and ends.
    pub async fn close(&self) {
        lock(&self.0.state).closed = true;
        self.0.changed.notify_all();
        let thread = lock(&self.0.thread).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    fn fault(&self) -> StorageError {
        if self.0.is_full.load(Ordering::Acquire) {
            return StorageError::DiskFull { provider: PLACE.into() };
        }
        StorageError::ProviderUnavailable { provider: PLACE.into(), operation: "write", source: None }
    }
}

impl Shared {
    async fn room(&self) -> Result<OwnedSemaphorePermit, StorageError> {
        let room = self.room.clone().acquire_owned().await;
        room.map_err(|_| StorageError::internal("the audit log has ended"))
    }

    fn push(&self, waiting: Waiting) {
        let mut state = lock(&self.state);
        if state.closed {
            // Dropping it answers whoever waits.
            return;
        }
        state.waiting.push(waiting);
        drop(state);
        self.changed.notify_one();
    }
}

/// What is said if a change is dropped before it is known what came of it.
pub(crate) struct Unanswered<'a> {
    log: &'a AuditLog,
    room: Option<Room>,
    entry: Option<Entry>,
}

impl<'a> Unanswered<'a> {
    pub(crate) fn new(log: &'a AuditLog, room: Room, entry: Entry) -> Self {
        Self { log, room: Some(room), entry: Some(entry) }
    }

    /// What came of it is known.
    pub(crate) fn answered(mut self) -> (Option<Room>, Option<Entry>) {
        (self.room.take(), self.entry.take())
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            drop(self.log.write(self.room.take(), vec![entry.ended(Outcome::Unknown)]));
        }
    }
}

/// Writes what comes, as much as there is at once, until closed and empty. `kept` is what could not be written yet.
fn write_out(shared: &Shared, mut writer: Writer, mut kept: Vec<Entry>) {
    // How many entries there was no room for.
    let mut lost = 0_u64;
    loop {
        let mut state = lock(&shared.state);
        if state.waiting.is_empty() && !state.closed {
            let pause = if kept.is_empty() { PRUNE } else { RETRY };
            let waited = shared.changed.wait_timeout(state, pause);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let (waiting, closed) = (std::mem::take(&mut state.waiting), state.closed);
        drop(state);
        let (mut answers, mut rooms) = (Vec::new(), Vec::new());
        for mut one in waiting {
            kept.append(&mut one.entries);
            answers.extend(one.answer);
            rooms.extend(one._room);
        }
        let written = write(shared, &mut writer, &mut kept, &mut lost);
        for answer in answers {
            let _ = answer.send(written);
        }
        drop(rooms);
        if closed {
            if written {
                let _ = writer.append(&[Entry::new(Event::Stop)]);
            }
            return;
        }
    }
}

/// Writes all entries, and says whether they are there; where they are not, keeps as many as may be.
fn write(shared: &Shared, writer: &mut Writer, kept: &mut Vec<Entry>, lost: &mut u64) -> bool {
    let was_failing = shared.is_failing.load(Ordering::Acquire);
    let resumes = was_failing.then(|| Entry::new(Event::Resume).count(*lost));
    let outcome = match resumes {
        None => writer.append(kept),
        Some(resumes) => {
            let before = kept.len();
            kept.push(resumes);
            let outcome = writer.append(kept);
            kept.truncate(before);
            outcome
        }
    };
    match outcome {
        Ok(()) => {
            if let Err(error) = writer.prune() {
                tracing::warn!(%error, "old files of the audit log are not deleted");
            }
            metrics::counter!("storage_audit_lines_total").increment(kept.len() as u64);
            kept.clear();
            if was_failing {
                tracing::warn!(lost = *lost, "the audit log is written again");
                *lost = 0;
                shared.is_failing.store(false, Ordering::Release);
                metrics::gauge!("storage_audit_failing").set(0.0);
            }
            true
        }
        Err(error) => {
            let beyond = kept.len().saturating_sub(MOST_KEPT);
            kept.truncate(MOST_KEPT);
            *lost += beyond as u64;
            metrics::counter!("storage_audit_lost_total").increment(beyond as u64);
            let is_full =
                matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
            shared.is_full.store(is_full, Ordering::Release);
            if !was_failing {
                let refuses = !shared.continues_on_failure;
                tracing::error!(%error, changes_are_refused = refuses, "the audit log can't be written");
                shared.is_failing.store(true, Ordering::Release);
                metrics::gauge!("storage_audit_failing").set(1.0);
            }
            false
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
