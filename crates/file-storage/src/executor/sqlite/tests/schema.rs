//! Migrations: forward from every version, back again, and never over a newer one.

use rusqlite::Connection;

use crate::executor::Executor;
use crate::executor::sqlite::{SqliteExecutor, SqliteOptions, connection, migrations};

/// The whole schema, as SQLite keeps it.
fn schema(conn: &Connection) -> Vec<String> {
    let mut statement =
        conn.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    let found = statement.query_map([], |row| row.get(0)).unwrap();
    found.map(Result::unwrap).filter(|sql: &String| !sql.contains("sqlite_sequence")).collect()
}

#[test]
fn every_version_leads_to_the_newest_schema() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = connection::migrator(&dir.path().join("fresh.db"), 8192).unwrap();
    migrations::migrate(&fresh, migrations::newest()).unwrap();
    let expected = schema(&fresh);
    assert!(expected.len() > 7);
    for version in migrations::versions() {
        let conn = connection::migrator(&dir.path().join(format!("{version}.db")), 8192).unwrap();
        migrations::migrate(&conn, version).unwrap();
        assert_eq!(migrations::current(&conn).unwrap(), version);
        let then = schema(&conn);
        migrations::migrate(&conn, migrations::newest()).unwrap();
        assert_eq!(schema(&conn), expected, "from version {version}");
        migrations::roll_back(&conn, version).unwrap();
        assert_eq!(schema(&conn), then, "back to version {version}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.db");
    let conn = connection::migrator(&path, 8192).unwrap();
    conn.pragma_update(None, "user_version", migrations::newest() + 1).unwrap();
    drop(conn);
    let refused = SqliteExecutor::open(SqliteOptions::new(&path)).unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("newer Aerostore"), "{cause}");
}

#[tokio::test]
async fn a_rolled_back_database_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.db");
    SqliteExecutor::open(SqliteOptions::new(&path)).unwrap().close().await;
    SqliteExecutor::roll_back(&path, 1).unwrap();
    let again = SqliteExecutor::open(SqliteOptions::new(&path)).unwrap();
    assert!(again.consume_nonce(uuid::Uuid::new_v4(), chrono::Utc::now()).await.unwrap());
}

#[test]
fn the_schema_refuses_what_must_not_be() {
    let dir = tempfile::tempdir().unwrap();
    let conn = connection::migrator(&dir.path().join("test.db"), 8192).unwrap();
    migrations::migrate(&conn, migrations::newest()).unwrap();
    conn.pragma_update(None, "foreign_keys", true).unwrap();
    let uuid = "00000000-0000-0000-0000-000000000000";
    conn.execute_batch(&format!(
        "INSERT INTO storage_buckets (id, uuid, policy, created_at, updated_at) VALUES ('b', '{uuid}', 'public', 0, 0);
         INSERT INTO storage_usage (id, user_id, created_at, updated_at) VALUES ('{uuid}', '{uuid}', 0, 0);"
    ))
    .unwrap();
    for statement in [
        "UPDATE storage_buckets SET total_bytes = total_bytes - 1",
        "UPDATE storage_buckets SET file_count = -1",
        "UPDATE storage_usage SET total_bytes = -1",
        "UPDATE storage_usage SET file_count = -1",
        "UPDATE storage_buckets SET policy = 'open'",
        "INSERT INTO storage_segments VALUES \
         ('00000000-0000-0000-0000-000000000001', 0, 0, 1, printf('%064d', 0), NULL, NULL, x'00')",
    ] {
        assert!(conn.execute(statement, []).is_err(), "{statement}");
    }
}

#[test]
fn an_upload_goes_its_way_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let conn = connection::migrator(&dir.path().join("test.db"), 8192).unwrap();
    migrations::migrate(&conn, migrations::newest()).unwrap();
    let insert = |status: &str| {
        conn.execute(
            "INSERT INTO upload_queue (id, bucket_id, file_name, file_size_bytes, mime_type, storage_path, \
             blob_key, source_provider, target_provider, reason, status, completed_at, next_attempt_at, queued_at, \
             created_at, updated_at) VALUES (?1, 'b', 'f', 1, 't', 'p', ?1, 'l', 's', 'deferred', ?2, iif(?2 = 'completed', 1, NULL), 0, 0, 0, 0)",
            [&uuid::Uuid::new_v4().to_string(), status],
        )
    };
    assert!(insert("completed").is_err());
    insert("pending").unwrap();
    let go = |status: &str| {
        conn.execute(
            "UPDATE upload_queue SET status = ?1, started_at = 1, \
             completed_at = iif(?1 IN ('completed', 'failed'), 1, NULL)",
            [status],
        )
        .is_ok()
    };
    for (status, legal) in [
        ("completed", false),
        ("in_progress", true),
        ("pending", true),
        ("in_progress", true),
        ("failed", true),
        ("completed", false),
        ("in_progress", false),
        ("pending", true),
        ("in_progress", true),
        ("completed", true),
        ("pending", false),
        ("failed", false),
        ("anything", false),
    ] {
        assert_eq!(go(status), legal, "to {status}");
    }
}
