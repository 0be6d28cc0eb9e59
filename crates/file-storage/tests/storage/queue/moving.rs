//! Moving all that a provider has, while applications go on; and reading what is moved meanwhile.

use std::sync::Arc;
use std::time::Duration;

use file_storage::backend::registry::Providers;
use file_storage::digests::Wanted;
use file_storage::executor::QueueStatus;
use file_storage::file::PutMode;
use file_storage::multipart::{ListedPart, MultipartUpload};
use file_storage::storage::{CompleteOptions, DownloadBody, MigrationRequest, MultipartOptions, PartBody};
use file_storage::upkeep::{CleanupReport, Upkeep, UpkeepOptions};
use file_storage::{FileStorage, StorageError};
use futures_util::StreamExt;

use super::scene::{Scene, bytes, cloud, disk, moto, options, without_spool};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::support::{TestDatabase, chunked, credential_key, keys, path, service, user};

/// Another process over the same metadata and disks: its leases are its own.
fn other_process(scene: &Scene) -> FileStorage {
    let dir = scene.dir.path();
    let providers = Providers::new(disk(dir, "home"), [disk(dir, "away")]).failing_over_to(["away"]);
    FileStorage::new(scene.executor.clone(), providers, keys(), credential_key(), options(dir))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_a_provider_has_is_moved_while_it_is_overwritten_and_read() {
    let scene = Arc::new(Scene::without_spool().await);
    let names: Vec<String> = (0..50).map(|at| format!("file-{at}")).collect();
    for name in &names {
        scene.put(name, &bytes(20_000, 0)).await.unwrap();
    }
    let upkeep = scene.upkeep();
    let writing = tokio::spawn({
        let (scene, names) = (scene.clone(), names.clone());
        async move {
            for seed in 1..=4 {
                for name in &names {
                    scene.put(name, &bytes(20_000 + usize::from(seed), seed)).await.unwrap();
                    let read = scene.get(name).await.unwrap();
                    assert_eq!(read, bytes(20_000 + usize::from(seed), seed));
                }
            }
        }
    });
    let mut queued = 0;
    while !writing.is_finished() {
        let totals =
            scene.storage.migrate_provider(&service(), &MigrationRequest::new("home", "away")).await.unwrap();
        queued += totals.entries;
        assert!(totals.bytes >= totals.entries * 20_000);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    writing.await.unwrap();
    assert!(queued > 0);
    let rest = scene
        .storage
        .migrate_provider(
            &service(),
            &MigrationRequest { bucket: Some(&scene.bucket), ..MigrationRequest::new("home", "away") },
        )
        .await
        .unwrap();
    assert!(rest.entries <= 50, "{rest:?}");
    scene.until_home().await;
    scene.audit([0, 50]).await;
    for name in &names {
        assert_eq!(scene.get(name).await.unwrap(), bytes(20_004, 4));
    }
    let again =
        scene.storage.migrate_provider(&service(), &MigrationRequest::new("home", "away")).await.unwrap();
    assert_eq!((again.entries, again.bytes), (0, 0));
    upkeep.stop().await;
}

#[tokio::test]
async fn a_migration_names_two_providers_and_a_bucket_that_are_there() {
    let scene = Scene::without_spool().await;
    let asked = async |from: &str, to: &str, bucket: Option<&str>| {
        let bucket = bucket.map(crate::support::bucket);
        let outcome = scene
            .storage
            .migrate_provider(
                &service(),
                &MigrationRequest { bucket: bucket.as_ref(), ..MigrationRequest::new(from, to) },
            )
            .await;
        outcome.unwrap_err().code()
    };
    assert_eq!(asked("home", "nowhere", None).await, "PROVIDER_NOT_FOUND");
    assert_eq!(asked("nowhere", "home", None).await, "PROVIDER_NOT_FOUND");
    assert_eq!(asked("home", "home", None).await, "INVALID_REQUEST");
    assert_eq!(asked("home", "away", Some("missing")).await, "BUCKET_NOT_FOUND");
    let nowhere = MigrationRequest { after: Some("../x"), ..MigrationRequest::new("home", "away") };
    let refused = scene.storage.migrate_provider(&service(), &nowhere).await.unwrap_err();
    assert_eq!(refused.code(), "INVALID_REQUEST");

    // Files leave the spool, and come to it by its bound alone.
    let scene = Scene::new().await;
    let to_spool = MigrationRequest::new("home", "away");
    let refused = scene.storage.migrate_provider(&service(), &to_spool).await.unwrap_err();
    assert!(refused.code() == "INVALID_REQUEST" && refused.to_string().contains("spool"), "{refused}");
    scene.storage.migrate_provider(&service(), &MigrationRequest::new("away", "home")).await.unwrap();
}

/// However many blobs there are, a call looks at a part of them, and says where the next one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_is_queued_part_by_part_and_waited_for_by_its_bucket() {
    let scene = Scene::without_spool().await;
    let other = crate::support::bucket("other");
    scene.storage.create_bucket(&user(1), &other, &Default::default()).await.unwrap();
    for at in 0..10 {
        scene.put(&format!("file-{at}"), &bytes(30_000, at)).await.unwrap();
    }
    let pending = scene.storage.admit_upload(&user(1), &other, &path("a"), PutMode::Create).await.unwrap();
    pending.store(Default::default(), None, chunked(&bytes(30_000, 99))).await.unwrap();
    let (mut next, mut parts) = (None::<String>, Vec::new());
    loop {
        let request = MigrationRequest {
            bucket: Some(&scene.bucket),
            after: next.as_deref(),
            limit: Some(4),
            ..MigrationRequest::new("home", "away")
        };
        let part = scene.storage.migrate_provider(&service(), &request).await.unwrap();
        assert!(part.entries <= 4, "{part:?}");
        parts.push(part.entries);
        next = part.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!((parts.len(), parts.iter().sum::<u64>()), (3, 10), "{parts:?}");
    let request = MigrationRequest { bucket: Some(&other), ..MigrationRequest::new("home", "away") };
    let rest = scene.storage.migrate_provider(&service(), &request).await.unwrap();
    assert_eq!((rest.entries, rest.next), (1, None));
    for (bucket, entries) in [(Some(&scene.bucket), 10), (Some(&other), 1), (None, 11)] {
        let depths = scene.storage.queue_depths(&service(), bucket).await.unwrap();
        assert_eq!(depths.iter().map(|depth| depth.entries).sum::<u64>(), entries, "{bucket:?}");
    }
    let upkeep = scene.upkeep();
    scene.until_home().await;
    scene.audit([0, 11]).await;
    upkeep.stop().await;
}

/// Between two parts, applications delete and overwrite, and what was queued arrives: another part is read than the one before left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_or_goes_away_between_two_parts_is_neither_queued_twice_nor_lost() {
    const FILES: usize = 16;
    let scene = Scene::without_spool().await;
    let mut kept: Vec<Option<u8>> = (0..FILES).map(|at| Some(at as u8)).collect();
    for (at, seed) in kept.iter().enumerate() {
        scene.put(&format!("file-{at}"), &bytes(30_000, seed.unwrap())).await.unwrap();
    }
    let recording = file_storage::failpoint::record(scene.dir.path());
    let (mut upkeep, mut next, mut parts, mut queued) = (None, None::<String>, 0, 0);
    loop {
        let request = MigrationRequest {
            after: next.as_deref(),
            limit: Some(2),
            ..MigrationRequest::new("home", "away")
        };
        let part = scene.storage.migrate_provider(&service(), &request).await.unwrap();
        (queued, next, parts) = (queued + part.entries, part.next, parts + 1);
        if next.is_none() {
            break;
        }
        assert!(parts <= 2 * FILES, "the migration has no end");
        // At first nobody works, so that what is deleted may have an entry; then all that was queued has arrived.
        if parts == 4 {
            upkeep = Some(scene.upkeep());
        }
        if upkeep.is_some() {
            scene.until_home().await;
        }
        if let (Some(goes), true) = (kept.get_mut(parts), parts % 2 == 0) {
            scene.delete(&format!("file-{parts}")).await;
            *goes = None;
        }
        let other = FILES - parts.min(FILES);
        if let Some(Some(seed)) = kept.get_mut(other) {
            *seed = seed.wrapping_add(100);
            scene.put(&format!("file-{other}"), &bytes(30_000, *seed)).await.unwrap();
        }
    }
    // What was overwritten behind the last part is at home again, and goes when it is asked again.
    scene.until_home().await;
    let claims = recording.names().into_iter().filter(|point| *point == "queue.claimed").count();
    assert!(claims as u64 <= queued, "{claims} attempts at {queued} entries");
    let rest = scene.storage.migrate_provider(&service(), &MigrationRequest::new("home", "away")).await;
    assert_eq!(rest.unwrap().next, None);
    let entries = scene.until_home().await;
    assert!(entries.iter().all(|entry| entry.attempts == 1), "{entries:#?}");
    let files: Vec<_> = kept.iter().enumerate().filter_map(|(at, seed)| Some((at, (*seed)?))).collect();
    scene.audit([0, files.len()]).await;
    for (at, seed) in files {
        assert_eq!(scene.get(&format!("file-{at}")).await.unwrap(), bytes(30_000, seed), "file-{at}");
    }
    upkeep.unwrap().stop().await;
}

async fn begin(scene: &Scene, name: &str) -> MultipartUpload {
    let (caller, at, mode) = (user(1), path(name), PutMode::Create);
    let (attributes, options) = (Default::default(), MultipartOptions::default());
    scene.storage.create_multipart(&caller, (&scene.bucket, &at), mode, attributes, options).await.unwrap()
}

/// An object of three parts, each a blob.
async fn in_parts(scene: &Scene, name: &str) -> Vec<u8> {
    let (storage, upload) = (&scene.storage, begin(scene, name).await);
    let mut listed = Vec::new();
    for number in 1..=3 {
        let body =
            PartBody { bytes: chunked(&bytes(50_000, number)), length: None, wanted: Wanted::default() };
        let part = storage.upload_part(&user(1), &upload.at, u32::from(number), body).await.unwrap();
        listed.push(ListedPart { number: part.number, etag: Some(part.etag), checksums: Default::default() });
    }
    let options = CompleteOptions::default();
    storage.complete_multipart(&user(1), &upload.at, listed, options).await.unwrap();
    (1..=3).flat_map(|seed| bytes(50_000, seed)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_follows_what_another_process_moves_and_deletes_meanwhile() {
    let scene = Scene::new().await;
    let content = in_parts(&scene, "parts").await;
    let download = scene.storage.download(&service(), &scene.bucket, &path("parts")).await.unwrap();
    let DownloadBody::Stream(mut body) = download.body(None).await.unwrap() else { panic!("no stream") };
    let mut read = body.next().await.unwrap().unwrap().to_vec();
    let copied = scene.storage.download(&service(), &scene.bucket, &path("parts")).await.unwrap();

    // The other process knows nothing of this one's readers.
    let other = other_process(&scene);
    without_spool(&other, scene.dir.path());
    let upkeep = Upkeep::start(&other, UpkeepOptions { interval: None, ..UpkeepOptions::default() });
    other.migrate_provider(&service(), &MigrationRequest::new("home", "away")).await.unwrap();
    scene.until_home().await;
    scene.audit([0, 3]).await;
    upkeep.stop().await;
    while let Some(chunk) = body.next().await {
        read.extend_from_slice(&chunk.unwrap());
    }
    assert!(read == content);
    assert!(crate::support::collect(copied.body(None).await.unwrap()).await.unwrap() == content);

    // What was overwritten meanwhile is another version: its bytes are not these.
    let download = scene.storage.download(&service(), &scene.bucket, &path("parts")).await.unwrap();
    other.delete(&user(1), &scene.bucket, &path("parts"), None).await.unwrap();
    scene.put("parts", &bytes(150_000, 7)).await.unwrap();
    let upkeep = Upkeep::start(&other, UpkeepOptions { interval: None, ..UpkeepOptions::default() });
    scene.audit([1, 0]).await;
    let lost = download.body(None).await.err().unwrap();
    assert!(matches!(lost, StorageError::Io { .. }), "{lost:?}");
    upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_goes_on_in_the_middle_of_a_blob_that_is_moved() {
    let proxy = FaultProxy::before(&moto()).await;
    let scene = Scene::before_a_cloud_that_is_tried(proxy.address(), 3).await;
    let content = bytes(900_000, 1);
    scene.put("a", &content).await.unwrap();
    proxy.plan("GET", [Fault::ResetAfter(300_000)]);
    let download = scene.storage.download(&service(), &scene.bucket, &path("a")).await.unwrap();
    let DownloadBody::Stream(mut body) = download.body(None).await.unwrap() else { panic!("no stream") };
    let mut read = body.next().await.unwrap().unwrap().to_vec();
    assert!(proxy.is_done() && read.len() < content.len());

    let providers =
        Providers::new(cloud(scene.dir.path(), "home", proxy.address(), 3), [disk(scene.dir.path(), "away")]);
    let options = options(scene.dir.path());
    let other = FileStorage::new(scene.executor.clone(), providers, keys(), credential_key(), options);
    without_spool(&other, scene.dir.path());
    let upkeep = Upkeep::start(&other, UpkeepOptions { interval: None, ..UpkeepOptions::default() });
    other.migrate_provider(&service(), &MigrationRequest::new("home", "away")).await.unwrap();
    scene.until_home().await;
    scene.audit([0, 1]).await;
    upkeep.stop().await;
    while let Some(chunk) = body.next().await {
        read.extend_from_slice(&chunk.unwrap());
    }
    assert!(read == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_an_upload_that_waits_are_moved_and_stay_its_parts() {
    let scene = Scene::without_spool().await;
    let (storage, upload) = (&scene.storage, begin(&scene, "later").await);
    let body = PartBody { bytes: chunked(&bytes(50_000, 1)), length: None, wanted: Wanted::default() };
    let part = storage.upload_part(&user(1), &upload.at, 1, body).await.unwrap();
    let upkeep = scene.upkeep();
    let totals = storage.migrate_provider(&service(), &MigrationRequest::new("home", "away")).await.unwrap();
    assert_eq!((totals.entries, totals.bytes), (1, 50_000));
    scene.until_home().await;
    let listed = ListedPart { number: 1, etag: Some(part.etag), checksums: Default::default() };
    let options = CompleteOptions::default();
    storage.complete_multipart(&user(1), &upload.at, vec![listed], options).await.unwrap();
    scene.audit([0, 1]).await;
    assert_eq!(scene.get("later").await.unwrap(), bytes(50_000, 1));
    upkeep.stop().await;
}

/// A copy that is verified for longer than the orphan job's grace is no orphan to another process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fs_o1_a_copy_on_its_way_is_no_orphan() {
    use file_storage::failpoint::{self, Action};
    let scene = Scene::new().await;
    scene.defer("a", &bytes(100_000, 1)).await;
    let paused = failpoint::arm(scene.dir.path(), "queue.written", Action::Pause);
    let upkeep = scene.upkeep();
    paused.reached(1).await;
    let other = other_process(&scene);
    let no_grace = UpkeepOptions { interval: None, grace: Duration::ZERO, ..UpkeepOptions::default() };
    // A worker of its own finds nothing to do, as the entry is taken.
    let cleaning = Upkeep::start(&other, no_grace);
    let report = cleaning.cleanup(true).await.unwrap();
    assert_eq!(report, CleanupReport::default());
    paused.release();
    scene.until_home().await;
    scene.audit([1, 0]).await;
    assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1));
    let report = cleaning.cleanup(true).await.unwrap();
    assert_eq!(report, CleanupReport::default());
    cleaning.stop().await;
    upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_over_one_database_share_the_work() {
    let (dir, database) = (tempfile::TempDir::new().unwrap(), TestDatabase::new());
    let scene = Scene::open(dir, Some(database), |dir| disk(dir, "home")).await;
    scene.storage.create_bucket(&user(1), &scene.bucket, &Default::default()).await.unwrap();
    for at in 0..40 {
        scene.defer(&format!("file-{at}"), &bytes(30_000, at)).await;
    }
    let other = other_process(&scene);
    let recording = file_storage::failpoint::record(scene.dir.path());
    let first = scene.upkeep();
    let second = Upkeep::start(&other, UpkeepOptions { interval: None, ..UpkeepOptions::default() });
    let entries = scene.until_home().await;
    assert!(entries.iter().all(|entry| entry.status == QueueStatus::Completed && entry.attempts == 1));
    let claims = recording.names().into_iter().filter(|point| *point == "queue.claimed").count();
    assert_eq!((entries.len(), claims), (40, 40), "each is one worker's");
    scene.audit([40, 0]).await;
    for at in 0..40 {
        assert_eq!(scene.get(&format!("file-{at}")).await.unwrap(), bytes(30_000, at));
    }
    first.stop().await;
    second.stop().await;
}
