//! What the audit log is told of reads that nobody else hears of.

use file_storage::audit::{AuditFilter, AuditFormat, AuditLog, AuditOptions, export};
use file_storage::failpoint::Scope;
use file_storage::{BucketPolicy, FileStorage};
use serde_json::{Value, json};

use super::scene::{TOGETHER, asked, keeps, put};
use crate::support::{Fixture, credential_key, keys, options, path, user};

/// The audit log has a line of each read, wherever it was answered from.
#[tokio::test]
async fn a_read_from_memory_has_its_line() {
    let fixture = Fixture::new().await;
    let me = user(1);
    let at = fixture.bucket(&me, "told", BucketPolicy::Private).await;
    put(&fixture, &me, &at, "a", b"1").await;
    let directory = fixture.dir.path().join("audit");
    let log = AuditLog::open(AuditOptions {
        directory: directory.clone(),
        data_dir: fixture.dir.path().to_owned(),
        server: "a".to_owned(),
        keeps_all: true,
        sync: true,
        continues_on_failure: false,
        max_file_size: 1 << 20,
        keep: None,
        failpoints: Scope::new(fixture.dir.path()),
    })
    .unwrap();
    let options = options(fixture.dir.path());
    let (executor, backend) = (fixture.executor.clone(), fixture.backend.clone());
    let watched = FileStorage::watched(executor, Some(log), backend, keys(), credential_key(), options);
    let mut kept = false;
    for _ in 0..4 {
        kept = asked((&watched, &*fixture.executor), &me, &at, "a").await;
    }
    assert_eq!(kept, keeps(&fixture));
    let object = fixture.storage.info(&me, &at, &path("a")).await.unwrap();
    watched.close().await;
    let mut lines = Vec::new();
    export(&directory, &AuditFilter::default(), AuditFormat::JsonLines, &mut lines).unwrap();
    let lines: Vec<Value> =
        lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    for (operation, bytes) in [("download", json!(1)), ("info", Value::Null)] {
        let told = lines.iter().filter(|line| {
            line["operation"] == operation
                && line["action"] == "read"
                && line["path"] == "a"
                && line["version"] == json!(object.version)
                && line["bytes"] == bytes
        });
        assert_eq!(told.count(), 4 * TOGETHER, "{operation}: {lines:#?}");
    }
}
