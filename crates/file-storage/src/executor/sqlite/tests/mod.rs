//! What is SQLite's own; the conformance suite says the rest.

use std::sync::Arc;

use super::{SqliteExecutor, SqliteOptions};
use crate::executor::conformance::{Subject, executor_conformance};

/// An executor over an empty database.
async fn open() -> Subject {
    let dir = tempfile::tempdir().unwrap();
    let executor = SqliteExecutor::open(SqliteOptions::new(dir.path().join("test.db"))).unwrap();
    Subject::new(Arc::new(executor), dir)
}

mod conformance {
    use super::*;

    executor_conformance!(super::super::open);
}
