//! Uploads whose callers do not want to wait.

use std::time::Duration;

use file_storage::backend::registry::Providers;
use file_storage::executor::{QueueReason, QueueStatus};
use file_storage::file::PutMode;
use file_storage::permissions::RlsContext;
use file_storage::storage::{CopyOptions, MigrationRequest, QueueOptions, StorageOptions};
use file_storage::{FileStorage, StorageError};

use super::scene::{Scene, bytes, disk, options};
use crate::support::{anon, chunked, credential_key, keys, path, service, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deferred_upload_is_readable_at_once_and_comes_home() {
    let scene = Scene::new().await;
    let written = scene.defer("a", &bytes(100_000, 1)).await;
    assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1));
    scene.audit([0, 1]).await;
    let entries = scene.entries().await;
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((Some(entry.id), entry.status), (written.queued, QueueStatus::Pending));
    assert_eq!((entry.path.as_str(), entry.size, entry.content_type.as_str()), ("a", 100_000, "text/plain"));
    assert_eq!((&*entry.source, &*entry.target, entry.reason), ("away", "home", QueueReason::Deferred));

    let upkeep = scene.upkeep();
    let entries = scene.until_home().await;
    assert_eq!((entries.len(), entries[0].attempts), (1, 1));
    scene.audit([1, 0]).await;
    assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1));
    upkeep.stop().await;

    // What is as small as a row, or whose caller waits, is no entry.
    assert_eq!(scene.defer("small", b"few").await.queued, None);
    assert_eq!(scene.put("b", &bytes(100_000, 2)).await.unwrap().queued, None);
    assert_eq!(scene.entries().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_overwritten_or_deleted_meanwhile_is_forgotten() {
    let scene = Scene::new().await;
    for name in ["over", "gone", "kept"] {
        scene.defer(name, &bytes(100_000, 1)).await;
    }
    scene.put("over", &bytes(50_000, 2)).await.unwrap();
    scene.delete("gone").await;
    let entries = scene.entries().await;
    assert_eq!(entries.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["kept"]);
    let upkeep = scene.upkeep();
    scene.until_home().await;
    scene.audit([2, 0]).await;
    assert_eq!(scene.get("over").await.unwrap(), bytes(50_000, 2));
    upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_what_is_away_comes_home_too() {
    let scene = Scene::new().await;
    scene.defer("a", &bytes(100_000, 1)).await;
    let (a, b) = (path("a"), path("b"));
    let (from, to) = ((&scene.bucket, &a), (&scene.bucket, &b));
    scene.storage.copy(&user(1), from, to, PutMode::Create, CopyOptions::default()).await.unwrap();
    assert_eq!(scene.entries().await.len(), 2);
    let upkeep = scene.upkeep();
    scene.until_home().await;
    scene.audit([2, 0]).await;
    assert_eq!(scene.get("b").await.unwrap(), bytes(100_000, 1));
    upkeep.stop().await;
}

/// The same database and disks, by another storage.
fn again(scene: &Scene, queue: QueueOptions) -> FileStorage {
    let dir = scene.dir.path();
    let (home, away) = (disk(dir, "home"), disk(dir, "away"));
    let options = StorageOptions { queue, ..options(dir) };
    FileStorage::new(scene.executor.clone(), Providers::new(home, [away]), keys(), credential_key(), options)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_makes_uploads_wait_until_it_is_not() {
    let scene = Scene::new().await;
    let queue = QueueOptions { spool_max_bytes: 250_000, ..options(scene.dir.path()).queue };
    let scene = Scene { storage: again(&scene, queue), ..scene };
    let queued = |at: u8| {
        let scene = &scene;
        async move { scene.defer(&format!("file-{at}"), &bytes(100_000, at)).await.queued.is_some() }
    };
    assert_eq!([queued(1).await, queued(2).await, queued(3).await], [true, true, false]);
    scene.audit([1, 2]).await;
    let upkeep = scene.upkeep();
    scene.until_home().await;
    // The worker sees that there is room again, a second after it has made it.
    for _ in 0..400 {
        if queued(4).await {
            scene.until_home().await;
            upkeep.stop().await;
            for at in 1..=4 {
                assert_eq!(scene.get(&format!("file-{at}")).await.unwrap(), bytes(100_000, at));
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the spool stays full");
}

/// Uploads without saying how long it is, and without waiting for home; whether it was deferred.
async fn put_unknown(scene: &Scene, name: &str, bytes: &[u8]) -> Result<bool, StorageError> {
    let at = path(name);
    let pending = scene.storage.admit_upload(&user(1), &scene.bucket, &at, PutMode::Upsert).await?;
    let written = pending.deferrable().store(Default::default(), None, chunked(bytes)).await?;
    Ok(written.queued.is_some())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_say_how_long_it_is_keeps_to_the_spools_bound() {
    let scene = Scene::new().await;
    let queue = QueueOptions { spool_max_bytes: 2_500_000, ..options(scene.dir.path()).queue };
    let scene = Scene { storage: again(&scene, queue), ..scene };
    let large = bytes(2_000_000, 1);
    assert!(put_unknown(&scene, "first", &large).await.unwrap());
    // As much as is kept of it to be sent again goes to the active provider, which nobody notices.
    assert!(!put_unknown(&scene, "small", &bytes(900_000, 2)).await.unwrap());
    scene.audit([1, 1]).await;

    let scene = Scene::new().await;
    let queue = QueueOptions { spool_max_bytes: 2_500_000, ..options(scene.dir.path()).queue };
    let scene = Scene { storage: again(&scene, queue), ..scene };
    let larger = bytes(3_000_000, 3);
    let refused = put_unknown(&scene, "larger", &larger).await.unwrap_err();
    assert!(matches!(refused, StorageError::ProviderOverloaded { .. }), "{refused:?}");
    assert!(refused.is_retryable() && refused.retry_after().is_some());
    scene.audit([0, 0]).await;
    // The next try goes where there is room for it, though the spool is empty.
    assert!(!put_unknown(&scene, "larger", &larger).await.unwrap());
    assert!(scene.get("larger").await.unwrap() == larger);
    scene.audit([1, 0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_that_fails_in_mid_body_costs_no_small_upload_and_a_large_one_a_try() {
    use file_storage::failpoint::{self, Action};
    for point in ["local.stage.write", "local.publish.link"] {
        let scene = Scene::new().await;
        let broken = failpoint::arm(&scene.dir.path().join("away"), point, Action::Io);
        assert_eq!(scene.defer("small", &bytes(900_000, 1)).await.queued, None, "{point}");
        assert!(broken.hits() > 0);
        assert_eq!(scene.get("small").await.unwrap(), bytes(900_000, 1));
        scene.audit([1, 0]).await;
    }
    // A body of which more came than is kept is sent again by its client, and goes to the active provider then.
    let scene = Scene::new().await;
    let _broken = failpoint::arm(&scene.dir.path().join("away"), "local.publish.link", Action::Io);
    let large = bytes(3_000_000, 2);
    let failed = put_unknown(&scene, "large", &large).await.unwrap_err();
    assert_eq!((failed.code(), failed.is_retryable()), ("PROVIDER_UNAVAILABLE", true), "{failed:?}");
    assert!(failed.retry_after().is_some());
    assert!(!put_unknown(&scene, "large", &large).await.unwrap());
    assert!(scene.get("large").await.unwrap() == large);
    scene.audit([1, 0]).await;
}

#[tokio::test]
async fn without_a_spool_or_with_the_active_provider_for_one_nobody_is_deferred() {
    let scene = Scene::new().await;
    for spool in [None, Some("home".into()), Some("nowhere".into())] {
        let queue = QueueOptions { spool: spool.clone(), ..QueueOptions::default() };
        let storage = again(&scene, queue);
        let pending =
            storage.admit_upload(&user(1), &scene.bucket, &path("a"), PutMode::Upsert).await.unwrap();
        let pending = pending.deferrable();
        let written = pending.store(Default::default(), None, chunked(&bytes(10_000, 1))).await.unwrap();
        assert_eq!(written.queued, None, "{spool:?}");
    }
    assert_eq!(scene.entries().await, []);
}

#[tokio::test]
async fn only_the_service_role_changes_the_queue_and_only_its_user_sees_an_entry() {
    let scene = Scene::new().await;
    let id = scene.defer("a", &bytes(100_000, 1)).await.queued.unwrap();
    let storage = &scene.storage;
    assert_eq!(storage.queue_entry(&user(1), id).await.unwrap().user_id, user(1).user_id());
    let missing = storage.queue_entry(&user(2), id).await.unwrap_err();
    assert_eq!(missing.code(), "QUEUE_ENTRY_NOT_FOUND");
    let refused = |outcome: Result<(), StorageError>, caller: &RlsContext| {
        let denied = outcome.unwrap_err();
        let codes = ["AUTH_REQUIRED", "STORAGE_UNAUTHORIZED"];
        assert!(codes.contains(&denied.code()), "{caller:?}: {denied:?}");
    };
    for caller in [anon(), user(1)] {
        refused(storage.retry_entry(&caller, id).await.map(drop), &caller);
        refused(storage.retry_failed(&caller).await.map(drop), &caller);
        refused(storage.cancel_entry(&caller, id).await.map(drop), &caller);
        refused(storage.queue_depths(&caller, None).await.map(drop), &caller);
        refused(storage.provider_usage(&caller).await.map(drop), &caller);
        refused(
            storage.migrate_provider(&caller, &MigrationRequest::new("away", "home")).await.map(drop),
            &caller,
        );
    }
    assert_eq!(storage.cancel_entry(&service(), id).await.unwrap().status, QueueStatus::Failed);
    assert_eq!(storage.retry_failed(&service()).await.unwrap(), 1);
    assert_eq!(storage.queue_entry(&service(), id).await.unwrap().status, QueueStatus::Pending);
    scene.audit([0, 1]).await;
}
