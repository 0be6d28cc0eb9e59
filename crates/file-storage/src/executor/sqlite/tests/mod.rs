//! What is SQLite's own; the conformance suite says the rest.

mod anchor;
mod durability;
mod groups;
mod places;
mod plans;
mod policies;
mod recount;
mod rls;
mod room;
mod schema;
mod timing;

use std::path::Path;
use std::sync::Arc;

use super::{SqliteExecutor, SqliteOptions};
use crate::executor::conformance::{Subject, executor_conformance};

/// An executor over an empty database.
async fn open() -> Subject {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    Subject::new(Arc::new(executor), dir)
}

/// An executor over the database in a folder.
fn open_at(dir: &Path) -> SqliteExecutor {
    SqliteExecutor::open(SqliteOptions::new(dir.join("test.db"))).unwrap()
}

mod conformance {
    use super::*;

    executor_conformance!(super::super::open);
}
