//! What a connection for queries can't do, whatever a statement says.

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

use super::aggregates;
use crate::executor::sqlite::errors::Fault;
use crate::sql::FUNCTION;
use crate::sql::query::READABLE;

/// Longest value, in bytes.
const LONGEST_VALUE: i32 = 16 << 20;

/// Longest statement, in bytes: what is rendered is longer than what was written.
const LONGEST_STATEMENT: i32 = 4 << 20;

/// Functions of SQLite's own that renderings call.
const BUILT_IN: &[&str] = &["coalesce", "nullif", "count", "sum", "min", "max"];

/// Takes from a connection what queries don't need.
pub(super) fn confine(conn: &mut Connection) -> Result<(), Fault> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE)?;
    conn.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, LONGEST_STATEMENT)?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    conn.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    conn.set_limit(Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1)?;
    conn.set_limit(Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 10)?;
    // Last: it refuses what stands above, too.
    conn.authorizer(Some(judge))?;
    Ok(())
}

/// Reading the tables that queries read, and calling what renderings call. Nothing else.
fn judge(context: AuthContext<'_>) -> Authorization {
    let allowed = match context.action {
        AuthAction::Select => true,
        AuthAction::Read { table_name, .. } => READABLE.iter().any(|table| table.name == table_name),
        AuthAction::Function { function_name } => {
            function_name == FUNCTION
                || BUILT_IN.contains(&function_name)
                || aggregates::NAMES.contains(&function_name)
        }
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}
