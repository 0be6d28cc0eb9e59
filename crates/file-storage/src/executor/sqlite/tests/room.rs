//! A full disk: who is refused, who gets the reserve, and how it comes back.

use std::sync::mpsc;
use std::time::Duration;

use super::open_at;
use crate::bucket::BucketPolicy;
use crate::errors::StorageError;
use crate::executor::conformance::queue::{claim_one, migration, write};
use crate::executor::conformance::subject::{Subject, bucket, lost_bytes, maintain, path, strange, user};
use crate::executor::sqlite::tests::groups::{mark, marks};
use crate::executor::{AttemptEnd, Executor, UpkeepExecutor};
use crate::failpoint::{self, Action};
use crate::file::BlobKey;

fn is_full<T>(outcome: &Result<T, StorageError>) -> bool {
    matches!(outcome, Err(StorageError::DiskFull { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_on_a_full_disk_gets_the_reserve_and_others_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let executor = std::sync::Arc::new(open_at(dir.path()));
    let reserve = dir.path().join("test.db-reserve");
    assert!(reserve.metadata().unwrap().len() >= 256 << 10, "the reserve is there from the start");
    let writer = &executor.writer;
    // What is sent while the writer is busy makes one group.
    let ((begun, has_begun), (go, wait)) = (mpsc::channel(), mpsc::channel::<()>());
    let held = executor.clone();
    let held = tokio::spawn(async move {
        let busy = held.writer.run("busy", move |_| {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        });
        busy.await
    });
    has_begun.recv().unwrap();
    // The group's commit fails for lack of room, once: with the reserve given up, it goes through.
    let full = failpoint::arm_nth(dir.path(), "sqlite.commit", Action::DiskFull, 2);
    let group = futures_util::future::join4(
        writer.run("takes", |conn| mark(conn, "takes")),
        writer.free("frees", |conn| mark(conn, "frees")),
        writer.free("frees", |conn| mark(conn, "frees too")),
        async { go.send(()).unwrap() },
    );
    let (takes, frees, too, ()) = group.await;
    held.await.unwrap().unwrap();
    assert!(is_full(&takes), "{takes:?}");
    assert!(frees.is_ok() && too.is_ok(), "{frees:?} {too:?}");
    assert_eq!(marks(&executor), ["frees", "frees too"], "each once");
    assert_eq!(full.hits(), 3);
    // There is room in truth, so that the reserve is made again and writes are let in.
    for _ in 0..2000 {
        if reserve.exists() && executor.check_room().is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    executor.check_room().unwrap();
    writer.run("takes", |conn| mark(conn, "takes")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_little_room_left_only_deletions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    let writer = &executor.writer;
    let no_room = failpoint::arm(dir.path(), "sqlite.room", Action::DiskFull);
    assert!(is_full(&writer.run("takes", |conn| mark(conn, "takes")).await));
    assert!(executor.check_room().is_err(), "the next upload is refused before it sends anything");
    writer.free("frees", |conn| mark(conn, "frees")).await.unwrap();
    writer.keep("keeps", |conn| mark(conn, "keeps")).await.unwrap();
    assert_eq!(marks(&executor), ["frees", "keeps"]);
    drop(no_room);
    for _ in 0..2000 {
        if executor.check_room().is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    writer.run("takes", |conn| mark(conn, "takes")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_on_a_full_disk_gives_the_reserve_up_first() {
    let dir = tempfile::tempdir().unwrap();
    open_at(dir.path()).close().await;
    let reserve = dir.path().join("test.db-reserve");
    assert!(reserve.exists());
    let no_room = failpoint::arm(dir.path(), "sqlite.room", Action::DiskFull);
    let executor = open_at(dir.path());
    assert!(!reserve.exists());
    assert!(executor.check_room().is_err());
    executor.writer.free("frees", |conn| mark(conn, "frees")).await.unwrap();
    drop(no_room);
    executor.close().await;
    let executor = open_at(dir.path());
    assert!(reserve.exists() && executor.check_room().is_ok());
}

/// What deletes must count as freeing; what makes must not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletions_of_all_kinds_go_on() {
    use crate::permissions::{Access, AccessRules, Operation};
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    let me = user();
    let access = |operation| Access::check(&me, operation, None, AccessRules::default()).unwrap();
    let config = crate::bucket::BucketConfig::default();
    executor.create_bucket(&access(Operation::CreateBucket), &bucket("box"), &config).await.unwrap();
    let _no_room = failpoint::arm(dir.path(), "sqlite.room", Action::DiskFull);
    let made = executor.create_bucket(&access(Operation::CreateBucket), &bucket("other"), &config).await;
    assert!(is_full(&made), "{made:?}");
    let gone = executor.delete_object(&access(Operation::Delete), &bucket("box"), &path("a"), None).await;
    assert!(gone.as_ref().is_ok_and(|gone| gone.object.is_none()), "{gone:?}");
    executor.delete_objects(&access(Operation::Delete), &bucket("box"), &[path("a")]).await.unwrap();
    executor.empty_bucket(&access(Operation::EmptyBucket), &bucket("box"), 10).await.unwrap();
    executor.delete_bucket(&access(Operation::DeleteBucket), &bucket("box")).await.unwrap();
    let upkeep = Access::check(
        &crate::permissions::RlsContext::system("test"),
        Operation::Maintain,
        None,
        AccessRules::default(),
    );
    let upkeep = upkeep.unwrap();
    executor.finish_deletions(&upkeep, &[], &[]).await.unwrap();
    executor.delete_lost_object(&upkeep, &lost_bytes(uuid::Uuid::now_v7(), &strange())).await.unwrap();
    executor.consume_nonce(uuid::Uuid::now_v7(), chrono::Utc::now()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_little_room_left_queued_blobs_still_go_where_they_belong() {
    let dir = tempfile::tempdir().unwrap();
    let subject = Subject::new(std::sync::Arc::new(open_at(dir.path())), ());
    let (owner, access, on) = (user(), maintain(), &subject.executor);
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (id, _) = write(&subject, &owner, &made, "a").await;
    let _no_room = failpoint::arm(dir.path(), "sqlite.room", Action::DiskFull);
    let (worker, _) = claim_one(&subject).await;
    let end = AttemptEnd::Again { after: Duration::ZERO, error: "no".to_owned() };
    on.end_attempt(&access, worker, id, &end).await.unwrap().unwrap();
    let (worker, claimed) = claim_one(&subject).await;
    assert_eq!(on.renew_claims(&access, worker, &[id], Duration::from_secs(60)).await.unwrap(), [id]);
    assert!(on.complete_entry(&access, worker, &claimed, &BlobKey::new(made.uuid), false).await.unwrap());
    assert_eq!(on.forget_completed(&access, Duration::ZERO, 10).await.unwrap(), 1);
    assert!(is_full(&on.queue_migration(&access, &migration("s3", "local"), None, 10).await));
}
