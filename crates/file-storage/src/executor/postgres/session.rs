//! A transaction, sent in as few round trips as possible.
//!
//! Steps are sent one after the other without waiting for answers; the first one that fails makes the database
//! refuse those after it, and a COMMIT at the end undo everything. Who drops a session in the middle (a caller who
//! goes away) has it rolled back behind him, and the connection comes back to the pool clean, or not at all.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use deadpool::managed::Object;
use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::connection::Manager;
use super::errors::{Fault, unavailable};
use super::pool::Pool;
use super::rls::Caller;

/// Values for a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How long rolling back behind a caller may take before the connection is given up.
const ROLLBACK: Duration = Duration::from_secs(5);

/// Becomes somebody, until the end of the transaction. Policies make statements look costly to the planner, and compiling
/// them takes a thousand times as long as running them: no JIT. A caller's statements go by keys: scanned, a small table
/// would have policies asked of rows that nobody asked for, and one that fails there would refuse all others.
const ENTER: &str = "SELECT set_config('role', $1, true), set_config('request.jwt.claims', $2, true), \
     set_config('statement_timeout', $3, true), set_config('jit', 'off', true), \
     set_config('enable_seqscan', $4, true)";

/// Whether the planner may scan whole tables.
const SCANS: &str = "on";
const NO_SCANS: &str = "off";

/// One step of a transaction.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// Becomes somebody.
    As(&'a Caller),
    /// Runs a statement of ours.
    Run(&'static str, Values<'a>),
    /// Runs a text that is made for this once, and gives no answer.
    Once(&'a str),
    /// Ends the transaction.
    Commit,
}

/// What a statement gave.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Its rows.
    pub(super) rows: Vec<Row>,
    /// How many rows it changed.
    pub(super) affected: u64,
}

/// A connection with a transaction on it.
pub(super) struct Session {
    pool: Arc<Pool>,
    connection: Option<Object<Manager>>,
    /// Whether a transaction may be open.
    open: bool,
    /// For whom statements are prepared.
    role: &'static str,
}

impl Session {
    /// Takes a connection; the transaction begins with the first steps.
    pub(super) async fn start(pool: &Arc<Pool>, operation: &'static str) -> Result<Self, Fault> {
        let connection = Some(pool.get(operation).await?);
        Ok(Self { pool: pool.clone(), connection, open: false, role: "" })
    }

