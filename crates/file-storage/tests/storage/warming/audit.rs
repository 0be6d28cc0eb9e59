//! Nobody asked for what is read ahead, and the audit log is told of nobody.

use file_storage::audit::{AuditLog, AuditOptions};
use file_storage::{BucketPolicy, FileStorage, failpoint};

use super::counts::Counts;
use super::scene::{ask, fixture, put, upkeep, warming};
use crate::support::{anon, credential_key, keys, user};

#[tokio::test]
async fn it_is_told_to_no_audit_log() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(0).await;
    let dir = fixture.dir.path();
    let log = AuditLog::open(AuditOptions {
        directory: dir.join("audit"),
        data_dir: dir.to_owned(),
        server: "one".to_owned(),
        keeps_all: true,
        sync: false,
        continues_on_failure: false,
        max_file_size: 1 << 20,
        keep: None,
        failpoints: failpoint::Scope::new(dir),
    });
    let (executor, backend) = (fixture.executor.clone(), fixture.backend.clone());
    let storage = FileStorage::watched(
        executor,
        Some(log.unwrap()),
        backend,
        keys(),
        credential_key(),
        warming(dir, 4),
    );
    let upkeep = upkeep(&storage);
    let at = fixture.bucket(&user(1), "docs", BucketPolicy::Public).await;
    ask(&storage, &anon(), &at).await;
    for round in 1..=3 {
        put(&fixture, &at, &format!("{round}")).await;
        counts.warmed(round).await;
    }
    upkeep.stop().await;
    storage.close().await;
    let logs = std::fs::read_dir(dir.join("audit")).unwrap().map(|entry| entry.unwrap().path());
    let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let text: String = logs.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert_eq!(text.matches("\"docs\"").count(), 3, "the requests of anon, and nothing else: {text}");
}
