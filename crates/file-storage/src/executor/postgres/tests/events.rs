//! Events over transactions that commit out of order: nobody passes over one, and nobody waits.

use futures_util::future::join_all;

use super::{TestDatabase, open_as, open_database, options};
use crate::bucket::BucketPolicy;
use crate::executor::conformance::subject::{maintain, user};
use crate::file::PutMode;

/// A transaction that is held open has written an event, and others after it are committed and read: when it commits,
/// its event comes, behind what was read.
#[tokio::test]
async fn what_commits_late_is_not_passed_over_and_holds_nobody_up() {
    let opened = open_database().await;
    let (subject, owner) = (&opened.subject, user());
    let made = [
        subject.bucket(&owner, "early", BucketPolicy::Private).await,
        subject.bucket(&owner, "late", BucketPolicy::Private).await,
    ];
    let mut admin = opened.database.admin().await;
    let held = admin.transaction().await.unwrap();
    held.batch_execute(
        "INSERT INTO aerostore.storage_events (kind, bucket_id, path, payload) \
         VALUES ('storage.object.created', 'late', 'held', '{}')",
    )
    .await
    .unwrap();
    subject.put(&owner, (&made[0], "a"), b"1", PutMode::Create).await.unwrap();
    let read = async |after| subject.executor.events(&maintain(), after, 100).await.unwrap();
    let seen = read(0).await;
    assert_eq!(seen.last().unwrap().path.as_deref(), Some("a"), "nobody waits for what is held open");
    let last = seen.last().unwrap().sequence;
    assert!(read(last).await.is_empty());
    held.commit().await.unwrap();
    let late = read(last).await;
    assert_eq!(late.len(), 1);
    assert_eq!((late[0].path.as_deref(), late[0].sequence > last), (Some("held"), true));
}

/// Two processes read while many write: both meet every event once, in one order, which is the order of each object's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_in_two_processes_meet_the_same_events_in_the_same_order() {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let database = TestDatabase::new();
    let processes =
        [open_as(&database, options(&database)).await, open_as(&database, options(&database)).await];
    let owner = user();
    let made = processes[0].bucket(&owner, "busy", BucketPolicy::Private).await;
    let writers = (0..WRITERS).map(|writer| {
        let (process, owner, made) = (&processes[writer % 2], &owner, &made);
        async move {
            for write in 0..WRITES {
                // Two paths, which all of them write.
                let at = if write % 2 == 0 { "a" } else { "b" };
                process.put(owner, (made, at), &vec![0; write % 3], PutMode::Upsert).await.unwrap();
            }
        }
    });
    let readers = processes.each_ref().map(|process| async move {
        let (mut met, mut last) = (Vec::new(), 0);
        while met.len() < WRITERS * WRITES + 1 {
            let page = process.executor.events(&maintain(), last, 7).await.unwrap();
            last = page.last().map_or(last, |event| event.sequence);
            met.extend(page);
            tokio::task::yield_now().await;
        }
        met
    });
    let ((), met) = tokio::join!(async { drop(join_all(writers).await) }, join_all(readers));
    assert_eq!(met[0], met[1]);
    assert!(met[0].windows(2).all(|two| two[0].sequence < two[1].sequence));
    for at in ["a", "b"] {
        let of_path: Vec<_> = met[0].iter().filter(|event| event.path.as_deref() == Some(at)).collect();
        assert_eq!(of_path.iter().filter(|event| event.kind == "storage.object.created").count(), 1);
        assert_eq!(of_path[0].kind, "storage.object.created", "{at}");
        let now = processes[0].get(&owner, "busy", at).await.unwrap();
        assert_eq!(of_path.last().unwrap().payload["version"], now.version.to_string(), "{at}");
    }
}
