//! What goes wrong on the way home, and whose fault it is.

use std::time::{Duration, Instant};

use file_storage::executor::{Claim, QueueEntry, QueueReason, QueueStatus};
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::scene::{Scene, bytes, moto};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::support::{maintain, service};

/// The file of the one blob that is away.
async fn blob_file(scene: &Scene) -> std::path::PathBuf {
    let blobs: Vec<_> = scene.away.list().try_collect().await.unwrap();
    assert_eq!(blobs.len(), 1);
    let name = blobs[0].key.as_str().rsplit('/').next().unwrap().to_owned();
    let mut folders = vec![scene.dir.path().join("away")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true if entry.file_name() != "staging" => folders.push(entry.path()),
                false if entry.file_name().to_string_lossy().contains(&name) => return entry.path(),
                _ => {}
            }
        }
    }
    panic!("{name} is nowhere");
}

/// Whether an attempt has failed, and another one will come.
fn failed_once(entries: &[QueueEntry]) -> bool {
    entries.iter().all(|entry| entry.status == QueueStatus::Pending && entry.error.is_some())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_elsewhere_in_an_outage_comes_home_after_it() {
    let proxy = FaultProxy::before(&moto()).await;
    let scene = Scene::before_a_cloud(proxy.address()).await;
    let upkeep = scene.upkeep();
    proxy.otherwise(Fault::Answer(403));
    for at in 0..5 {
        let written = scene.put(&format!("file-{at}"), &bytes(100_000, at)).await.unwrap();
        assert_eq!(written.queued, None, "its caller did not ask to be deferred");
    }
    let entries = scene.entries().await;
    assert!(entries.iter().all(|entry| entry.reason == QueueReason::Failover && &*entry.target == "home"));
    assert_eq!(entries.len(), 5);
    // Nobody asks a provider that is known not to be well.
    let asked = proxy.requests().len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(proxy.requests().len(), asked);
    proxy.otherwise(Fault::Pass);
    scene.storage.probe_active().await.unwrap();
    scene.storage.retry_entry(&service(), entries[0].id).await.unwrap();
    scene.until_home().await;
    scene.audit([5, 0]).await;
    for at in 0..5 {
        assert_eq!(scene.get(&format!("file-{at}")).await.unwrap(), bytes(100_000, at));
    }
    upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_not_what_was_sent_is_thrown_away_and_sent_again() {
    for fault in
        [Fault::ChangeBody, Fault::CutBody, Fault::LoseAnswer, Fault::Answer(500), Fault::Answer(403)]
    {
        let proxy = FaultProxy::before(&moto()).await;
        let scene = Scene::before_a_cloud(proxy.address()).await;
        scene.defer("a", &bytes(100_000, 1)).await;
        proxy.plan("PUT", [fault]);
        let upkeep = scene.upkeep();
        let entries = scene.until("failed once", failed_once).await;
        assert!(proxy.is_done(), "{fault:?}");
        assert_eq!(entries[0].attempts, 1, "{fault:?}");
        assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1), "{fault:?}");
        assert!(
            scene.storage.provider_status("home").unwrap().is_healthy,
            "{fault:?}: not for one copy to say"
        );
        let entries = scene.until_home().await;
        assert_eq!(entries[0].attempts, 2, "{fault:?}");
        scene.audit([1, 0]).await;
        assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1), "{fault:?}");
        upkeep.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_not_what_was_stored_are_given_up_and_those_that_are_gone_are_looked_for_again() {
    let scene = Scene::new().await;
    scene.defer("a", &bytes(100_000, 1)).await;
    let file = blob_file(&scene).await;
    let kept = std::fs::read(&file).unwrap();
    // Blobs are not to be written twice: a disk that loses bits does not ask.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, bytes(100_000, 2)).unwrap();
    let upkeep = scene.upkeep();
    let failed = |entries: &[QueueEntry]| entries.iter().all(|entry| entry.status == QueueStatus::Failed);
    let entries = scene.until("given up", failed).await;
    assert_eq!(entries[0].attempts, 1);
    assert_eq!(entries[0].error.as_deref(), Some("the stored bytes do not match their checksum"));

    std::fs::remove_file(&file).unwrap();
    scene.storage.retry_entry(&service(), entries[0].id).await.unwrap();
    let gone = |entries: &[QueueEntry]| {
        failed_once(entries) && entries[0].error.as_deref() == Some("the stored bytes are not there")
    };
    scene.until("gone", gone).await;
    std::fs::write(&file, kept).unwrap();
    scene.until_home().await;
    scene.audit([1, 0]).await;
    assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1));
    upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_in_the_middle_of_a_copy_gives_it_back_at_once() {
    let proxy = FaultProxy::before(&moto()).await;
    let scene = Scene::before_a_cloud(proxy.address()).await;
    scene.defer("a", &bytes(100_000, 1)).await;
    proxy.plan("PUT", [Fault::Stall]);
    let upkeep = scene.upkeep();
    while proxy.count("PUT") == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = Instant::now();
    upkeep.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    let entries = scene.entries().await;
    assert_eq!((entries[0].status, entries[0].attempts), (QueueStatus::Pending, 0));
    let upkeep = scene.upkeep();
    scene.until_home().await;
    scene.audit([1, 0]).await;
    upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_had_that_is_gone_is_anybodys_after_its_claim() {
    let scene = Scene::new().await;
    scene.defer("a", &bytes(100_000, 1)).await;
    let claim = Claim {
        worker: Uuid::now_v7(),
        sources: vec!["away".into()],
        targets: vec!["home".into()],
        limit: 10,
        lease: Duration::from_millis(200),
    };
    let claimed = scene.executor.claim_entries(&maintain(), &claim).await.unwrap();
    assert_eq!(claimed.entries.len(), 1);
    tokio::time::sleep(claim.lease).await;
    let upkeep = scene.upkeep();
    let entries = scene.until_home().await;
    assert_eq!(entries[0].attempts, 2);
    // Who comes back after all has nothing to say any more.
    let copy = claimed.entries[0].key.clone();
    let completed = scene
        .executor
        .complete_entry(&maintain(), claim.worker, &claimed.entries[0], &copy, false)
        .await
        .unwrap();
    assert!(!completed);
    scene.audit([1, 0]).await;
    upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_goes_while_it_is_on_its_way_leaves_nothing() {
    use file_storage::failpoint::{self, Action};
    for point in ["queue.claimed", "queue.written", "queue.verified", "queue.before_commit"] {
        let scene = Scene::new().await;
        scene.defer("gone", &bytes(100_000, 1)).await;
        let paused = failpoint::arm(scene.dir.path(), point, Action::Pause);
        let upkeep = scene.upkeep();
        paused.reached(1).await;
        scene.delete("gone").await;
        paused.release();
        scene.until("forgotten", <[QueueEntry]>::is_empty).await;
        scene.audit([0, 0]).await;
        upkeep.stop().await;
    }
}

/// A disk that takes nothing new, and from which nothing can be deleted for now, is emptied all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_on_a_disk_that_can_only_be_read_comes_home() {
    use file_storage::failpoint::{self, Action};
    let scene = Scene::new().await;
    scene.defer("a", &bytes(100_000, 1)).await;
    let away = scene.dir.path().join("away");
    let _full = failpoint::arm(&away, "local.stage.create", Action::DiskFull);
    let stuck = failpoint::arm(&away, "local.delete.blob", Action::Io);
    // This one finds out.
    assert_eq!(scene.defer("b", &bytes(100_000, 2)).await.queued, None);
    assert!(!scene.storage.provider_status("away").unwrap().is_healthy);
    let upkeep = scene.upkeep();
    let entries = scene.until_home().await;
    assert_eq!((entries.len(), entries[0].attempts), (1, 1));
    stuck.reached(1).await;
    assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1));
    scene.until_kept([2, 1]).await;
    upkeep.stop().await;
}

/// An attempt that goes on after its entry was cancelled and queued again says nothing of it any more, though it is this process
/// that has the entry now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_was_cancelled_has_lost_its_claim_to_the_next_one() {
    use file_storage::failpoint::{self, Action};
    let scene = Scene::new().await;
    scene.defer("a", &bytes(100_000, 1)).await;
    let first = failpoint::arm_nth(scene.dir.path(), "queue.before_commit", Action::Pause, 1);
    let upkeep = scene.upkeep();
    first.reached(1).await;
    let second = failpoint::arm_nth(scene.dir.path(), "queue.claimed", Action::Pause, 1);
    let id = scene.entries().await[0].id;
    scene.storage.cancel_entry(&service(), id).await.unwrap();
    scene.storage.retry_entry(&service(), id).await.unwrap();
    second.reached(1).await;
    first.release();
    // Its copy goes, and the blob stays where it was.
    scene.audit([0, 1]).await;
    let entries = scene.entries().await;
    assert_eq!((entries[0].status, entries[0].attempts), (QueueStatus::InProgress, 1));
    second.release();
    scene.until_home().await;
    scene.audit([1, 0]).await;
    assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1));
    upkeep.stop().await;
}
