//! The orphan job while files come and go, which are deleted by another process than its own: what goes in the ordinary
//! way is neither an orphan nor lost. And upkeep that is stopped, or told something else, while it is at it.

use std::time::Duration;

use crate::support::{Fixture, credential_key, keys, maintain, options, path, user};
use file_storage::failpoint::{self, Action};
use file_storage::file::PutMode;
use file_storage::upkeep::{CleanupReport, EventRetention, Upkeep, UpkeepOptions};
use file_storage::{BucketPolicy, FileStorage};
use futures_util::StreamExt;

/// Upkeep of another process over the same, whose points are the fixture's directory's.
fn upkeep_of_another(fixture: &Fixture) -> Upkeep {
    let (executor, backend) = (fixture.executor.clone(), fixture.backend.clone());
    let other = FileStorage::new(executor, backend, keys(), credential_key(), options(fixture.dir.path()));
    let options = UpkeepOptions { interval: None, grace: Duration::ZERO, ..UpkeepOptions::default() };
    Upkeep::start(&other, options)
}

/// What an orphan job reports, while whose sweep is at `point` a file is deleted and its blob goes.
async fn report_of_a_job_that_meets_a_deletion(point: &'static str) -> CleanupReport {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    for name in ["kept", "deleted"] {
        fixture.put(&user(1), (&docs, &path(name)), PutMode::Create, &[7; 1000]).await.unwrap();
    }
    let upkeep = upkeep_of_another(&fixture);
    let paused = failpoint::arm(fixture.dir.path(), point, Action::Pause);
    let deletion = async {
        paused.reached(1).await;
        fixture.storage.delete(&user(1), &docs, &path("deleted"), None).await.unwrap().object.unwrap();
        fixture.settle().await;
        paused.release();
    };
    let (report, ()) = tokio::join!(upkeep.cleanup(true), deletion);
    upkeep.stop().await;
    fixture.audit().await;
    report.unwrap()
}

#[tokio::test]
async fn fs_o1_a_blob_that_is_deleted_meanwhile_is_no_orphan() {
    let report = report_of_a_job_that_meets_a_deletion("orphans.listed").await;
    assert_eq!(report, CleanupReport::default());
}

#[tokio::test]
async fn fs_o2_a_file_that_is_deleted_meanwhile_is_not_lost() {
    let report = report_of_a_job_that_meets_a_deletion("orphans.rows_read").await;
    assert_eq!(report, CleanupReport::default());
}

/// A walk may take hours: a blob that was missing when it came by may be there when it ends.
#[tokio::test]
async fn fs_o2_what_came_back_meanwhile_is_not_lost() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    // Of fewer, one would be too many.
    for number in 0..100 {
        let at = path(&format!("{number:03}"));
        fixture.put(&user(1), (&docs, &at), PutMode::Create, &[7; 100]).await.unwrap();
    }
    let blob = fixture.executor.segment_blobs(&maintain(), "local", None, 1).await.unwrap().remove(0);
    let file = fixture.dir.path().join("local/blobs").join(blob.key.as_str());
    let elsewhere = fixture.dir.path().join("elsewhere");
    let upkeep = upkeep_of_another(&fixture);
    std::fs::rename(&file, &elsewhere).unwrap();
    let found = upkeep.cleanup(true).await.unwrap();
    assert_eq!((found.missing_blobs, found.deleted_rows, found.halted), (1, 0, None));
    // Who only looks changes nothing.
    upkeep.cleanup(false).await.unwrap();

    let paused = failpoint::arm(fixture.dir.path(), "orphans.row_due", Action::Pause);
    let meanwhile = async {
        paused.reached(1).await;
        std::fs::rename(&elsewhere, &file).unwrap();
        paused.release();
    };
    let (report, ()) = tokio::join!(upkeep.cleanup(true), meanwhile);
    upkeep.stop().await;
    let report = report.unwrap();
    assert_eq!((report.missing_blobs, report.deleted_rows, report.halted), (1, 0, None));
    assert_eq!(fixture.get(&user(1), (&docs, &blob.path)).await.unwrap(), [7; 100]);
    fixture.audit().await;
}

#[tokio::test]
async fn events_go_as_they_are_to_be_kept_from_now_on() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    for name in ["one", "two"] {
        fixture.put(&user(1), (&docs, &path(name)), PutMode::Create, b"1").await.unwrap();
    }
    let options = UpkeepOptions { interval: None, ..UpkeepOptions::default() };
    let upkeep = Upkeep::start(&fixture.storage, options.clone());
    let kept = async || fixture.executor.events(&maintain(), 0, 100).await.unwrap().len();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(kept().await, 3);
    let events = EventRetention { most: 1, ..EventRetention::default() };
    upkeep.reconfigure(UpkeepOptions { events, ..options });
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while kept().await > 1 {
        assert!(tokio::time::Instant::now() < until, "the events are kept as before");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    upkeep.stop().await;
}

#[tokio::test]
async fn deletions_that_have_not_begun_wait_where_upkeep_stops() {
    const BLOBS: usize = 40;
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    for number in 0..BLOBS {
        let path = path(&format!("{number}"));
        fixture.put(&user(1), (&docs, &path), PutMode::Create, &[7; 1000]).await.unwrap();
        fixture.storage.delete(&user(1), &docs, &path, None).await.unwrap().object.unwrap();
    }
    let paused = failpoint::arm(fixture.dir.path(), "local.delete.blob", Action::Pause);
    let upkeep =
        Upkeep::start(&fixture.storage, UpkeepOptions { interval: None, ..UpkeepOptions::default() });
    paused.reached(1).await;
    // Told to stop before the first deletion can end.
    tokio::join!(biased; upkeep.stop(), async { paused.release() });
    let left = fixture.executor.backlog(&maintain()).await.unwrap().pending_deletions;
    assert_eq!(left, fixture.backend.list().count().await as u64, "what was deleted is queued no more");
    assert!(left > BLOBS as u64 / 2 && left < BLOBS as u64, "{left}");
    fixture.audit().await;
}
