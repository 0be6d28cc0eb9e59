//! One row under the rules' predicates, for the oracle that compares them with PostgreSQL's own.

use rusqlite::{Connection, named_params};

use super::functions;
use super::rls::{Caller, is_true, text};
use super::rules::Rules;
use crate::permissions::{Permission, PolicySet, RlsContext};
use crate::sql::tests::oracle::generate::Row;

/// A table with a row, and a caller.
pub(crate) struct Oracle {
    conn: Connection,
    rules: std::sync::Arc<Rules>,
    context: RlsContext,
}

impl Oracle {
    pub(crate) fn open(policies: PolicySet, context: &RlsContext) -> Self {
        let conn = Connection::open_in_memory().unwrap();
        functions::register(&conn).unwrap();
        conn.execute_batch(
            "CREATE TABLE storage_buckets (id TEXT, policy TEXT, owner_id TEXT) STRICT; \
             INSERT INTO storage_buckets VALUES ('b', 'private', '00000000-0000-0000-0000-00000000ffff'); \
             CREATE TABLE storage_objects (id TEXT, bucket_id TEXT, path TEXT, size INTEGER, content_type TEXT, \
             cache_control TEXT, owner_id TEXT, metadata TEXT, created_at INTEGER, updated_at INTEGER) STRICT",
        )
        .unwrap();
        Self { conn, rules: Rules::new(policies), context: context.clone() }
    }

    pub(crate) fn keep(&self, row: &Row) {
        self.conn.execute("DELETE FROM storage_objects", []).unwrap();
        self.conn
            .execute(
                "INSERT INTO storage_objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rusqlite::params![
                    text(row.id),
                    row.bucket,
                    row.path,
                    row.size,
                    row.content_type,
                    row.cache_control,
                    row.owner.map(text),
                    row.metadata.to_string(),
                    row.created,
                    row.updated
                ],
            )
            .unwrap();
    }

    /// Whether policies let the caller, the table's own rule about owners being left out.
    pub(crate) fn holds(&self, permission: Permission) -> bool {
        let predicate = self.rules.of(&self.context).predicate(permission);
        // A bucket that gives nothing, and rows that are nobody's to the table: only policies speak.
        let builtin = super::rls::builtin(permission);
        let predicate = predicate.replace(builtin, "0");
        let caller = Caller::under(&self.rules, &self.context);
        let sql = format!(
            "SELECT {} FROM storage_objects o, storage_buckets b WHERE :role IS :role AND :uid IS :uid",
            is_true(&predicate)
        );
        let mut statement = self.conn.prepare(&sql).unwrap();
        statement
            .query_row(&*caller.with(named_params! { ":role": caller.role, ":uid": caller.uid }), |row| {
                row.get(0)
            })
            .unwrap_or(false)
    }
}
