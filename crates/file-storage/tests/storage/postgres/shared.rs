//! Two processes over one database and one directory of blobs: neither takes the other's work for what a crash left.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use file_storage::backend::local::{LocalBackend, LocalOptions};
use file_storage::body::ByteStream;
use file_storage::digests::Wanted;
use file_storage::errors::{DenialReason, StorageError};
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::multipart::NewResumable;
use file_storage::storage::{PartBody, Uploader};
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use file_storage::{BucketPolicy, FileStorage};
use futures_util::StreamExt;
use futures_util::future::join_all;
use tempfile::TempDir;

use crate::support::{
    Fixture, TestDatabase, anon, credential_key, keys, maintain, options, path, service, user,
};

/// More than an upload collects before its first write to the disk.
const LARGE: usize = 8 << 20;

/// A process, as far as storage goes: its own executor, its own folder for what it stages.
async fn process(dir: &Path, database: &TestDatabase) -> Fixture {
    let executor = Fixture::executor(dir, Some(database)).await;
    let backend = Arc::new(LocalBackend::open(LocalOptions::new(dir.join("local"))).unwrap());
    let storage = FileStorage::new(executor.clone(), backend.clone(), keys(), credential_key(), options(dir));
    storage.recover().await.unwrap();
    Fixture { dir: TempDir::new().unwrap(), database: None, storage, executor, backend }
}

