//! What is PostgreSQL's own, against a real one; the conformance suite says the rest.
//!
//! The server is the one of `AEROSTORE_TEST_POSTGRES`, as `scripts/test` starts it. Each test has a database of its own.

#[allow(dead_code, reason = "shared with other suites, each of which uses a part of it")]
#[path = "../../../../tests/support/database.rs"]
mod database;

use std::sync::Arc;

use super::{PostgresAddress, PostgresExecutor, PostgresOptions};
use crate::executor::conformance::{Subject, executor_conformance};

use database::TestDatabase;

/// An executor over an empty database.
async fn open() -> Subject {
    let database = TestDatabase::new();
    let executor = PostgresExecutor::open(options(&database)).await.unwrap();
    Subject::new(Arc::new(executor), database)
}

fn options(database: &TestDatabase) -> PostgresOptions {
    PostgresOptions {
        connections: 8,
        ..PostgresOptions::new(PostgresAddress::parse(&database.url()).unwrap())
    }
}

mod conformance {
    use super::*;

    executor_conformance!(super::super::open);
}
