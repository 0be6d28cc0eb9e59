//! Lists walk an index in its own order: no plan sorts, and no plan reads rows of others.

use super::open_at;
use crate::executor::SortOrder;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::listing::{Rows, sql};

#[tokio::test]
async fn lists_walk_an_index_in_its_own_order() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    for (rows, index) in [
        (Rows::All, "USING PRIMARY KEY (bucket_id=? AND path>? AND path<?)"),
        (Rows::Own, "storage_objects_by_owner (owner_id=? AND bucket_id=? AND path>? AND path<?)"),
    ] {
        for order in [SortOrder::Ascending, SortOrder::Descending] {
            let plan = executor
                .read("plan", |conn| {
                    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", sql(rows, order)))?;
                    let lines =
                        statement.query_map([rusqlite::types::Null; 5], |row| row.get::<_, String>(3))?;
                    Ok::<_, Fault>(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
                })
                .unwrap();
            assert!(plan.contains(index), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}
