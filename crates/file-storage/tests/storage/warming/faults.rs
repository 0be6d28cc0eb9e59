//! A database that fails, and an end amid a list.

use std::time::Duration;

use file_storage::BucketPolicy;
use file_storage::failpoint::{self, Action};

use super::counts::{Counts, WARMED};
use super::scene::{READ, ask, fixture, put, upkeep};
use crate::support::{everything, user};

#[tokio::test]
async fn it_stops_amid_a_list_and_backs_off_from_a_database_that_fails() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(4).await;
    let (storage, me) = (&fixture.storage, user(1));
    let running = upkeep(storage);
    let at = fixture.bucket(&me, "docs", BucketPolicy::Private).await;
    ask(storage, &me, &at).await;

    let failing = failpoint::arm(fixture.dir.path(), READ, Action::Io);
    put(&fixture, &at, "a").await;
    // More often than a list is read for nobody: that it can't be read is nobody's fault.
    failing.reached(7).await;
    assert_eq!(counts.of(WARMED), 0);
    drop(failing);
    counts.warmed(1).await;
    assert!(counts.comes_from_memory((storage, &fixture), &me, &at, &everything()).await);

    let paused = failpoint::arm(fixture.dir.path(), READ, Action::Pause);
    put(&fixture, &at, "b").await;
    paused.reached(1).await;
    tokio::time::timeout(Duration::from_secs(10), running.stop()).await.unwrap();
    drop(paused);
    assert!(!counts.comes_from_memory((storage, &fixture), &me, &at, &everything()).await);
    assert_eq!(counts.of(WARMED), 1);
    storage.close().await;
}
