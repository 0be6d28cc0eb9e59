//! The tables as a caller sees them: rows under the predicate of reading, and the columns that queries know.

use crate::executor::sqlite::rls::builtin;
use crate::executor::sqlite::rules::RoleRules;
use crate::permissions::Permission;
use crate::sql::query::{BUCKETS, QUEUE, USAGE};
use crate::sql::{OBJECTS, Table};

/// The column that says whether the caller may see the row: what must not be asked of others looks at it first.
pub(super) const SEEN: &str = "~seen";

/// A table's rows that the caller may see, as they stand in FROM.
pub(super) fn rows(table: &'static Table, rules: &RoleRules, has_queue: bool) -> String {
    if *table == OBJECTS {
        let from = "storage_objects o JOIN storage_buckets b ON b.id = o.bucket_id";
        seen("o", table, from, rules.predicate(Permission::ObjectRead))
    } else if *table == BUCKETS {
        seen("b", table, "storage_buckets b", builtin(Permission::BucketRead))
    } else if *table == USAGE {
        seen("u", table, "storage_usage u", &own_or_all())
    } else if table.name == QUEUE.name && has_queue {
        seen("u", table, "upload_queue u", &own_or_all())
    } else {
        let columns = table.columns.iter().map(|column| format!("NULL AS \"{}\"", column.name));
        format!("(SELECT {}, 0 AS \"{SEEN}\" WHERE false)", columns.collect::<Vec<_>>().join(", "))
    }
}

/// Rows of the caller's own user; to the service role, all.
fn own_or_all() -> String {
    format!("({} OR {})", builtin(Permission::UsageRead), builtin(Permission::Maintain))
}

fn seen(alias: &str, table: &Table, from: &str, predicate: &str) -> String {
    let columns = table.columns.iter().map(|column| format!("{alias}.\"{}\"", column.name));
    let columns = columns.collect::<Vec<_>>().join(", ");
    format!("(SELECT {columns}, coalesce({predicate}, 0) AS \"{SEEN}\" FROM {from} WHERE {predicate})")
}
