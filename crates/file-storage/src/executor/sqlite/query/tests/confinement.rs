//! What a connection for queries refuses whatever the statement, and what ends a query.

use std::time::{Duration, Instant};

use super::rows::rows;
use super::{LIMITS, Subject, service};
use crate::errors::StorageError;
use crate::executor::Executor;
use crate::executor::sqlite::SqliteOptions;
use crate::sql::query::QueryLimits;
use crate::sql::tests::random::Random;

/// Never done before its time.
const ENDLESS: &str = "SELECT count(*) FROM objects a, objects b, objects c, objects d, objects e, objects f, objects g \
    WHERE length(a.path || b.path || c.path || d.path || e.path || f.path || g.path) > 3";

#[test]
fn a_connection_for_queries_does_nothing_else() {
    let subject = Subject::open();
    let options = SqliteOptions::new(subject.dir.path().join("test.db"));
    let conn = super::super::connect(&options).unwrap();
    for sql in [
        "SELECT * FROM sqlite_master",
        "SELECT name FROM sqlite_schema",
        "SELECT * FROM storage_segments",
        "SELECT * FROM used_nonces",
        "SELECT * FROM blob_deletions",
        "SELECT * FROM blob_copies",
        "SELECT * FROM storage_events",
        "SELECT * FROM storage_events_gone",
        "SELECT path FROM storage_objects WHERE version IN (SELECT version FROM storage_segments)",
        "SELECT * FROM pragma_table_info('storage_objects')",
        "SELECT * FROM json_each('[1]')",
        "SELECT load_extension('x')",
        "SELECT randomblob(10)",
        "SELECT zeroblob(10)",
        "SELECT sqlite_version()",
        "SELECT printf('x')",
        "SELECT hex('x')",
        "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT n FROM x",
        "INSERT INTO storage_buckets (id) VALUES ('x')",
        "UPDATE storage_objects SET owner_id = NULL",
        "DELETE FROM storage_objects",
        "DROP TABLE storage_objects",
        "CREATE TABLE x (a)",
        "CREATE TEMP TABLE x (a)",
        "CREATE TEMP VIEW x AS SELECT 1",
        "ATTACH ':memory:' AS x",
        "PRAGMA query_only = 0",
        "PRAGMA table_info(storage_objects)",
        "PRAGMA writable_schema = 1",
        "VACUUM INTO 'file:nowhere/there'",
        "BEGIN IMMEDIATE",
        "SAVEPOINT x",
        "REINDEX",
        "ANALYZE",
    ] {
        assert!(conn.execute(sql, []).is_err(), "{sql}");
    }
    conn.prepare("SELECT count(*), max(path) FROM storage_objects").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_explodes_is_ended_in_time() {
    let subject = Subject::open();
    subject.keep(&rows(&mut Random(3)));
    for text in [
        ENDLESS.to_owned(),
        ENDLESS.replace("count(*)", "a.path, b.path AS b, count(*)")
            + " GROUP BY 1, 2, length(a.path || c.path)",
        ENDLESS.replace("count(*)", "DISTINCT a.path || b.path || c.path AS x"),
        ENDLESS.replace("count(*)", "a.path, b.path AS b")
            + " ORDER BY length(a.path || b.path) - length(c.path)",
    ] {
        let started = Instant::now();
        let limits = QueryLimits { time: Duration::from_millis(300), ..LIMITS };
        let ended = subject.ask(&service(), &text, &[], limits).await;
        assert!(
            matches!(ended, Err(StorageError::OperationTimeout { operation: "query" })),
            "{text}: {ended:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(20), "{text}: {:?}", started.elapsed());
    }
    subject.rows(&service(), "SELECT count(*) FROM objects").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_when_its_caller_goes_away_or_the_database_closes() {
    let subject = Subject::open();
    subject.keep(&rows(&mut Random(3)));
    let limits = QueryLimits { time: Duration::from_secs(600), ..LIMITS };
    let by = service();
    let asked = subject.ask(&by, ENDLESS, &[], limits);
    assert!(tokio::time::timeout(Duration::from_millis(200), asked).await.is_err());
    // There is one place, and it is free again.
    let started = Instant::now();
    subject.rows(&service(), "SELECT count(*) FROM objects").await;
    assert!(started.elapsed() < Duration::from_secs(60));

    let by = service();
    let asked = subject.ask(&by, ENDLESS, &[], limits);
    let close = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        subject.executor.close().await;
    };
    let (ended, ()) = tokio::join!(asked, close);
    assert!(ended.is_err());
    let later = subject.ask(&service(), "SELECT 1", &[], LIMITS).await;
    assert!(matches!(later, Err(StorageError::ProviderUnavailable { .. })), "{later:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_place_is_told_to_come_back() {
    let subject = Subject::open();
    subject.keep(&rows(&mut Random(3)));
    let long = QueryLimits { time: Duration::from_secs(600), ..LIMITS };
    let (busy, by) = (service(), service());
    let asked = subject.ask(&busy, ENDLESS, &[], long);
    let refused = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let short = QueryLimits { time: Duration::from_millis(200), ..LIMITS };
        subject.ask(&by, "SELECT 1", &[], short).await
    };
    tokio::select! {
        ended = asked => panic!("{ended:?}"),
        refused = refused => assert!(matches!(refused, Err(StorageError::Overloaded { .. })), "{refused:?}"),
    }
}
