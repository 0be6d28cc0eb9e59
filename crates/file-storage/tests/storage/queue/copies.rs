//! Copies on a provider beside the one that has the blob: made, read where the blob is not, and gone with it.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use file_storage::FileStorage;
use file_storage::backend::provider::Provider;
use file_storage::backend::registry::Providers;
use file_storage::errors::StorageError;
use file_storage::executor::{ProviderUsage, QueueReason, QueueStatus};
use file_storage::failpoint::{self, Action};
use file_storage::storage::{DownloadBody, StorageOptions};
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use futures_util::{StreamExt, TryStreamExt};

use super::scene::{Scene, bytes, cloud, disk, moto};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::support::{self, chunked, credential_key, keys, maintain, path, service, user};

/// The scene's metadata, with `away` as the backup of `home`.
fn backed_up(scene: &Scene, home: Provider, verifies: bool) -> FileStorage {
    let providers = Providers::new(home, [disk(scene.dir.path(), "away")]).copying_to(["away"]);
    let options = StorageOptions { verify_on_read: verifies, ..support::options(scene.dir.path()) };
    FileStorage::new(scene.executor.clone(), providers, keys(), credential_key(), options)
}

fn on_disks(scene: &Scene) -> FileStorage {
    backed_up(scene, disk(scene.dir.path(), "home"), false)
}

async fn put(storage: &FileStorage, scene: &Scene, name: &str, content: &[u8]) {
    let mode = file_storage::file::PutMode::Upsert;
    let pending = storage.admit_upload(&user(1), &scene.bucket, &path(name), mode).await.unwrap();
    let size = Some(content.len() as u64);
    pending.store(Default::default(), size, chunked(content)).await.unwrap();
}

async fn get(
    storage: &FileStorage,
    scene: &Scene,
    name: &str,
    range: Option<Range<u64>>,
) -> Result<Vec<u8>, StorageError> {
    let download = storage.download(&service(), &scene.bucket, &path(name)).await?;
    support::collect(download.body(range).await?).await
}

fn upkeep(storage: &FileStorage) -> Upkeep {
    Upkeep::start(
        storage,
        UpkeepOptions { interval: None, grace: Duration::ZERO, ..UpkeepOptions::default() },
    )
}

async fn usage(scene: &Scene, name: &str) -> (u64, u64, u64) {
    let all = scene.executor.provider_usage(&maintain()).await.unwrap();
    let one = all.iter().find(|usage| &*usage.provider == name);
    let (blobs, copies) = one.map_or((0, 0), |one| (one.blobs, one.copies));
    (blobs, copies, ProviderUsage::missing_copies(&all, name))
}

