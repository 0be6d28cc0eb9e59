//! A failure at every step of every operation: nothing is left behind, and nothing that was there is harmed.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::LocalPlace;
use crate::backend::conformance::{Place, assert_nothing_left, bytes, chunked, get, key, listed, put};
use crate::backend::{BackendError, StorageBackend};
use crate::failpoint::{self, Action};
use crate::file::BlobKey;

/// What is done while a step fails.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Work {
    /// Writes so many bytes.
    Write(usize),
    /// Copies a blob that is there.
    Copy,
}

impl Work {
    async fn run(
        self,
        backend: &dyn StorageBackend,
        key: &BlobKey,
        source: &BlobKey,
    ) -> Result<(), BackendError> {
        match self {
            Self::Write(size) => backend.write(key, chunked(&bytes(size, 1), 65_536), None).await.map(drop),
            Self::Copy => backend.copy(source, key).await,
        }
    }
}

/// One size per way that a write can take: in one step, batch by batch, with flushes on the way.
const WORK: [Work; 4] = [Work::Write(100_000), Work::Write(3_000_000), Work::Write(40_000_000), Work::Copy];

/// The points that work meets, by meeting them.
async fn points(work: Work) -> BTreeSet<&'static str> {
    let place = LocalPlace::new();
    let source = put(&*place.backend(), &bytes(1000, 2)).await;
    place.quiet().await;
    let recording = failpoint::record(place.path());
    work.run(&*place.backend(), &key(), &source).await.unwrap();
    recording.names().into_iter().collect()
}

