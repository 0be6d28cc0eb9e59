//! Uploads in parts that never came to their end: they are given up, by whoever is left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, future, stream};

use super::fault_proxy::{Fault, FaultProxy};
use super::place::{RemotePlace, emulator, s3_at};
use crate::StorageError;
use crate::backend::StorageBackend;
use crate::backend::conformance::{bytes, chunked, key};

/// A large body that stands still before its end, and says when it does.
fn stalling(content: &Bytes) -> (crate::body::ByteStream, tokio::sync::oneshot::Receiver<()>) {
    let (sent, waits) = tokio::sync::oneshot::channel::<()>();
    let stalls = stream::once(async move {
        let _ = sent.send(());
        future::pending().await
    });
    (chunked(content, 65_536).chain(stalls).boxed(), waits)
}

/// Notes below a journal.
fn notes(journal: &Path) -> usize {
    let folders = std::fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path());
    folders.filter(|path| path.is_dir()).map(|folder| std::fs::read_dir(folder).unwrap().count()).sum()
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..4000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to that");
}

#[tokio::test]
async fn one_whose_caller_goes_away_is_given_up() {
    let proxy = FaultProxy::before(&emulator("AEROSTORE_TEST_S3")).await;
    let place = RemotePlace::guarded(s3_at(proxy.address()));
    let (body, waits) = stalling(&bytes(11_000_000, 1));
    let key = key();
    let mut write = Box::pin(place.get().write(&key, body, None));
    tokio::select! {
        ended = &mut write => panic!("{ended:?}"),
        _ = waits => {}
    }
    assert_eq!(notes(&place.options.journal), 1);
    drop(write);
    place.get().drain().await;
    assert_eq!((proxy.count("uploads"), proxy.count("DELETE")), (1, 1));
    assert_eq!(notes(&place.options.journal), 0);
}

#[tokio::test]
async fn one_whose_body_fails_is_given_up() {
    let proxy = FaultProxy::before(&emulator("AEROSTORE_TEST_S3")).await;
    let place = RemotePlace::guarded(s3_at(proxy.address()));
    let broken = StorageError::BodyInterrupted { reason: "hung up".into() };
    let body = chunked(&bytes(11_000_000, 1), 65_536).chain(stream::iter([Err(broken)])).boxed();
    place.get().write(&key(), body, None).await.unwrap_err();
    place.get().drain().await;
    assert_eq!((proxy.count("DELETE"), notes(&place.options.journal)), (1, 0));
}

#[tokio::test]
async fn one_that_a_crash_cut_off_is_given_up_at_the_next_start() {
    let proxy = FaultProxy::before(&emulator("AEROSTORE_TEST_S3")).await;
    let mut place = RemotePlace::guarded(s3_at(proxy.address()));
    // A process that dies: its upload ends without a word, and its note stays. Here, the store is deaf meanwhile.
    let (body, waits) = stalling(&bytes(11_000_000, 1));
    let backend: Arc<dyn StorageBackend> = place.get().clone();
    let upload = tokio::spawn(async move { backend.write(&key(), body, None).await.map(drop) });
    waits.await.unwrap();
    proxy.plan("DELETE", [Fault::Answer(503); 6]);
    upload.abort();
    drop(upload.await);
    place.get().drain().await;
    assert_eq!(notes(&place.options.journal), 1, "what could not be given up is noted still");

    // While its process lives, another one leaves it alone.
    let (journal, living) = (place.options.journal.clone(), place.get().clone());
    place.reopen();
    proxy.forget_requests();
    assert_eq!(place.get().recover().await.unwrap(), []);
    place.get().drain().await;
    assert_eq!(proxy.count("DELETE"), 0);
    drop(living);
    // The store still does not answer: the start goes on, and the note stays.
    place.reopen();
    place.get().recover().await.unwrap();
    place.get().drain().await;
    assert_eq!((proxy.count("DELETE"), notes(&journal)), (3, 1));
    place.reopen();
    place.get().recover().await.unwrap();
    until(|| notes(&journal) == 0).await;
    assert_eq!(proxy.count("DELETE"), 4);
    place.get().recover().await.unwrap();
    place.get().drain().await;
    assert_eq!(proxy.count("DELETE"), 4);
}

#[tokio::test]
async fn one_that_a_silent_store_kept_is_given_up_when_it_answers_again() {
    let proxy = FaultProxy::before(&emulator("AEROSTORE_TEST_S3")).await;
    let place = RemotePlace::guarded(s3_at(proxy.address()));
    let journal = &place.options.journal;
    let cut_off = |seed| {
        let (body, waits) = stalling(&bytes(11_000_000, seed));
        let backend: Arc<dyn StorageBackend> = place.get().clone();
        (tokio::spawn(async move { backend.write(&key(), body, None).await.map(drop) }), waits)
    };
    let ((failed, waits), (running, goes_on)) = (cut_off(1), cut_off(2));
    waits.await.unwrap();
    goes_on.await.unwrap();
    proxy.plan("DELETE", [Fault::Answer(503); 6]);
    failed.abort();
    drop(failed.await);
    // Of two uploads, only what is over is asked for; drained, as giving up goes on behind the dropped call.
    place.get().drain().await;
    assert_eq!((proxy.count("DELETE"), notes(journal)), (3, 2));
    // The store still does not answer: it stays noted.
    place.get().give_up_leftovers().await;
    assert_eq!((proxy.count("DELETE"), notes(journal)), (6, 2));
    place.get().give_up_leftovers().await;
    assert_eq!((proxy.count("DELETE"), notes(journal)), (7, 1), "that of the upload under way stays");
    place.get().give_up_leftovers().await;
    assert_eq!(proxy.count("DELETE"), 7, "nothing is left to ask for");
    running.abort();
    drop(running.await);
    place.get().drain().await;
    assert_eq!((proxy.count("DELETE"), notes(journal)), (8, 0));
}
