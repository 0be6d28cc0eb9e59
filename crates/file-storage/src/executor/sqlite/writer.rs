//! The one thread that writes, with group commit: whatever waits is run in one transaction, each operation in
//! a savepoint of its own, and nobody is answered before that transaction is on stable storage.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::SqliteOptions;
use super::checkpoint::Checkpointer;
use super::connection;
use super::errors::{Fault, breaks_connection, full, unavailable};
use super::room::{Effect, Room};
use super::task::{Call, Ran, Task, Then};
use crate::errors::StorageError;
use crate::failpoint;

/// Most operations that share a commit.
const GROUP: usize = 256;

/// Most operations that share a commit while the reserve on the disk is given up: it must hold them.
const SMALL_GROUP: usize = 8;

/// Most operations that wait; callers beyond wait for a place.
const QUEUE: usize = 1024;

enum Message {
    Run(Box<dyn Task>),
    Close,
}

/// The way to the thread that writes.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        options: Arc<SqliteOptions>,
        checkpointer: Checkpointer,
        room: Arc<Room>,
    ) -> Result<Self, Fault> {
        let conn = connection::writer(&options)?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || {
                let failpoints = failpoint::Scope::new(&options.path);
                Loop { conn: Some(conn), options, checkpointer, room, failpoints }.run(waiting);
            })
            .map_err(|error| StorageError::Internal {
                context: "the writer's thread could not be started".to_owned(),
                source: Some(Arc::new(error)),
            })?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Runs an operation as part of a commit and answers when that is done. A caller who stops waiting
    /// does no harm: the operation then happens wholly or not at all. It is refused where the disk has no room.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.send(name, Effect::Takes, once(name, work), None).await
    }

    /// As [`Writer::run`], of what takes next to no room, and is tried on a full disk as well.
    pub(super) async fn keep<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.send(name, Effect::Keeps, once(name, work), None).await
    }

    /// As [`Writer::run`], of what gives room back: it may have the reserve of a full disk, and is then run again.
    pub(super) async fn free<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.send(name, Effect::Frees, work, None).await
    }

    /// As [`Writer::run`]; what follows from the commit is done also when the caller has gone.
    pub(super) async fn run_then<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
        then: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, StorageError> {
        self.send(name, Effect::Takes, once(name, work), Some(Box::new(then))).await
    }

    async fn send<T: Send + 'static>(
        &self,
        name: &'static str,
        effect: Effect,
        work: impl FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
        then: Then<T>,
    ) -> Result<T, StorageError> {
        let (task, answer) = Call::pair(name, effect, work, then);
        self.queue.send(Message::Run(task)).await.map_err(|_| unavailable(name))?;
        answer.await.map_err(|_| unavailable(name))?
    }

    /// Whether the thread still takes work.
    pub(super) fn is_open(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Finishes what waits, closes the connection and ends the thread.
    pub(super) async fn close(&self) {
        // The thread has gone already where this fails.
        let _closed = self.queue.send(Message::Close).await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the database's writer ended badly");
            }
        }
    }
}

/// Work that is run once at most.
fn once<T>(
    name: &'static str,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> impl FnMut(&Connection) -> Result<T, Fault> {
    let mut work = Some(work);
    move |conn| match work.take() {
        Some(work) => work(conn),
        None => Err(StorageError::internal(format!("{name} was run twice")).into()),
    }
}

/// The thread's own.
struct Loop {
    conn: Option<Connection>,
    options: Arc<SqliteOptions>,
    checkpointer: Checkpointer,
    room: Arc<Room>,
    failpoints: failpoint::Scope,
}

