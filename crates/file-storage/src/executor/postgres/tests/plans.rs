//! Plans of statements that look for a few objects: by whole keys, however small the table was when they were made. One that goes by the
//! bucket alone takes as long as the bucket is large, until the table is analysed.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Opened, open_database};
use crate::bucket::BucketPolicy;
use crate::executor::conformance::subject::user;
use crate::executor::postgres::SchemaName;
use crate::executor::postgres::rls::KEEPER;
use crate::executor::postgres::{decide, delete, events, put_together};

/// A statement's plan, line by line.
async fn plan(admin: &Client, sql: &str, values: &[&str]) -> Vec<String> {
    let values = values.join(", ");
    let sql = SchemaName::default().fill(sql);
    let asked = format!("PREPARE asked AS {sql}; EXPLAIN EXECUTE asked ({values}); DEALLOCATE asked");
    let lines = admin.simple_query(&asked).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let line = |message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    lines.into_iter().filter_map(line).collect()
}

/// Asserts that objects are looked up by their paths or versions, or by where they lie.
#[track_caller]
fn goes_by_keys(what: &str, plan: &[String]) {
    let is_scan = |line: &str| line.contains("storage_objects") && line.contains("Scan");
    let scans: Vec<_> = plan.iter().enumerate().filter(|(_, line)| is_scan(line)).collect();
    assert!(!scans.is_empty(), "{what}: {plan:#?}");
    for (number, scan) in scans {
        let condition = plan.get(number + 1).map(String::as_str).unwrap_or_default();
        let is_by_key = ["Index Cond:", "Recheck Cond:"].iter().any(|word| condition.contains(word))
            && (condition.contains("path") || condition.contains("version ="));
        assert!(is_by_key || scan.contains("Tid Scan"), "{what}: {plan:#?}");
    }
}

#[tokio::test]
async fn a_few_objects_are_looked_up_by_their_keys_though_the_table_was_small_when_that_was_planned() {
    let Opened { subject, database } = open_database().await;
    let admin = database.admin().await;
    subject.bucket(&user(), "box", BucketPolicy::Private).await;
    // As sessions of the keeper and of callers have it.
    admin.batch_execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan").await.unwrap();
    for (what, role, sql) in [
        ("leave for one", KEEPER, decide::TARGET_TO_ADMIT.as_str()),
        ("leave for many", KEEPER, &decide::TARGETS_TO_ADMIT),
        ("a write", KEEPER, &decide::TARGET_TO_WRITE),
        ("many writes", KEEPER, &decide::TARGETS_TO_WRITE),
        ("many overwrites", "authenticated", put_together::OVERWRITE),
        ("sights of subscribers", "authenticated", events::SEEN_OBJECTS),
        ("facts about places", KEEPER, events::FACTS),
    ] {
        admin.batch_execute(&format!("SET ROLE {role}")).await.unwrap();
        let values = (1..20).take_while(|number| sql.contains(&format!("${number}"))).count();
        let plan = plan(&admin, sql, &vec!["NULL"; values]).await;
        goes_by_keys(what, &plan);
    }
}

#[tokio::test]
async fn many_objects_are_deleted_by_their_keys_once_there_are_more() {
    let Opened { subject, database } = open_database().await;
    let admin = database.admin().await;
    subject.bucket(&user(), "box", BucketPolicy::Private).await;
    admin.batch_execute("SET enable_seqscan = off").await.unwrap();
    admin.batch_execute(delete::PLAN_ANEW.replace("SET LOCAL", "SET").as_str()).await.unwrap();
    let rows = "ALTER TABLE aerostore.storage_objects SET (autovacuum_enabled = off); \
        SET session_replication_role = replica; \
        INSERT INTO aerostore.storage_objects (id, bucket_id, path, size, content_type, etag, metadata, version, created_at, \
        updated_at, versioned) SELECT gen_random_uuid(), 'box', 'all/' || n, 1, 'text/plain', 'x', '{}', gen_random_uuid(), \
        now(), now(), false FROM generate_series(1, 20000) n";
    admin.batch_execute(rows).await.unwrap();
    admin.batch_execute("SET ROLE authenticated").await.unwrap();
    let plan = plan(&admin, &delete::DELETE_MANY, &["'box'", "'{all/1,all/2,all/3}'"]).await;
    goes_by_keys("many deletes", &plan);
}
