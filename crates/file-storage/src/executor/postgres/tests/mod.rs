//! What is PostgreSQL's own, against a real one; the conformance suite says the rest.
//!
//! The server is the one of `AEROSTORE_TEST_POSTGRES`, as `scripts/test` starts it. Each test has a database of its own.

#[allow(dead_code, reason = "shared with other suites, each of which uses a part of it")]
#[path = "../../../../tests/support/database.rs"]
pub(in crate::executor) mod database;

mod agreement;
mod concurrency;
mod events;
mod marks;
mod moves;
mod plans;
mod schema;
mod versions;
mod walls;

use std::sync::Arc;
use std::time::Duration;

use super::{PostgresAddress, PostgresExecutor, PostgresOptions};
use crate::executor::conformance::{Subject, executor_conformance};

use database::TestDatabase;

/// An executor, and the database behind it.
struct Opened {
    subject: Subject,
    database: TestDatabase,
}

/// An executor over an empty database.
async fn open_database() -> Opened {
    let database = TestDatabase::new();
    Opened { subject: open_as(&database, options(&database)).await, database }
}

/// One of several executors over a database, which must live longer.
async fn open_as(_database: &TestDatabase, options: PostgresOptions) -> Subject {
    Subject::new(Arc::new(PostgresExecutor::open(options).await.unwrap()), ())
}

fn options(database: &TestDatabase) -> PostgresOptions {
    let address = PostgresAddress::parse(&database.url()).unwrap();
    // Patient, as the machine may be busy with other tests.
    PostgresOptions { connections: 8, wait: Duration::from_secs(60), ..PostgresOptions::new(address) }
}

/// For the suite.
async fn open() -> Subject {
    let database = TestDatabase::new();
    let executor = PostgresExecutor::open(options(&database)).await.unwrap();
    Subject::new(Arc::new(executor), database)
}

mod conformance {
    use super::*;

    executor_conformance!(super::super::open);
}
