//! Queries on SQLite: what they see, what ends them, and that PostgreSQL answers alike.

mod answers;
mod confinement;
mod parity;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;
use uuid::Uuid;

use rows::Row;

use crate::errors::StorageError;
use crate::executor::Executor;
use crate::executor::sqlite::{SqliteExecutor, SqliteOptions};
use crate::permissions::{Access, AccessRules, Operation, RlsContext};
use crate::sql::query::{Answer, QueryLimits, parse};

/// More than these tests need.
const LIMITS: QueryLimits = QueryLimits { rows: 1000, bytes: 1 << 20, time: Duration::from_secs(60) };

/// Somebody.
const USER: Uuid = Uuid::from_u128(0xa1);

/// A database with rows of a test's own.
struct Subject {
    executor: Arc<SqliteExecutor>,
    dir: TempDir,
}

impl Subject {
    fn open() -> Self {
        Self::with(1)
    }

    fn with(queries: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions { queries, ..SqliteOptions::new(dir.path().join("test.db")) };
        Self { executor: Arc::new(SqliteExecutor::open(options).unwrap()), dir }
    }

    /// Puts rows there, past all permissions.
    fn keep(&self, rows: &[Row]) {
        let conn = rusqlite::Connection::open(self.dir.path().join("test.db")).unwrap();
        let inserts: String = rows.iter().map(|row| row.insert(rows::Engine::Sqlite) + ";").collect();
        conn.execute_batch(&format!("BEGIN; {inserts} COMMIT")).unwrap();
    }

    async fn ask(
        &self,
        context: &RlsContext,
        text: &str,
        parameters: &[Json],
        limits: QueryLimits,
    ) -> Result<Answer, StorageError> {
        let query = parse(text, parameters).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        let access = Access::check(context, Operation::Query, None, AccessRules::default()).unwrap();
        self.executor.query(&access, &query, &limits).await
    }

    async fn rows(&self, context: &RlsContext, text: &str) -> Json {
        let answer = self.ask(context, text, &[], LIMITS).await;
        let answer = answer.unwrap_or_else(|error| panic!("{text}: {error:?}"));
        serde_json::from_str(&format!("[{}]", answer.rows)).unwrap()
    }
}

/// The service role in a user's name.
fn service() -> RlsContext {
    RlsContext::service(Some(USER), claims("service_role", USER), "test")
}

fn user(id: Uuid) -> RlsContext {
    RlsContext::user(id, claims("authenticated", id), "test")
}

fn claims(role: &str, user: Uuid) -> Map<String, Json> {
    match json!({ "role": role, "sub": user, "team": "red" }) {
        Json::Object(claims) => claims,
        _ => Map::new(),
    }
}