/// Waits until `away` has so many copies, and none is missing.
async fn until_copied(scene: &Scene, copies: u64) {
    for _ in 0..600 {
        if usage(scene, "away").await == (0, copies, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?} {:#?}", usage(scene, "away").await, scene.entries().await);
}

/// The file of a provider's only blob.
async fn file(scene: &Scene, name: &str) -> PathBuf {
    let backend = if name == "home" { &scene.home } else { &scene.away };
    let blobs: Vec<_> = backend.list().try_collect().await.unwrap();
    assert_eq!(blobs.len(), 1, "{name}");
    scene.dir.path().join(name).join("blobs").join(blobs[0].key.as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_cut_off_or_changed_is_read_from_its_copy() {
    let scene = Scene::new().await;
    let storage = on_disks(&scene);
    let keeper = upkeep(&storage);
    let content = bytes(900_000, 3);
    put(&storage, &scene, "a", &content).await;
    until_copied(&scene, 1).await;
    keeper.stop().await;
    let entries = scene.entries().await;
    assert_eq!((entries[0].reason, entries[0].status), (QueueReason::Copy, QueueStatus::Completed));
    let file = file(&scene, "home").await;
    let verifying = backed_up(&scene, disk(scene.dir.path(), "home"), true);
    let reads = async |storage: &FileStorage, what: &str| {
        for range in [None, Some(0..1), Some(300_000..650_000), Some(899_990..900_000)] {
            let part = range.clone().unwrap_or(0..900_000);
            let read = get(storage, &scene, "a", range).await.unwrap();
            assert!(read == content[part.start as usize..part.end as usize], "{what}: {part:?}");
        }
    };
    reads(&storage, "whole").await;
    std::fs::remove_file(&file).unwrap();
    reads(&storage, "lost").await;
    reads(&verifying, "lost, verified").await;
    std::fs::write(&file, &content[..400_000]).unwrap();
    reads(&storage, "cut off").await;
    reads(&verifying, "cut off, verified").await;
    let mut changed = content.clone();
    changed[450_000] ^= 1;
    std::fs::write(&file, &changed).unwrap();
    reads(&verifying, "changed, verified").await;
    // Where both are bad, nothing is served.
    std::fs::write(self::file(&scene, "away").await, &changed).unwrap();
    let refused = get(&verifying, &scene, "a", None).await;
    assert!(matches!(refused, Err(StorageError::ChecksumMismatch { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_there_before_gets_copies_and_loses_them_with_its_blob() {
    let scene = Scene::new().await;
    for at in 0..30 {
        put(&scene.storage, &scene, &format!("{at}"), &bytes(20_000, at)).await;
    }
    assert_eq!(usage(&scene, "away").await, (0, 0, 30));
    let storage = on_disks(&scene);
    let keeper = upkeep(&storage);
    until_copied(&scene, 30).await;
    assert_eq!(storage.queue_copies(&service(), true).await.unwrap().entries, 0);
    // Deleted and overwritten meanwhile, none is left behind.
    for at in 0..10 {
        storage.delete(&user(1), &scene.bucket, &path(&format!("{at}")), None).await.unwrap();
        put(&storage, &scene, &format!("{}", 10 + at), &bytes(20_001, at)).await;
    }
    until_copied(&scene, 20).await;
    scene.until_kept([20, 20]).await;
    keeper.stop().await;
    let refused = storage.queue_copies(&user(1), true).await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "the service role does this: {refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_copy_is_made_anew_and_no_object_goes_for_it() {
    let scene = Scene::new().await;
    let storage = on_disks(&scene);
    let keeper = upkeep(&storage);
    let content = bytes(50_000, 1);
    put(&storage, &scene, "a", &content).await;
    until_copied(&scene, 1).await;
    // A copy is no orphan.
    let known = file(&scene, "away").await;
    let report = keeper.cleanup(true).await.unwrap();
    assert_eq!((report.missing_copies, report.missing_blobs, report.deleted_rows), (0, 0, 0), "{report:?}");
    assert!(known.exists());
    // Lost: told, and nothing changed, in a dry run.
    std::fs::remove_file(&known).unwrap();
    assert_eq!(keeper.cleanup(false).await.unwrap().missing_copies, 1);
    assert_eq!(usage(&scene, "away").await, (0, 1, 0));
    for _ in 0..2 {
        let report = keeper.cleanup(true).await.unwrap();
        assert_eq!((report.missing_blobs, report.deleted_rows, report.halted), (0, 0, None));
    }
    until_copied(&scene, 1).await;
    scene.until_kept([1, 1]).await;
    assert!(std::fs::read(file(&scene, "away").await).unwrap() == content);
    assert!(get(&storage, &scene, "a", None).await.unwrap() == content);
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_has_a_copy_left_is_not_lost() {
    let scene = Scene::new().await;
    let storage = on_disks(&scene);
    let keeper = upkeep(&storage);
    let content = bytes(50_000, 1);
    // So many that one is less than 1%, of which the job takes no row for lost.
    for at in 0..101 {
        put(&storage, &scene, &format!("{at}"), &content).await;
    }
    until_copied(&scene, 101).await;
    let one = scene.home.list().try_next().await.unwrap().unwrap().key;
    std::fs::remove_file(scene.dir.path().join("home/blobs").join(one.as_str())).unwrap();
    for _ in 0..3 {
        let report = keeper.cleanup(true).await.unwrap();
        assert_eq!((report.missing_blobs, report.deleted_rows, report.halted), (1, 0, None));
    }
    for at in 0..101 {
        assert!(get(&storage, &scene, &format!("{at}"), None).await.unwrap() == content);
    }
    keeper.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_comes_home_from_the_backup_stays_there_as_a_copy() {
    let scene = Scene::new().await;
    scene.defer("a", &bytes(100_000, 1)).await;
    let storage = on_disks(&scene);
    let keeper = upkeep(&storage);
    until_copied(&scene, 1).await;
    scene.until_kept([1, 1]).await;
    keeper.stop().await;
    assert_eq!(usage(&scene, "home").await.0, 1);
    assert_eq!(scene.entries().await.len(), 1, "nothing was copied back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_fails_anywhere_is_made_again_and_leaves_nothing() {
    for point in
        ["queue.claimed", "queue.written", "queue.verified", "queue.before_commit", "queue.completed"]
    {
        let scene = Scene::new().await;
        let storage = on_disks(&scene);
        put(&storage, &scene, "a", &bytes(100_000, 1)).await;
        let armed = failpoint::arm_nth(scene.dir.path(), point, Action::Io, 1);
        let keeper = upkeep(&storage);
        until_copied(&scene, 1).await;
        assert!(armed.hits() > 0, "{point}");
        scene.until_kept([1, 1]).await;
        keeper.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_that_fails_is_read_from_its_copies_also_in_mid_body() {
    let proxy = FaultProxy::before(&moto()).await;
    let scene = Scene::before_a_cloud(proxy.address()).await;
    let home =
        || cloud(scene.dir.path(), "home", proxy.address(), 1).failing_over_after(Duration::from_millis(300));
    let storage = backed_up(&scene, home(), false);
    let keeper = upkeep(&storage);
    let content = bytes(900_000, 5);
    put(&storage, &scene, "a", &content).await;
    until_copied(&scene, 1).await;
    keeper.stop().await;
    for fault in [
        Fault::Drop,
        Fault::Answer(500),
        Fault::Answer(404),
        Fault::Stall,
        Fault::ResetAfter(300_000),
        Fault::TruncateAfter(300_000),
        Fault::StallAfter(300_000),
    ] {
        // One that knows nothing of what failed before.
        let storage = backed_up(&scene, home(), false);
        let told = format!("{fault:?}");
        proxy.otherwise(fault);
        let started = std::time::Instant::now();
        assert!(get(&storage, &scene, "a", None).await.unwrap() == content, "{told}");
        let part = get(&storage, &scene, "a", Some(100_000..700_000)).await.unwrap();
        assert!(part == content[100_000..700_000], "{told}: a range");
        assert!(started.elapsed() < Duration::from_secs(10), "{told}");
        proxy.otherwise(Fault::Pass);
    }
    // In the midst of a body, that has begun well.
    let storage = backed_up(&scene, home(), false);
    proxy.plan("GET", [Fault::StallAfter(200_000)]);
    let download = storage.download(&service(), &scene.bucket, &path("a")).await.unwrap();
    let DownloadBody::Stream(mut body) = download.body(None).await.unwrap() else { panic!("no stream") };
    let mut read = body.next().await.unwrap().unwrap().to_vec();
    proxy.otherwise(Fault::Drop);
    while let Some(chunk) = body.next().await {
        read.extend_from_slice(&chunk.unwrap());
    }
    assert!(read == content);
}