async fn check_nothing_left(work: Work, point: &'static str, action: Action) {
    let mut place = LocalPlace::new();
    let source = put(&*place.backend(), &bytes(1000, 2)).await;
    place.quiet().await;
    let failing = failpoint::arm(place.path(), point, action);
    let failed = work.run(&*place.backend(), &key(), &source).await;
    let as_expected = match action {
        Action::DiskFull => matches!(failed, Err(BackendError::DiskFull)),
        _ => matches!(failed, Err(BackendError::Io { .. })),
    };
    assert!(as_expected, "{work:?} {point}: {failed:?}");
    assert_eq!(place.staged(), Vec::<String>::new(), "{work:?} {point}: at once, not in the background");
    assert_eq!(listed(&*place.backend()).await.len(), 1, "{work:?} {point}");
    drop(failing);
    assert_eq!(get(&*place.backend(), &source, None).await, bytes(1000, 2));
    place.backend().delete(&source).await.unwrap();
    assert_nothing_left(&mut place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_step_leaves_nothing() {
    for work in WORK {
        let points = points(work).await;
        assert!(points.contains("local.publish.link") && points.contains("local.publish.sync_folder"));
        assert_eq!(points.contains("local.stage.flush"), work == Work::Write(40_000_000), "{points:?}");
        for point in points {
            for action in [Action::Io, Action::DiskFull] {
                check_nothing_left(work, point, action).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_dropped_at_any_step_leaves_nothing() {
    for work in WORK {
        for point in points(work).await {
            let mut place = LocalPlace::new();
            let source = put(&*place.backend(), &bytes(1000, 2)).await;
            let pause = failpoint::arm(place.path(), point, Action::Pause);
            let key = key();
            {
                let backend = place.backend();
                tokio::select! {
                    ended = work.run(&*backend, &key, &source) => panic!("{work:?} {point}: {ended:?}"),
                    () = pause.reached(1) => {}
                }
            }
            // The caller has gone; the step goes on, and finds nobody to answer to.
            pause.release();
            place.quiet().await;
            assert_eq!(place.staged(), Vec::<String>::new(), "{work:?} {point}");
            assert_eq!(listed(&*place.backend()).await.len(), 1, "{work:?} {point}");
            drop(pause);
            place.backend().delete(&source).await.unwrap();
            assert_nothing_left(&mut place).await;
        }
    }
}

/// A process that dies at any step, its cleanup too: the next one finds all that is left, and no more than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_is_recovered() {
    for work in WORK {
        for point in points(work).await {
            let mut place = LocalPlace::new();
            let source = put(&*place.backend(), &bytes(1000, 2)).await;
            place.quiet().await;
            let key = key();
            {
                // Nothing is cleaned up either: as if the process had ended where the step failed.
                let _failing = failpoint::arm(place.path(), point, Action::Io);
                let _cleanup = failpoint::arm(place.path(), "local.delete.blob", Action::Io);
                let _unmark = failpoint::arm(place.path(), "local.unmark", Action::Io);
                work.run(&*place.backend(), &key, &source).await.unwrap_err();
                place.restart().await;
            }
            let found = place.backend().recover().await.unwrap();
            let published = place.backend().exists(&key).await.unwrap();
            assert_eq!(found, if published { vec![key.clone()] } else { Vec::new() }, "{work:?} {point}");
            assert_eq!(place.staged().len(), found.len(), "{work:?} {point}: half-written files are removed");
            place.backend().settle(&key, false).await;
            place.backend().delete(&source).await.unwrap();
            assert_nothing_left(&mut place).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_that_fails_is_taken_up_by_the_next() {
    for point in ["local.recover.taken", "local.recover.adopt"] {
        for nth in 1..=2 {
            let mut place = LocalPlace::new();
            let mut keys = Vec::new();
            for _ in 0..3 {
                let key = key();
                let body = chunked(&bytes(1000, 1), 1000);
                place.backend().write(&key, body, None).await.unwrap();
                keys.push(key);
            }
            keys.sort();
            place.restart().await;
            let failing = failpoint::arm_nth(place.path(), point, Action::Io, nth);
            let failed = place.backend().recover().await;
            assert!(failed.is_err() || failing.hits() < nth, "{point} {nth}");
            drop(failing);
            assert_eq!(place.backend().recover().await.unwrap(), keys, "{point} {nth}");
            place.restart().await;
            assert_eq!(place.backend().recover().await.unwrap(), keys, "{point} {nth}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_that_fails_says_so_and_can_be_repeated() {
    let mut place = LocalPlace::new();
    let key = put(&*place.backend(), &bytes(1000, 1)).await;
    for point in ["local.delete.blob", "local.unmark"] {
        let _failing = failpoint::arm(place.path(), point, Action::Io);
        assert!(matches!(place.backend().delete(&key).await, Err(BackendError::Io { .. })), "{point}");
    }
    place.backend().delete(&key).await.unwrap();
    assert_nothing_left(&mut place).await;
}

/// With every chunk coming from the device: what is not in the page cache takes another way through the reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_fails_midway_ends_in_an_error() {
    let place = LocalPlace::new();
    let content = bytes(3_000_000, 1);
    let key = put(&*place.backend(), &content).await;
    place.make_cold(&key);
    let failing = failpoint::arm_nth(place.path(), "local.read.chunk", Action::Io, 3);
    let read: Result<Vec<Bytes>, _> = place.backend().read(&key, None).await.unwrap().try_collect().await;
    // A file system that has no cold pages (tmpfs) never comes to the third chunk.
    assert_eq!(read.is_err(), failing.hits() >= 3);
    drop(failing);
    place.make_cold(&key);
    let recording = failpoint::record(place.path());
    assert_eq!(get(&*place.backend(), &key, Some(100..2_999_999)).await, content.slice(100..2_999_999));
    println!("chunks from the device: {}", recording.names().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_reads_do_not_disturb_others() {
    let (sick, healthy) = (LocalPlace::new(), LocalPlace::new());
    let _failing = failpoint::arm(sick.path(), "local.read.open", Action::Io);
    let key = put(&*healthy.backend(), &bytes(1000, 1)).await;
    assert_eq!(get(&*healthy.backend(), &key, None).await, bytes(1000, 1));
    assert!(matches!(sick.backend().read(&key, None).await.err(), Some(BackendError::Io { .. })));
}
