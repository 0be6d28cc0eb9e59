//! A page of a migration beside what moves and deletes its blobs: before its rows are held, and after.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use tempfile::TempDir;

use super::{TestDatabase, open_as, options};
use crate::bucket::BucketPolicy;
use crate::executor::conformance::queue::{claim_one, migration, write};
use crate::executor::conformance::subject::{Subject, allow, maintain, new_blob, service, user};
use crate::executor::postgres::PostgresOptions;
use crate::executor::{QueueEntry, QueueListing, QueueStatus};
use crate::failpoint::{self, Action, Scope};
use crate::file::{BlobKey, PutMode};
use crate::permissions::{Operation, RlsContext};

/// A process whose points are those of this directory.
async fn process(database: &TestDatabase, dir: &Path) -> Subject {
    let options = PostgresOptions { failpoints: Scope::new(dir), ..options(database) };
    open_as(database, options).await
}

/// Three blobs, of which the one of `b` is on its way to `s3`; gives its key.
async fn three(on: &Subject, owner: &RlsContext) -> BlobKey {
    let made = on.bucket(owner, "photos", BucketPolicy::Private).await;
    for at in ["a", "c"] {
        on.put_object(owner, new_blob(&made, at, b"bytes").0, &PutMode::Create).await.unwrap();
    }
    write(on, owner, &made, "b").await.1
}

/// Paths of entries with this status.
async fn entries(on: &Subject, status: QueueStatus) -> Vec<String> {
    let listing = QueueListing { limit: 20, status: Some(status), ..QueueListing::default() };
    let access = allow(&service(), Operation::ReadQueue);
    let entries: Vec<QueueEntry> = on.executor.queue_entries(&access, &listing).await.unwrap();
    let mut paths: Vec<_> = entries.iter().map(|entry| entry.path.to_string()).collect();
    paths.sort();
    paths
}

/// Waits until a count of the database's is this.
pub(super) async fn until(database: &TestDatabase, count: &str, wanted: i64) {
    let admin = database.admin().await;
    for _ in 0..4000 {
        if admin.query_one(count, &[]).await.unwrap().get::<_, i64>(0) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {wanted}: {count}");
}

/// What holds a blob's row first has its way: the page waits for it, and then knows the blob no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_queues_nothing_that_has_moved_or_gone_while_it_waited() {
    for is_moved in [true, false] {
        let (dir, database) = (TempDir::new().unwrap(), TestDatabase::new());
        let (other, migrates) =
            (process(&database, dir.path()).await, open_as(&database, options(&database)).await);
        let owner = user();
        let key = three(&other, &owner).await;
        let (worker, claimed) = claim_one(&other).await;
        let (access, copy) = (maintain(), key.sibling().unwrap());
        let paused = failpoint::arm_nth(dir.path(), "postgres.before_commit", Action::Pause, 1);
        let changes = async {
            if is_moved {
                assert!(
                    other.executor.complete_entry(&access, worker, &claimed, &copy, false).await.unwrap()
                );
            } else {
                assert!(other.delete(&owner, "photos", "b").await.unwrap().is_some());
            }
        };
        let pages = async {
            paused.reached(1).await;
            let free =
                "SELECT count(*) FROM (SELECT FROM aerostore.storage_segments FOR UPDATE SKIP LOCKED) s";
            until(&database, free, 2).await;
            // As long as what there is: with one blob less, it is a full page all the same.
            let away = migration("local", "gcs");
            let (mut queued, mut after, mut pages) = (0, None, 0);
            while pages == 0 || after.is_some() {
                let behind = after.take();
                let mut page = pin!(migrates.executor.queue_migration(&access, &away, behind.as_ref(), 3));
                if pages == 0 {
                    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                         AND wait_event_type = 'Lock'";
                    tokio::select! {
                        early = &mut page => panic!("it does not wait: {early:?}"),
                        () = until(&database, waiting, 1) => {}
                    }
                    paused.release();
                }
                let page = page.await.unwrap();
                assert!(pages > 0 || page.next.is_some(), "the first page is a full one");
                (queued, after, pages) = (queued + page.entries, page.next, pages + 1);
                assert!(pages < 5, "the migration has no end");
            }
            queued
        };
        let ((), queued) = tokio::join!(changes, pages);
        assert_eq!(queued, 2, "moved: {is_moved}");
        assert_eq!(entries(&migrates, QueueStatus::Pending).await, ["a", "c"], "moved: {is_moved}");
        let arrived: &[&str] = if is_moved { &["b"] } else { &[] };
        assert_eq!(entries(&migrates, QueueStatus::Completed).await, arrived);
        // And what has moved is not lost to the next one.
        let on = migrates.executor.queue_migration(&access, &migration("s3", "gcs"), None, 10).await.unwrap();
        assert_eq!(on.entries, u64::from(is_moved));
        migrates.recount().await;
    }
}

/// What a page has read nobody changes before it is queued.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_after_a_page_was_read_takes_its_entry_along() {
    let (dir, database) = (TempDir::new().unwrap(), TestDatabase::new());
    let (migrates, other) =
        (process(&database, dir.path()).await, open_as(&database, options(&database)).await);
    let owner = user();
    let key = three(&migrates, &owner).await;
    let access = maintain();
    // The first statements read the page, the second ones queue it.
    let paused = failpoint::arm_nth(dir.path(), "postgres.before_statements", Action::Pause, 2);
    let away = migration("local", "gcs");
    let queueing = migrates.executor.queue_migration(&access, &away, None, 10);
    let deleting = async {
        paused.reached(2).await;
        let mut deleted = pin!(other.delete(&owner, "photos", "b"));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut deleted).await;
        assert!(early.is_err(), "it does not wait for the page: {early:?}");
        paused.release();
        deleted.await.unwrap()
    };
    let (queued, deleted) = tokio::join!(queueing, deleting);
    // The one that waited for another provider goes this way, too.
    assert_eq!((queued.unwrap().entries, deleted.is_some()), (3, true));
    assert_eq!(entries(&other, QueueStatus::Pending).await, ["a", "c"]);
    let due = other.executor.due_deletions(&access, Duration::ZERO, 10).await.unwrap();
    assert_eq!(due.into_iter().map(|blob| blob.key).collect::<Vec<_>>(), [key]);
    other.recount().await;
}
