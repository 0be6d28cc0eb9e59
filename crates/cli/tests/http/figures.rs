//! Figures that alerts and dashboards ask for, as a server tells them once what they are about has happened.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{OTHER, OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

#[tokio::test]
async fn transfers_and_what_is_kept_in_memory_are_counted() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    server.put(ME, "box/small", pattern(100)).await;
    server.put(ME, "box/large", pattern(100_000)).await;
    for (who, path, status) in
        [(ME, "small", 200), (ME, "large", 200), (ME, "nothing", 404), (Who::User(OTHER), "small", 403)]
    {
        server.call(who, "GET", &format!("/object/box/{path}")).send().await.expect_status(status);
    }
    let part = server.call(ME, "GET", "/object/box/large").header("range", "bytes=0-999").send().await;
    part.expect_status(206);
    for (figure, wanted) in [
        ("storage_upload_total{bucket=\"box\",status=\"success\"}", 2.0),
        ("storage_upload_bytes_total{bucket=\"box\"}", 100_100.0),
        ("storage_download_total{bucket=\"box\",status=\"success\"}", 3.0),
        ("storage_download_bytes_total{bucket=\"box\"}", 101_100.0),
        ("storage_download_total{bucket=\"box\",status=\"error\"}", 2.0),
        ("storage_download_errors_total{error=\"OBJECT_NOT_FOUND\"}", 1.0),
        ("storage_download_errors_total{error=\"STORAGE_UNAUTHORIZED\"}", 1.0),
    ] {
        assert_eq!(server.figure(figure).await, Some(wanted), "{figure}");
    }

    let began = Instant::now();
    while server.figure("storage_cache_entries").await.is_none_or(|entries| entries == 0.0) {
        let asked = json!({ "prefix": "" });
        server.call(ME, "POST", "/object/list/box").json(&asked).send().await.expect_status(200);
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is kept");
    }
    if std::env::var("AEROSTORE_TEST_ENGINE").as_deref() == Ok("postgres") {
        // Commits are joined by us on SQLite alone.
        return;
    }
    let commits = server.figure("storage_group_commit_size_count").await.unwrap();
    let changes = server.figure("storage_group_commit_size_sum").await.unwrap();
    assert!(commits >= 3.0 && changes >= commits, "{changes} changes in {commits}");
    assert_eq!(server.figure("storage_group_commit_seconds_count").await, Some(commits));
}

/// Files below a folder that are larger than what a server writes for itself.
fn blobs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { blobs(&path) } else { vec![path] });
    found.filter(|path| std::fs::metadata(path).unwrap().len() == 50_000).collect()
}

/// One blob has another name than its row says: there is an orphan, and a row without a blob.
#[tokio::test]
async fn leftovers_are_counted_and_so_are_runs_that_stop() {
    let server = Server::start_with(&[("AEROSTORE_CLEANUP_GRACE", "1s")]);
    server.bucket(ME, "box", "private").await;
    server.put(ME, "box/a", pattern(50_000)).await;
    let [blob] = &blobs(&server.data_dir().join("blobs"))[..] else { panic!("one blob was written") };
    let counted = async |name: &str| server.figure(name).await.unwrap_or_default();
    assert_eq!(counted("storage_orphan_files_total").await, 0.0);
    assert_eq!(counted("storage_orphan_job_halted_total").await, 0.0);

    let name = blob.file_name().unwrap().to_str().unwrap();
    let other = if name.starts_with("01") { "11" } else { "01" };
    std::fs::rename(blob, blob.with_file_name(format!("{other}{}", &name[2..]))).unwrap();
    let began = Instant::now();
    let report = loop {
        let path = "/api/v1/storage/cleanup";
        let report = server.request(Who::Service, "GET", path).send().await.expect_status(200).json();
        if report["orphan_blobs"] != 0 {
            break report;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{report}");
    };
    assert_eq!((&report["orphan_blobs"], &report["missing_blobs"]), (&json!(1), &json!(1)), "{report}");
    assert_ne!(report["halted"], Value::Null, "{report}");
    assert!(counted("storage_orphan_files_total").await >= 1.0);
    assert!(counted("storage_orphan_job_halted_total").await >= 1.0);
}
