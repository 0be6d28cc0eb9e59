//! PostgreSQL stopped, and killed, under load: requests fail in a way that says "again", then go on by themselves, and
//! nothing that was acknowledged is lost. Over a server of the test's own, with fsync.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use file_storage::BucketPolicy;
use file_storage::errors::StorageError;
use file_storage::file::PutMode;
use futures_util::future::join_all;
use tempfile::TempDir;

use super::cluster::Cluster;
use crate::support::{Fixture, TestDatabase, options, path, service, user};

/// What a file must hold: what was acknowledged last, or what was under way when there was no answer.
#[derive(Default)]
struct Expectation {
    allowed: Vec<Option<Vec<u8>>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_postgresql() {
    let (cluster, url) = Cluster::start();
    let cluster = Arc::new(cluster);
    let database = TestDatabase::on(url);
    let dir = TempDir::new().unwrap();
    let options = options(dir.path());
    let fixture = Fixture::open_on((dir, Some(database)), options, |backend| backend).await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let (stop, succeeded, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));

    let writers = (0..6_u64).map(|writer| {
        let (fixture, docs, stop, succeeded, failed) = (&fixture, &docs, &stop, &succeeded, &failed);
        async move {
            let mut files: Vec<Expectation> = (0..4).map(|_| Expectation { allowed: vec![None] }).collect();
            let mut round = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                let at = usize::try_from(round * 7 + writer).unwrap() % files.len();
                let name = path(&format!("w{writer}/f{at}"));
                let size = [20, 40, 3000, 100_000][usize::try_from(round + writer).unwrap() % 4];
                let next = (!round.is_multiple_of(5))
                    .then(|| round.to_le_bytes().into_iter().cycle().take(size).collect());
                let outcome: Result<(), StorageError> = match &next {
                    Some(bytes) => {
                        let bytes: &Vec<u8> = bytes;
                        fixture.put(&user(1), (docs, &name), PutMode::Upsert, bytes).await.map(drop)
                    }
                    None => fixture.storage.delete(&user(1), docs, &name, None).await.map(drop),
                };
                match outcome {
                    Ok(()) => {
                        succeeded.fetch_add(1, Ordering::Relaxed);
                        files[at].allowed = vec![next];
                    }
                    Err(error) => {
                        assert!(error.is_retryable(), "{error:?}");
                        failed.fetch_add(1, Ordering::Relaxed);
                        // It may have happened all the same: nobody was told.
                        files[at].allowed.push(next);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
            files
        }
    });
    let outages = async {
        for round in 0..4_u64 {
            tokio::time::sleep(Duration::from_millis(700 + 130 * round)).await;
            let ready = fixture.executor.ping().await;
            assert!(ready.is_ok(), "{ready:?}");
            let cluster = cluster.clone();
            let outage = move || if round % 2 == 0 { cluster.kill() } else { cluster.restart() };
            tokio::task::spawn_blocking(outage).await.unwrap();
            let (since, before) = (Instant::now(), succeeded.load(Ordering::Relaxed));
            while succeeded.load(Ordering::Relaxed) < before + 10 {
                assert!(since.elapsed() < Duration::from_secs(30), "it does not recover");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (files, ()) = tokio::join!(join_all(writers), outages);
    eprintln!("{succeeded:?} writes acknowledged, {failed:?} failed");
    assert!(failed.load(Ordering::Relaxed) > 0, "nothing was under way");
    for (writer, files) in files.iter().enumerate() {
        for (at, file) in files.iter().enumerate() {
            let found = match fixture.get(&service(), (&docs, &path(&format!("w{writer}/f{at}")))).await {
                Ok(bytes) => Some(bytes),
                Err(StorageError::ObjectNotFound { .. }) => None,
                Err(error) => panic!("{error:?}"),
            };
            assert!(
                file.allowed.contains(&found),
                "w{writer}/f{at}: {:?} bytes",
                found.map(|bytes| bytes.len())
            );
        }
    }
    // Blobs whose commit nobody could ask about stay until the next start, as after a crash.
    let fixture = fixture.crash_and_reopen().await;
    fixture.audit().await;
    let Fixture { database, storage, .. } = fixture;
    storage.close().await;
    drop(database);
}