impl Loop {
    fn run(mut self, mut waiting: mpsc::Receiver<Message>) {
        let mut group: Vec<Box<dyn Task>> = Vec::with_capacity(GROUP);
        while let Some(first) = waiting.blocking_recv() {
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Run(task) => group.push(task),
                    Message::Close => waiting.close(),
                }
                next = if group.len() < GROUP { waiting.try_recv().ok() } else { None };
            }
            while !group.is_empty() {
                self.commit(&mut group);
            }
        }
        if let Some(conn) = self.conn.take() {
            self.checkpointer.close();
            if let Err((_, error)) = conn.close() {
                tracing::error!(%error, "the database could not be closed cleanly");
            }
        }
    }

    /// Runs and commits tasks from the front of `waiting`: all of them, or up to the one that broke the
    /// transaction. Those are answered and gone.
    fn commit(&mut self, waiting: &mut Vec<Box<dyn Task>>) {
        waiting.retain(|task| !task.is_abandoned());
        self.checkpointer.commits();
        self.refuse_without_room(waiting);
        if waiting.is_empty() {
            return;
        }
        let most = if self.room.is_held() { GROUP } else { SMALL_GROUP }.min(waiting.len());
        let started = Instant::now();
        let mut tried = 0;
        let failpoints = self.failpoints.clone();
        let outcome = match self.connection() {
            Ok(conn) => {
                transaction(conn, waiting.get_mut(..most).unwrap_or_default(), &mut tried, &failpoints)
            }
            Err(fault) => {
                tried = most;
                Err(fault)
            }
        };
        let size = tried;
        let outcome = outcome.map_err(|fault| self.recover(fault));
        let again = matches!(outcome, Err(StorageError::DiskFull { .. })) && self.gives_way(waiting, tried);
        let mut retried = Vec::new();
        for task in waiting.drain(..tried) {
            if again && task.effect() == Effect::Frees {
                retried.push(task);
            } else {
                task.answer(outcome.clone());
            }
        }
        waiting.splice(..0, retried);
        if outcome.is_ok() && size > 0 {
            metrics::histogram!("storage_group_commit_size").record(u32::try_from(size).unwrap_or(u32::MAX));
            metrics::histogram!("storage_group_commit_seconds").record(started.elapsed());
            if let Some(conn) = &self.conn {
                self.checkpointer.committed(conn);
            }
        }
    }

    /// Answers those who take room where there is none, before anything of theirs is done.
    fn refuse_without_room(&mut self, waiting: &mut Vec<Box<dyn Task>>) {
        if !waiting.iter().any(|task| task.effect() == Effect::Takes) {
            return;
        }
        let room = Arc::clone(&self.room);
        // Without a connection, the group fails for that reason.
        if self.connection().is_ok_and(|conn| !room.reconsider(conn)) {
            for task in waiting.extract_if(.., |task| task.effect() == Effect::Takes) {
                task.answer(Err(full()));
            }
            self.checkpointer.wake();
        }
    }

    /// Gives the reserve up for those in a group that the disk had no room for, if any of them frees some.
    fn gives_way(&self, waiting: &[Box<dyn Task>], tried: usize) -> bool {
        waiting.iter().take(tried).any(|task| task.effect() == Effect::Frees) && self.room.give_up()
    }

    /// The connection, opened again if a failure took it.
    fn connection(&mut self) -> Result<&Connection, Fault> {
        if self.conn.is_none() {
            self.conn = Some(connection::writer(&self.options)?);
            tracing::info!("the database's writer has reopened its connection");
        }
        self.conn.as_ref().ok_or_else(|| unavailable("open").into())
    }

    /// Leaves a failed transaction behind, and the connection too where it can't be trusted any more.
    fn recover(&mut self, fault: Fault) -> StorageError {
        let broken = match (&fault, &self.conn) {
            (Fault::Engine(error), _) if breaks_connection(error) => true,
            (_, Some(conn)) => {
                (!conn.is_autocommit() && conn.execute_batch("ROLLBACK").is_err()) || !conn.is_autocommit()
            }
            (_, None) => false,
        };
        if broken {
            self.conn = None;
        }
        let error = fault.into_storage("commit");
        // Each of its callers is told, and tells it.
        tracing::debug!(?error, reopen = broken, "a group of operations could not be committed");
        error
    }
}

/// Runs tasks in one transaction; counts them in `tried`, those that broke it included.
fn transaction(
    conn: &Connection,
    tasks: &mut [Box<dyn Task>],
    tried: &mut usize,
    failpoints: &failpoint::Scope,
) -> Result<(), Fault> {
    let step = |sql: &str| -> Result<(), Fault> {
        conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    };
    // A transaction that can't even begin fails all who wait for it: `tried` says so until it has begun.
    *tried = tasks.len();
    failpoints.hit("sqlite.begin").map_err(|error| injected(&error))?;
    step("BEGIN IMMEDIATE")?;
    *tried = 0;
    for task in tasks {
        *tried += 1;
        step("SAVEPOINT operation")?;
        match task.run(conn) {
            Ran::Done => {}
            Ran::Refused => step("ROLLBACK TO operation")?,
            Ran::Fatal(fault) => return Err(fault),
        }
        if conn.is_autocommit() {
            let lost = format!("{} lost the transaction", task.name());
            return Err(StorageError::internal(lost).into());
        }
        failpoints.hit("sqlite.operation").map_err(|error| injected(&error))?;
        step("RELEASE operation")?;
    }
    failpoints.hit("sqlite.commit").map_err(|error| injected(&error))?;
    step("COMMIT")
}

/// A failure that a test asked for, as the engine would report it.
fn injected(error: &std::io::Error) -> Fault {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull => rusqlite::ffi::SQLITE_FULL,
        _ => rusqlite::ffi::SQLITE_IOERR,
    };
    Fault::Engine(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(error.to_string())))
}
