//! Queries of callers: statements rendered from what the gate let in, on connections of their own that can do nothing
//! but read four tables, for a limited time.
//!
//! The gate decides what is asked, the predicates in each table's place which rows are there. The connection's
//! authorizer and limits (`confine`) would refuse what neither should ever let through.

mod aggregates;
mod confine;
mod rendering;
mod tables;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;

use super::errors::{Fault, unavailable};
use super::functions::{FAILED, caller, value};
use super::rls::Caller;
use super::rows::{micros, now};
use super::rules::Rules;
use super::{SqliteOptions, connection};
use crate::errors::StorageError;
use crate::permissions::RlsContext;
use crate::sql::query::{Answer, AnswerWriter, Query, QueryLimits};
use crate::sql::{EvalError, SqlFault};

use rendering::Rendering;

/// Steps of SQLite's machine between two looks at the clock: a fraction of a millisecond.
const STEPS: i32 = 2000;

/// When a caller may try again where too many queries run.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the operation is called.
const OPERATION: &str = "query";

/// The connections.
#[derive(Debug)]
pub(super) struct Queries {
    options: Arc<SqliteOptions>,
    places: Arc<Semaphore>,
    number: u32,
    idle: Arc<Mutex<Vec<Connection>>>,
    closed: Arc<AtomicBool>,
}

impl Queries {
    /// Opens one connection; the others when they are needed.
    pub(super) fn open(options: &Arc<SqliteOptions>) -> Result<Self, Fault> {
        let number = u32::try_from(options.queries.max(1)).unwrap_or(1);
        Ok(Self {
            options: Arc::clone(options),
            places: Arc::new(Semaphore::new(options.queries.max(1))),
            number,
            idle: Arc::new(Mutex::new(vec![connect(options)?])),
            closed: Arc::default(),
        })
    }

    /// Runs a query; dropped, it ends it.
    pub(super) async fn run(
        &self,
        rules: &Arc<Rules>,
        context: &RlsContext,
        query: &Query,
        limits: &QueryLimits,
    ) -> Result<Answer, StorageError> {
        let place = tokio::time::timeout(limits.time, Arc::clone(&self.places).acquire_owned()).await;
        let place = match place {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(unavailable(OPERATION)),
            Err(_) => return Err(StorageError::Overloaded { retry_after: RETRY_AFTER }),
        };
        let abandoned = Abandoned(Arc::default());
        let stop = Stop {
            abandoned: Arc::clone(&abandoned.0),
            closed: Arc::clone(&self.closed),
            deadline: Instant::now().checked_add(limits.time),
        };
        let (options, idle) = (Arc::clone(&self.options), Arc::clone(&self.idle));
        let (context, query, limits) = (context.clone(), query.clone(), *limits);
        let rules = Arc::clone(rules);
        let ran = tokio::task::spawn_blocking(move || {
            // Held until the connection is back, also when nobody waits for the answer any more.
            let _place = place;
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut conn = match taken {
                Some(conn) => conn,
                None => connect(&options)?,
            };
            let answer = ask(&mut conn, &rules, &context, &query, &limits, &stop);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            answer
        });
        let answer = ran.await.map_err(|_| StorageError::internal("query panicked"))?;
        drop(abandoned);
        answer.map_err(|fault| fault.into_storage(OPERATION))
    }

    /// Ends what runs, and closes the connections.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let _all = self.places.acquire_many(self.number).await;
        self.places.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn connect(options: &SqliteOptions) -> Result<Connection, Fault> {
    let mut conn = connection::inquirer(options)?;
    aggregates::register(&conn)?;
    confine::confine(&mut conn)?;
    Ok(conn)
}

/// Says that the caller has gone.
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// When a query has to end.
#[derive(Clone)]
struct Stop {
    abandoned: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Stop {
    fn is_due(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
            || self.closed.load(Ordering::Relaxed)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

fn ask(
    conn: &mut Connection,
    rules: &Rules,
    context: &RlsContext,
    query: &Query,
    limits: &QueryLimits,
    stop: &Stop,
) -> Result<Answer, Fault> {
    let ends = stop.clone();
    conn.progress_handler(STEPS, Some(move || ends.is_due()))?;
    let sql = Rendering::of(conn, rules.of(context))?.statement(query, query.rows_to_read(limits));
    let mut writer = AnswerWriter::new(query, limits);
    read(conn, context, &sql, &mut writer, stop)?;
    Ok(writer.finish())
}

fn read(
    conn: &Connection,
    context: &RlsContext,
    sql: &str,
    writer: &mut AnswerWriter,
    stop: &Stop,
) -> Result<(), Fault> {
    let types: Vec<_> = writer.types().collect();
    let mut statement = conn.prepare(sql).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => failed(error),
        _ => error.into(),
    })?;
    bind(&mut statement, context)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(failed)? {
        if stop.is_due() {
            return Err(StorageError::OperationTimeout { operation: OPERATION }.into());
        }
        let values = types
            .iter()
            .enumerate()
            .map(|(at, ty)| value(row.get_ref(at)?, *ty).map_err(|error| uncomputed(&error)));
        if !writer.push(values.collect::<Result<Vec<_>, Fault>>()?).map_err(|error| uncomputed(&error))? {
            return Ok(());
        }
    }
    Ok(())
}

/// Binds what the predicates, and the query's own expressions, know of the caller.
fn bind(statement: &mut rusqlite::Statement<'_>, context: &RlsContext) -> Result<(), Fault> {
    let by = Caller::from(context);
    if let Some(at) = statement.parameter_index(":role")? {
        statement.raw_bind_parameter(at, by.role)?;
    }
    if let Some(at) = statement.parameter_index(":uid")? {
        statement.raw_bind_parameter(at, by.uid)?;
    }
    if let Some(at) = statement.parameter_index(":caller")? {
        statement.raw_bind_parameter(at, caller(context, micros(now())))?;
    }
    Ok(())
}

/// A value that can't be computed, or written.
fn uncomputed(error: &EvalError) -> Fault {
    StorageError::InvalidSql(SqlFault::of_text(error.to_string())).into()
}

/// Why a statement that was well made failed while it ran.
fn failed(error: rusqlite::Error) -> Fault {
    match (error.sqlite_error_code(), &error) {
        (Some(ErrorCode::OperationInterrupted), _) => {
            StorageError::OperationTimeout { operation: OPERATION }.into()
        }
        (Some(ErrorCode::TooBig), _) => {
            StorageError::InvalidSql(SqlFault::of_text("a value is too long")).into()
        }
        // What a function of ours says, of a condition of the query or of a policy.
        (Some(ErrorCode::Unknown), rusqlite::Error::SqliteFailure(_, Some(reason))) => {
            StorageError::InvalidSql(SqlFault::of_text(without_condition(reason).to_owned())).into()
        }
        _ => error.into(),
    }
}

/// Why a condition could not be computed. Which one it was is not said, as it may be a policy's.
fn without_condition(said: &str) -> &str {
    let reason = said.strip_prefix(FAILED).unwrap_or(said);
    reason.split_once(", in ").map_or(reason, |(reason, _)| reason)
}