    /// Sends steps and waits for all their answers: one for each [`Step::Run`]. After a failure the transaction is lost.
    pub(super) async fn run(&mut self, steps: &[Step<'_>]) -> Result<Vec<Answer>, Fault> {
        self.exchange(steps).await.inspect_err(|fault| {
            if fault.breaks_connection() {
                self.discard();
            }
        })
    }

    async fn exchange(&mut self, steps: &[Step<'_>]) -> Result<Vec<Answer>, Fault> {
        let Some(connection) = &self.connection else { return Ok(Vec::new()) };
        self.pool.hit("postgres.before_statements").await?;
        let statements = prepare(connection, self.role, steps, self.open).await?;
        let timeout = self.pool.statement_timeout().as_millis().to_string();
        let entering: Vec<[&(dyn ToSql + Sync); 4]> = steps
            .iter()
            .filter_map(|step| match step {
                Step::As(caller) => Some([
                    &caller.role as &(dyn ToSql + Sync),
                    &caller.claims as _,
                    &timeout as _,
                    if caller.scans { &SCANS } else { &NO_SCANS },
                ]),
                Step::Run(..) | Step::Once(_) | Step::Commit => None,
            })
            .collect();

        let client = connection.client();
        let mut pipeline = Pipeline::default();
        if !self.open {
            self.open = true;
            pipeline.send(false, simple(client, "BEGIN"));
        }
        let (mut statements, mut entering) = (statements.into_iter(), entering.iter());
        let mut commits = false;
        for step in steps {
            match step {
                Step::As(caller) => {
                    self.role = caller.role;
                    if let (Some(statement), Some(values)) = (statements.next(), entering.next()) {
                        pipeline.send(false, query(client, statement, values));
                    }
                }
                Step::Run(_, values) => {
                    if let Some(statement) = statements.next() {
                        pipeline.send(true, query(client, statement, values));
                    }
                }
                Step::Once(sql) => pipeline.send(false, simple(client, sql)),
                Step::Commit => {
                    self.pool.hit("postgres.before_commit").await?;
                    pipeline.send(false, simple(client, "COMMIT"));
                    commits = true;
                }
            }
        }
        let answers = pipeline.finish().await;
        if commits {
            // One way or the other, the transaction is over.
            self.open = false;
            // The worst that can be: it is done, and nobody is told.
            self.pool.hit("postgres.before_answer").await?;
        }
        answers
    }

    /// Begins a transaction that can only read, as somebody, and gives the connection for statements that are made for
    /// this once. Dropping the session ends it.
    pub(super) async fn begin_reading(&mut self, caller: &Caller, time: Duration) -> Result<&Client, Fault> {
        let Some(connection) = &self.connection else { return Err(unavailable("begin").into()) };
        let enter = connection.statement("", ENTER).await?;
        let time = time.as_millis().max(1).to_string();
        let client = connection.client();
        let values: [&(dyn ToSql + Sync); 4] = [&caller.role, &caller.claims, &time, &SCANS];
        let mut pipeline = Pipeline::default();
        self.open = true;
        pipeline.send(false, simple(client, "BEGIN READ ONLY"));
        pipeline.send(false, query(client, enter, &values));
        pipeline.finish().await?;
        self.role = caller.role;
        Ok(client)
    }

    /// The connection, in the middle of a transaction, for statements that are made for this once.
    pub(super) fn client(&self) -> Result<&Client, Fault> {
        match &self.connection {
            Some(connection) => Ok(connection.client()),
            None => Err(unavailable("ask").into()),
        }
    }

    /// Keeps the connection from being used again.
    fn discard(&mut self) {
        self.open = false;
        drop(self.connection.take().map(Object::take));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if !self.open {
            return;
        }
        let rolled_back = async move {
            let rollback = connection.client().batch_execute("ROLLBACK");
            if !matches!(tokio::time::timeout(ROLLBACK, rollback).await, Ok(Ok(()))) {
                drop(Object::take(connection));
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(self.pool.tasks().spawn_on(rolled_back, &runtime)),
            // Without a runtime, the connection's driver has gone as well.
            Err(_) => drop(rolled_back),
        }
    }
}

/// One statement as somebody, in a transaction of its own: one round trip. A read is tried again where its connection
/// turns out to be a dead one: after a restart of the server, a few may be before that is noticed of all of them.
pub(super) async fn read(
    pool: &Arc<Pool>,
    operation: &'static str,
    caller: &Caller,
    sql: &'static str,
    values: Values<'_>,
) -> Result<Vec<Row>, Fault> {
    for pause in PAUSES.iter().take(4) {
        match alone(pool, operation, caller, sql, values).await {
            Err(fault) if fault.breaks_connection() => tokio::time::sleep(*pause).await,
            answer => return answer.map(|answer| answer.rows),
        }
    }
    alone(pool, operation, caller, sql, values).await.map(|answer| answer.rows)
}

/// One statement as somebody, in a transaction of its own: one round trip.
pub(super) async fn alone(
    pool: &Arc<Pool>,
    operation: &'static str,
    caller: &Caller,
    sql: &'static str,
    values: Values<'_>,
) -> Result<Answer, Fault> {
    let mut session = Session::start(pool, operation).await?;
    let answers = session.run(&[Step::As(caller), Step::Run(sql, values), Step::Commit]).await?;
    Ok(answers.into_iter().next().unwrap_or_default())
}

/// Takes on a role until the transaction ends; `none` is who connected.
const TAKE_ROLE: &str = "SELECT set_config('role', $1, true)";

/// Whether these steps need no more preparation.
fn are_prepared(connection: &Object<Manager>, role: &'static str, steps: &[Step<'_>]) -> bool {
    let mut role = role;
    steps.iter().all(|step| match step {
        Step::As(caller) => {
            role = caller.role;
            connection.knows("", ENTER)
        }
        Step::Run(sql, _) => connection.knows(role, sql),
        Step::Once(_) | Step::Commit => true,
    })
}

/// The statements of these steps, prepared for whom they will run as.
///
/// IMPORTANT: amid a transaction, they are prepared as who connected, too: the role of the moment may not look at what a statement of
/// the next one is about.
async fn prepare(
    connection: &Object<Manager>,
    role: &'static str,
    steps: &[Step<'_>],
    is_open: bool,
) -> Result<Vec<Statement>, Fault> {
    if !is_open || role.is_empty() || are_prepared(connection, role, steps) {
        return prepare_all(connection, role, steps).await;
    }
    connection.client().execute(TAKE_ROLE, &[&"none"]).await?;
    let statements = prepare_all(connection, role, steps).await?;
    connection.client().execute(TAKE_ROLE, &[&role]).await?;
    Ok(statements)
}

async fn prepare_all(
    connection: &Object<Manager>,
    role: &'static str,
    steps: &[Step<'_>],
) -> Result<Vec<Statement>, Fault> {
    let mut role = role;
    let mut statements = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            Step::As(caller) => {
                role = caller.role;
                statements.push(connection.statement("", ENTER).await?);
            }
            Step::Run(sql, _) => statements.push(connection.statement(role, sql).await?),
            Step::Once(_) | Step::Commit => {}
        }
    }
    Ok(statements)
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Answer, tokio_postgres::Error>> + Send + 'a>>;

fn simple<'a>(client: &'a Client, sql: &'a str) -> Waiting<'a> {
    Box::pin(async move {
        client.batch_execute(sql).await?;
        Ok(Answer::default())
    })
}

fn query<'a>(client: &'a Client, statement: Statement, values: Values<'a>) -> Waiting<'a> {
    Box::pin(async move {
        let mut rows = pin!(client.query_raw(&statement, values.iter().copied()).await?);
        let mut answer = Answer::default();
        while let Some(row) = rows.try_next().await? {
            answer.rows.push(row);
        }
        answer.affected = rows.rows_affected().unwrap_or(0);
        Ok(answer)
    })
}

/// Requests that are on their way, in their order.
#[derive(Default)]
struct Pipeline<'a> {
    sent: Vec<(bool, Sent<'a>)>,
}

enum Sent<'a> {
    Answered(Result<Answer, tokio_postgres::Error>),
    Waiting(Waiting<'a>),
}

impl<'a> Pipeline<'a> {
    /// Sends a request. The driver does so when its future is first polled, and not before.
    fn send(&mut self, wanted: bool, mut request: Waiting<'a>) {
        let sent = match request.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Sent::Answered(answer),
            Poll::Pending => Sent::Waiting(request),
        };
        self.sent.push((wanted, sent));
    }

    /// Waits for all answers, also after a failure: those of the wanted requests, or the first failure.
    async fn finish(self) -> Result<Vec<Answer>, Fault> {
        let mut answers = Vec::with_capacity(self.sent.len());
        let mut failed = None;
        for (wanted, sent) in self.sent {
            let answer = match sent {
                Sent::Answered(answer) => answer,
                Sent::Waiting(request) => request.await,
            };
            match answer {
                Ok(answer) if wanted => answers.push(answer),
                Ok(_) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(answers),
        }
    }
}

/// Tries again what lost a race, a bounded number of times, each time after a longer pause.
macro_rules! retried {
    ($attempt:expr) => {{
        let mut pauses = $crate::executor::postgres::session::PAUSES.iter();
        loop {
            match $attempt.await {
                Err(fault) if fault.lost_a_race() => match pauses.next() {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => break Err(fault),
                },
                outcome => break outcome,
            }
        }
    }};
}
pub(super) use retried;

/// Pauses between attempts.
pub(super) const PAUSES: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];
