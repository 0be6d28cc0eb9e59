//! An operation on its way through the writer, with its type rubbed off.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::errors::{Fault, unavailable};
use super::quotas;
use super::room::Effect;
use crate::errors::StorageError;

/// What the writer does with an operation.
pub(super) trait Task: Send {
    /// The operation's name.
    fn name(&self) -> &'static str;
    /// What it does to the room on the disk. One that frees some may be run again.
    fn effect(&self) -> Effect;
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// Runs the operation, inside its savepoint.
    fn run(&mut self, conn: &Connection) -> Ran;
    /// Tells the caller, when the commit has come to its end.
    fn answer(self: Box<Self>, commit: Result<(), StorageError>);
}

/// How an operation ended.
pub(super) enum Ran {
    /// It changed what it had to.
    Done,
    /// It was refused: what it changed is to be undone.
    Refused,
    /// The database failed, and the transaction with it.
    Fatal(Fault),
}

/// An operation and the caller who waits for it.
pub(super) struct Call<T, F> {
    name: &'static str,
    effect: Effect,
    work: F,
    result: Option<Result<T, StorageError>>,
    /// What follows from the commit, whether or not anybody still waits.
    then: Then<T>,
    reply: oneshot::Sender<Result<T, StorageError>>,
}

/// What is done with the result of an operation once it is committed, before its caller is told.
pub(super) type Then<T> = Option<Box<dyn FnOnce(&T) + Send>>;

impl<T, F> Call<T, F>
where
    T: Send + 'static,
    F: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
{
    /// The task, and where its answer will come.
    pub(super) fn pair(
        name: &'static str,
        effect: Effect,
        work: F,
        then: Then<T>,
    ) -> (Box<dyn Task>, oneshot::Receiver<Result<T, StorageError>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { name, effect, work, result: None, then, reply }), answer)
    }
}

impl<T, F> Task for Call<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> Result<T, Fault> + Send,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, conn: &Connection) -> Ran {
        // Nothing outlives a panic but the connection, and its savepoint is rolled back.
        let work = AssertUnwindSafe(|| -> Result<T, Fault> {
            let value = (self.work)(conn)?;
            // What was changed of quotas is known in sum only now.
            quotas::settle(conn)?;
            Ok(value)
        });
        let result = match catch_unwind(work) {
            Ok(Ok(value)) => {
                self.result = Some(Ok(value));
                return Ran::Done;
            }
            Ok(Err(fault)) if fault.ends_transaction() => return Ran::Fatal(fault),
            Ok(Err(fault)) => fault.into_storage(self.name),
            Err(_) => StorageError::internal(format!("{} panicked", self.name)),
        };
        self.result = Some(Err(result));
        Ran::Refused
    }

    fn answer(self: Box<Self>, commit: Result<(), StorageError>) {
        let answer = match commit {
            Ok(()) => self.result.unwrap_or_else(|| Err(unavailable(self.name))),
            Err(error) => Err(error),
        };
        if let (Ok(value), Some(then)) = (&answer, self.then) {
            then(value);
        }
        // A caller who has gone needs no answer.
        let _gone = self.reply.send(answer);
    }
}