fn upkeep(process: &Fixture, grace: Duration) -> Upkeep {
    let interval = Some(Duration::from_millis(50));
    let options = UpkeepOptions { interval, deletion_grace: grace, ..UpkeepOptions::default() };
    Upkeep::start(&process.storage, options)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fs_i1_a_start_leaves_the_uploads_of_others_alone() {
    let (dir, database) = (TempDir::new().unwrap(), TestDatabase::new());
    let first = process(dir.path(), &database).await;
    let docs = first.bucket(&user(1), "docs", BucketPolicy::Private).await;

    // One upload in the middle of its body, one that is written and not committed.
    let (send, body) = tokio::sync::mpsc::channel(4);
    let body =
        futures_util::stream::unfold(body, |mut body| async { Some((body.recv().await?, body)) }).boxed();
    let half = first.storage.admit_upload(&user(1), &docs, &path("half"), PutMode::Create).await.unwrap();
    let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
    let uploading = tokio::spawn(half.store(attributes, None, body));
    send.send(Ok(Bytes::from(vec![1; LARGE]))).await.unwrap();
    while crate::support::staged_files(dir.path()).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = process(dir.path(), &database).await;
    let report = upkeep(&second, Duration::ZERO);
    let cleaned = report.cleanup(true).await.unwrap();
    assert_eq!((cleaned.orphan_blobs, cleaned.missing_blobs), (0, 0), "{cleaned:?}");
    send.send(Ok(Bytes::from(vec![2; 5000]))).await.unwrap();
    drop(send);
    uploading.await.unwrap().unwrap();
    let read = second.get(&user(1), (&docs, &path("half"))).await.unwrap();
    assert_eq!((read.len(), read[0], read[LARGE + 4999]), (LARGE + 5000, 1, 2));
    report.stop().await;
    Fixture { dir, ..second }.audit().await;
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fs_i1_a_start_leaves_alone_what_others_are_about_to_commit() {
    use file_storage::failpoint::{self, Action};
    let (dir, database) = (TempDir::new().unwrap(), TestDatabase::new());
    let first = process(dir.path(), &database).await;
    let docs = first.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let paused = failpoint::arm(dir.path(), "upload.before_commit", Action::Pause);
    let storage = first.storage.clone();
    let to = docs.clone();
    let uploading = tokio::spawn(async move {
        let pending = storage.admit_upload(&user(1), &to, &path("a"), PutMode::Create).await.unwrap();
        let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
        pending.store(attributes, None, crate::support::chunked(&[7; 5000])).await
    });
    paused.reached(1).await;
    let second = process(dir.path(), &database).await;
    drop(paused);
    uploading.await.unwrap().unwrap();
    assert_eq!(second.get(&user(1), (&docs, &path("a"))).await.unwrap(), vec![7; 5000]);
    Fixture { dir, ..second }.audit().await;
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_at_a_time_runs_the_orphan_job() {
    use file_storage::failpoint::{self, Action};
    let (dir, database) = (TempDir::new().unwrap(), TestDatabase::new());
    let first = process(dir.path(), &database).await;
    let docs = first.bucket(&user(1), "docs", BucketPolicy::Private).await;
    first.put(&user(1), (&docs, &path("a")), PutMode::Create, &[7; 1000]).await.unwrap();
    let second = process(dir.path(), &database).await;
    let paused = failpoint::arm(dir.path(), "orphans.listed", Action::Pause);
    // One asks for it, the other one has its own schedule, and is asked as well.
    let manual = UpkeepOptions { interval: None, ..UpkeepOptions::default() };
    let manual = Upkeep::start(&first.storage, manual);
    let at_it = async {
        let report = manual.cleanup(true).await.unwrap();
        assert_eq!(report.orphan_blobs, 0);
    };
    let others = async {
        paused.reached(1).await;
        let scheduled = upkeep(&second, Duration::ZERO);
        let asked = tokio::time::timeout(Duration::from_secs(1), scheduled.cleanup(true)).await;
        assert!(asked.is_err(), "it waits for its turn: {asked:?}");
        assert!(second.executor.orphan_job_turn(&maintain()).await.unwrap().is_none());
        assert_eq!(paused.hits(), 1, "nobody else has begun");
        paused.release();
        // And gets it.
        scheduled.cleanup(true).await.unwrap();
        paused.reached(2).await;
        scheduled.stop().await;
    };
    tokio::join!(at_it, others);
    manual.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_gives_its_turn_at_the_orphan_job_away() {
    let (dir, database) = (TempDir::new().unwrap(), TestDatabase::new());
    let processes = [process(dir.path(), &database).await, process(dir.path(), &database).await];
    let turn = processes[0].executor.orphan_job_turn(&maintain()).await.unwrap();
    assert!(turn.is_some());
    assert!(processes[1].executor.orphan_job_turn(&maintain()).await.unwrap().is_none());
    assert!(processes[0].executor.orphan_job_turn(&maintain()).await.unwrap().is_none(), "nor twice in one");
    drop(turn);
    // The server notices by itself that the connection is gone.
    while processes[1].executor.orphan_job_turn(&maintain()).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_write_overwrite_read_and_delete_without_loss() {
    let (dir, database) = (TempDir::new().unwrap(), TestDatabase::new());
    let processes = [process(dir.path(), &database).await, process(dir.path(), &database).await];
    let upkeeps = [0, 1].map(|at| upkeep(&processes[at], Duration::from_secs(60)));
    let docs = processes[0].bucket(&user(1), "docs", BucketPolicy::Private).await;
    let (done, reads) = (AtomicBool::new(false), AtomicU32::new(0));

    // Each writer owns a file and knows what it must hold; all of them also fight over one.
    let writers = (0..8_u8).map(|writer| {
        let (processes, docs) = (&processes, &docs);
        async move {
            let own = path(&format!("own/{writer}"));
            for round in 0..20_u8 {
                let (here, there) = (
                    &processes[usize::from(writer + round) % 2],
                    &processes[usize::from(writer + round + 1) % 2],
                );
                let bytes = vec![round; if round % 2 == 0 { 3000 } else { 20 }];
                here.put(&user(1), (docs, &own), PutMode::Upsert, &bytes).await.unwrap();
                assert_eq!(
                    there.get(&user(1), (docs, &own)).await.unwrap(),
                    bytes,
                    "read by the other process"
                );
                let fought = vec![writer; 2000 + usize::from(round)];
                there.put(&user(1), (docs, &path("fought")), PutMode::Upsert, &fought).await.unwrap();
                if round % 5 == 4 {
                    there.storage.delete(&user(1), docs, &own, None).await.unwrap();
                }
            }
        }
    });
    let reader = async {
        while !done.load(Ordering::Relaxed) {
            for process in &processes {
                match process.get(&user(1), (&docs, &path("fought"))).await {
                    Ok(bytes) => {
                        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a mix of two versions");
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(StorageError::ObjectNotFound { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    };
    let work = async {
        join_all(writers).await;
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(work, reader);
    assert!(reads.load(Ordering::Relaxed) > 10);
    for upkeep in &upkeeps {
        let report = upkeep.cleanup(true).await.unwrap();
        assert_eq!(
            (report.orphan_blobs, report.missing_blobs, report.damaged_blobs),
            (0, 0, 0),
            "{report:?}"
        );
        upkeep.stop().await;
    }
    let [first, second] = processes;
    drop(second);
    Fixture { dir, ..first }.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_made_by_one_process_is_in_force_in_the_other() {
    let (dir, database) = (TempDir::new().unwrap(), TestDatabase::new());
    let processes = [process(dir.path(), &database).await, process(dir.path(), &database).await];
    let docs = processes[0].bucket(&user(1), "docs", BucketPolicy::Private).await;
    processes[0].put(&user(1), (&docs, &path("a")), PutMode::Create, b"1").await.unwrap();
    let closed = |outcome: Result<_, StorageError>| match outcome {
        Err(StorageError::Unauthorized(_) | StorageError::AuthRequired(_)) => {}
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it is not closed"),
    };
    for round in 0..10 {
        // Each adds what the other one then feels, and takes it away again.
        let (here, there) = (&processes[round % 2], &processes[(round + 1) % 2]);
        let at = path(&format!("in/{round}"));
        closed(there.get(&user(2), (&docs, &path("a"))).await);
        closed(there.put(&anon(), (&docs, &at), PutMode::Create, b"1").await.map(|_| Vec::new()));
        for sql in [
            "CREATE POLICY read ON storage_objects FOR SELECT TO authenticated USING (name = 'a')",
            "CREATE POLICY put ON storage_objects FOR INSERT TO anon WITH CHECK (starts_with(name, 'in/'))",
        ] {
            here.storage.change_policies(&service(), sql).await.unwrap();
        }
        assert_eq!(there.get(&user(2), (&docs, &path("a"))).await.unwrap(), b"1");
        let missing = there.get(&user(2), (&docs, &path("none"))).await;
        assert!(matches!(missing, Err(StorageError::ObjectNotFound { .. })), "{missing:?}");
        there.put(&anon(), (&docs, &at), PutMode::Create, b"1").await.unwrap();
        assert_eq!(there.storage.policies(&service()).await.unwrap().all().len(), 2);

        let small = "CREATE POLICY small ON storage_objects AS RESTRICTIVE FOR INSERT WITH CHECK (size < 2)";
        here.storage.change_policies(&service(), small).await.unwrap();
        let refused = there.put(&user(1), (&docs, &path("b")), PutMode::Create, b"12").await.unwrap_err();
        let StorageError::Unauthorized(denial) = refused else { panic!("{refused:?}") };
        assert_eq!(denial.reason, DenialReason::RestrictivePolicy("small".into()));
        for name in ["read", "put", "small"] {
            assert!(there.storage.drop_policy(&service(), name).await.unwrap());
        }
        closed(here.get(&user(2), (&docs, &path("a"))).await);
        closed(here.put(&anon(), (&docs, &path("in/x")), PutMode::Create, b"1").await.map(|_| Vec::new()));
    }
    let [first, second] = processes;
    drop(second);
    Fixture { dir, ..first }.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_change_under_load_and_nothing_is_let_through_or_lost() {
    let (dir, database) = (TempDir::new().unwrap(), TestDatabase::new());
    let processes = [process(dir.path(), &database).await, process(dir.path(), &database).await];
    let docs = processes[0].bucket(&user(1), "docs", BucketPolicy::Private).await;
    let done = AtomicBool::new(false);
    let writers = (0..6_u8).map(|writer| {
        let (processes, docs, done) = (&processes, &docs, &done);
        async move {
            let mut round = 0_u8;
            while !done.load(Ordering::Relaxed) {
                round = round.wrapping_add(1);
                let here = &processes[usize::from(writer + round) % 2];
                let at = path(&format!("{writer}/{}", round % 4));
                here.put(&user(1), (docs, &at), PutMode::Upsert, &[round; 100]).await.unwrap();
                assert_eq!(here.get(&user(1), (docs, &at)).await.unwrap(), [round; 100]);
                // Opened and closed all the time: either answer is right, and no other.
                match here.get(&user(2), (docs, &at)).await {
                    Ok(bytes) => assert_eq!(bytes, [round; 100]),
                    Err(StorageError::Unauthorized(_) | StorageError::ObjectNotFound { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    });
    let changes = async {
        for round in 0..12 {
            let (here, there) = (&processes[round % 2], &processes[(round + 1) % 2]);
            let sql = "CREATE POLICY p ON storage_objects FOR SELECT USING (bucket_id = 'docs')";
            let admin = service();
            let (one, two) = tokio::join!(
                here.storage.change_policies(&admin, sql),
                there.storage.change_policies(&admin, sql)
            );
            assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "{one:?} {two:?}");
            let lost = one.and(two).unwrap_err();
            assert!(matches!(lost, StorageError::PolicyExists { .. }), "{lost:?}");
            assert!(there.storage.drop_policy(&service(), "p").await.unwrap());
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(join_all(writers), changes);
    let [first, second] = processes;
    drop(second);
    Fixture { dir, ..first }.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_taken_over_from_another_process() {
    let (dir, database) = (TempDir::new().unwrap(), TestDatabase::new());
    let first = process(dir.path(), &database).await;
    let second = process(dir.path(), &database).await;
    let docs = first.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let me = user(1);
    let caller = Uploader::Caller(&me);
    let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
    let new = NewResumable { length: Some(6000), ..NewResumable::default() };
    let place = (&docs, &path("a"));
    let begun =
        first.storage.create_resumable(&caller, place, PutMode::Create, attributes, new).await.unwrap();
    let at = begun.upload.at;
    let body = |bytes: ByteStream| PartBody { bytes, length: None, wanted: Wanted::default() };
    // A request that stands still in the middle of its body, at another server.
    let (send, bytes) = tokio::sync::mpsc::channel(4);
    let stalled =
        futures_util::stream::unfold(bytes, |mut bytes| async { Some((bytes.recv().await?, bytes)) }).boxed();
    send.send(Ok(Bytes::from(vec![1; 3000]))).await.unwrap();
    let appending = tokio::spawn({
        let (storage, at, body) = (first.storage.clone(), at.clone(), body(stalled));
        async move { storage.append_resumable(&Uploader::Caller(&user(1)), &at, 0, None, body).await }
    });
    while !send.is_closed() && send.capacity() < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let found = second.storage.resumable(&caller, &at).await.unwrap();
    assert_eq!(found.resumable().unwrap().offset, 0, "what the other one has not stored is sent again");
    let sent =
        second.storage.append_resumable(&caller, &at, 0, None, body(crate::support::chunked(&[2; 5000])));
    assert_eq!(sent.await.unwrap().upload.resumable().unwrap().offset, 5000);
    send.send(Ok(Bytes::from(vec![1; 3000]))).await.unwrap();
    drop(send);
    let fenced = appending.await.unwrap();
    assert!(matches!(fenced, Err(StorageError::UploadTakenOver { .. })), "{fenced:?}");
    let rest = body(crate::support::chunked(&[2; 1000]));
    second.storage.append_resumable(&caller, &at, 5000, None, rest).await.unwrap();
    assert_eq!(first.get(&me, place).await.unwrap(), vec![2; 6000]);
    Fixture { dir, ..second }.audit().await;
}
