//! The orphan job while files come and go, which are deleted by another process than its own: what goes in the ordinary
//! way is neither an orphan nor lost.

use std::time::Duration;

use crate::support::{Fixture, credential_key, keys, options, path, user};
use file_storage::failpoint::{self, Action};
use file_storage::file::PutMode;
use file_storage::upkeep::{CleanupReport, Upkeep, UpkeepOptions};
use file_storage::{BucketPolicy, FileStorage};

/// What an orphan job reports, while whose sweep is at `point` a file is deleted and its blob goes.
async fn report_of_a_job_that_meets_a_deletion(point: &'static str) -> CleanupReport {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    for name in ["kept", "deleted"] {
        fixture.put(&user(1), (&docs, &path(name)), PutMode::Create, &[7; 1000]).await.unwrap();
    }
    let other = FileStorage::new(
        fixture.executor.clone(),
        fixture.backend.clone(),
        keys(),
        credential_key(),
        options(fixture.dir.path()),
    );
    let upkeep = UpkeepOptions { interval: None, grace: Duration::ZERO, ..UpkeepOptions::default() };
    let upkeep = Upkeep::start(&other, upkeep);
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
