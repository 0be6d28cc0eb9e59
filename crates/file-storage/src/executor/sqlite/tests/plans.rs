//! Lists walk an index in its own order: no plan sorts, and no plan reads rows of others.

use super::open_at;
use crate::executor::sqlite::SqliteExecutor;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::listing::{Rows, sql};
use crate::executor::sqlite::rules::{RoleRules, Rules};
use crate::executor::sqlite::{emptying, queue, usage, usage_by, versions};
use crate::executor::{QueueListing, QueueStatus, SortOrder, columns};
use crate::permissions::{Policy, PolicySet, RlsContext};
use crate::versions::VersionId;

/// How SQLite would walk, for a user under these policies.
fn plan(executor: &SqliteExecutor, policies: PolicySet, rows: Rows, order: SortOrder) -> String {
    plan_of(executor, policies, |rules| sql(rules, rows, order).to_owned())
}

fn plan_of(executor: &SqliteExecutor, policies: PolicySet, sql: impl Fn(&RoleRules) -> String) -> String {
    let rules = Rules::new(policies);
    let user = RlsContext::user(uuid::Uuid::nil(), serde_json::Map::new(), "test");
    executor
        .read("plan", |conn| {
            let sql = sql(rules.of(&user));
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let nothing = vec![rusqlite::types::Null; statement.parameter_count()];
            let lines =
                statement.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3))?;
            Ok::<_, Fault>(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
        })
        .unwrap()
}

#[tokio::test]
async fn lists_walk_an_index_in_its_own_order() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    for (rows, index) in [
        (Rows::All, "USING PRIMARY KEY (bucket_id=? AND path>? AND path<?)"),
        (Rows::Own, "storage_objects_by_owner (owner_id=? AND bucket_id=? AND path>? AND path<?)"),
    ] {
        for order in [SortOrder::Ascending, SortOrder::Descending] {
            let plan = plan(&executor, PolicySet::default(), rows, order);
            assert!(plan.contains(index), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}

#[tokio::test]
async fn lists_under_policies_walk_the_same_way() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    for sql in [
        "CREATE POLICY own ON storage.objects FOR SELECT TO authenticated \
         USING (bucket_id = 'avatars' AND (storage.foldername(name))[1] = (select auth.uid())::text)",
        "CREATE POLICY mine ON storage_objects FOR SELECT USING (owner_id = auth.uid() OR size < 10)",
        "CREATE POLICY small ON storage_objects AS RESTRICTIVE FOR ALL USING (size < 1000 AND path LIKE 'a%')",
    ] {
        for order in [SortOrder::Ascending, SortOrder::Descending] {
            let policies = [Policy::parse(sql).unwrap()].into_iter().collect();
            let plan = plan(&executor, policies, Rows::All, order);
            assert!(plan.contains("USING PRIMARY KEY (bucket_id=? AND path>? AND path<?)"), "{sql}\n{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        }
    }
}

#[tokio::test]
async fn a_recount_reads_of_each_folder_its_own_rows() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    let plan = plan_of(&executor, PolicySet::default(), |_| usage::DIFFERENCES.to_owned());
    for rows in ["o", "v", "m"] {
        let searched = plan.lines().any(|line| {
            line.starts_with(&format!("SEARCH {rows} USING"))
                && line.contains("(bucket_id=? AND path>? AND path<?)")
        });
        assert!(searched, "{rows}\n{plan}");
    }
}

#[tokio::test]
async fn what_somebody_uses_is_found_among_their_own_rows() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    for (name, condition) in [
        ("owner_id", "owner_id = ?2 AND true"),
        ("bucket_id", "owner_id = ?2 AND true"),
        ("?3", "owner_id = ?2 AND bucket_id = ?3 AND path >= ?4 AND path < ?5"),
    ] {
        let plan = plan_of(&executor, PolicySet::default(), |_| usage_by::grouped(name, condition));
        assert!(plan.contains("storage_object_versions_by_owner (owner_id=?"), "{condition}\n{plan}");
    }
}

#[tokio::test]
async fn versions_are_found_by_a_search_of_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    let policy = "CREATE POLICY small ON storage_objects AS RESTRICTIVE FOR ALL USING (size < 1000)";
    for policies in [PolicySet::default(), [Policy::parse(policy).unwrap()].into_iter().collect()] {
        let plan = |sql: &dyn Fn(&RoleRules) -> String| plan_of(&executor, policies.clone(), sql);
        let one = |build: &dyn Fn(&RoleRules, VersionId) -> String| {
            let by_id = plan(&|rules| build(rules, VersionId::Id(uuid::Uuid::nil())));
            assert!(by_id.contains("storage_object_versions_1 (version=?)"), "{by_id}");
            let null = plan(&|rules| build(rules, VersionId::Null));
            assert!(null.contains("storage_object_versions_null (bucket_id=? AND path=?)"), "{null}");
        };
        one(&versions::open_sql);
        one(&|rules, version| versions::target_sql(rules, version, columns::VERSION));
        let scan = plan(&versions::scan_sql);
        for part in ["(bucket_id=? AND path=? AND sequence<?)", "(bucket_id=? AND path>? AND path<?)"] {
            assert!(scan.contains(&format!("storage_object_versions_by_age {part}")), "{scan}");
        }
        let some = plan(&emptying::some_sql);
        assert!(some.contains("storage_object_versions_by_age (bucket_id=?)"), "{some}");
        assert!(!some.contains("TEMP B-TREE"), "{some}");
        // What is sorted is what the parts give, which each are as long as a page at most.
        let mut parts = scan.split("CO-ROUTINE").filter_map(|part| part.split("SCAN (").next());
        assert!(parts.all(|part| !part.contains("TEMP B-TREE")), "{scan}");
    }
}

#[tokio::test]
async fn the_queue_is_walked_by_its_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    let plan = |sql: &str| plan_of(&executor, PolicySet::default(), |_| sql.to_owned());
    let all = QueueListing::default();
    let failed = QueueListing { status: Some(QueueStatus::Failed), ..QueueListing::default() };
    for (sql, index) in [
        (
            queue::DUE.to_owned(),
            "upload_queue_by_way (target_provider=? AND source_provider=? AND next_attempt_at<?)",
        ),
        (queue::list_sql(true, &all), "sqlite_autoindex_upload_queue_1 (id<?)"),
        (queue::list_sql(false, &all), "upload_queue_by_user (user_id=? AND id<?)"),
        (queue::list_sql(true, &failed), "upload_queue_by_status (status=? AND id<?)"),
    ] {
        let plan = plan(&sql);
        assert!(plan.contains(index), "{sql}\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
    }
    // Not all that is under way.
    for sql in queue::expired_sql() {
        let plan = plan(&sql);
        assert!(plan.contains("upload_queue_by_lease (leased_until<?)"), "{sql}\n{plan}");
    }
}
