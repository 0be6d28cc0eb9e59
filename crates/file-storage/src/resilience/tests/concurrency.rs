//! Slots, and who waits for them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep, timeout};

use super::super::{ConcurrencyLimit, ConcurrencyOptions};
use super::scripted::{Act, Backend};
use crate::backend::conformance::{bytes, chunked, key};
use crate::backend::{BackendError, StorageBackend};

const SECOND: Duration = Duration::from_secs(1);

fn limited(backend: &Backend, options: ConcurrencyOptions) -> Arc<ConcurrencyLimit<Backend>> {
    Arc::new(ConcurrencyLimit::new(backend.clone(), options))
}

type Ended = Arc<Mutex<Vec<(usize, u64)>>>;

/// Starts an upload, which notes when it ended.
fn upload(limit: &Arc<ConcurrencyLimit<Backend>>, number: usize, ended: &Ended) -> JoinHandle<()> {
    let (limit, ended, began) = (limit.clone(), ended.clone(), Instant::now());
    tokio::spawn(async move {
        limit.write(&key(), chunked(&bytes(10, 1), 5), None).await.unwrap();
        ended.lock().unwrap().push((number, began.elapsed().as_secs()));
    })
}

#[tokio::test(start_paused = true)]
async fn of_ten_uploads_five_run_and_five_wait_in_order() {
    let takes = |seconds| Act::Take(Duration::from_secs(seconds));
    // The first five end one after the other, so that the others begin in a known order.
    let backend = Backend::new([1, 2, 3, 4, 5].map(takes), takes(10));
    let limit = limited(&backend, ConcurrencyOptions::default());
    let ended = Ended::default();
    let mut uploads = Vec::new();
    for number in 0..10 {
        uploads.push(upload(&limit, number, &ended));
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(backend.0.running(), (5, 5));
    for upload in uploads {
        upload.await.unwrap();
    }
    let expected = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 11), (6, 12), (7, 13), (8, 14), (9, 15)];
    assert_eq!(*ended.lock().unwrap(), expected);
    assert_eq!(backend.0.running(), (0, 5));
}

#[tokio::test(start_paused = true)]
async fn of_twenty_downloads_ten_run_until_their_last_byte() {
    let backend = Backend::new([], Act::Take(SECOND));
    let limit = limited(&backend, ConcurrencyOptions::default());
    let downloads: Vec<_> = (0..20)
        .map(|_| {
            let limit = limit.clone();
            tokio::spawn(async move {
                let body = limit.read(&key(), None).await.unwrap();
                body.try_collect::<Vec<_>>().await.unwrap().concat()
            })
        })
        .collect();
    for download in downloads {
        assert_eq!(download.await.unwrap(), b"bytes");
    }
    assert_eq!(backend.0.running(), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn limits_are_independent() {
    let backend = Backend::new([], Act::Hang);
    let limit = limited(&backend, ConcurrencyOptions { uploads: 1, downloads: 1, deletes: 1, waiting: 0 });
    let hang = |what: u8| {
        let limit = limit.clone();
        tokio::spawn(async move {
            match what {
                0 => drop(limit.write(&key(), chunked(&bytes(10, 1), 5), None).await),
                1 => drop(limit.read(&key(), None).await.unwrap().next().await),
                _ => drop(limit.delete(&key()).await),
            }
        })
    };
    let hanging = [hang(0), hang(1), hang(2)];
    sleep(SECOND).await;
    assert_eq!(backend.0.running(), (3, 3));
    // Of none, another one gets a slot; and questions need none.
    let write = limit.write(&key(), chunked(&bytes(10, 1), 5), None).await.map(drop);
    let (read, delete) = (limit.read(&key(), None).await.map(drop), limit.delete(&key()).await);
    for refused in [write, read, delete] {
        assert!(matches!(refused, Err(BackendError::Overloaded { .. })), "{refused:?}");
    }
    timeout(SECOND, limit.size(&key())).await.unwrap_err();
    assert_eq!(backend.0.running(), (3, 4));
    hanging.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_queue_the_next_is_told_to_come_back() {
    let backend = Backend::new([], Act::Take(SECOND));
    let limit = limited(&backend, ConcurrencyOptions { uploads: 1, waiting: 2, ..Default::default() });
    let ended = Ended::default();
    let mut uploads: Vec<_> = Vec::new();
    for number in 0..3 {
        uploads.push(upload(&limit, number, &ended));
        tokio::task::yield_now().await;
    }
    let refused = limit.write(&key(), chunked(&bytes(10, 1), 5), None).await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(SECOND));
    assert!(matches!(refused, BackendError::Overloaded { .. }));
    assert!(!refused.is_transient(), "not tried again at once");
    for upload in uploads {
        upload.await.unwrap();
    }
    limit.write(&key(), chunked(&bytes(10, 1), 5), None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_no_slot_taken() {
    let backend = Backend::new([Act::Hang, Act::Hang], Act::Succeed);
    let options = ConcurrencyOptions { uploads: 1, downloads: 1, deletes: 1, waiting: 1 };
    let limit = limited(&backend, options);
    // While it runs, and while it waits.
    for _ in 0..3 {
        let (first, second) = (key(), key());
        let running = timeout(SECOND, limit.delete(&first));
        let waiting = timeout(Duration::from_millis(10), limit.delete(&second));
        drop(tokio::join!(running, waiting));
    }
    advance(SECOND).await;
    assert_eq!(backend.0.running().0, 0);
    limit.delete(&key()).await.unwrap();
    // A download that is dropped half-way.
    for _ in 0..3 {
        drop(limit.read(&key(), None).await.unwrap());
    }
    let body = limit.read(&key(), None).await.unwrap();
    body.try_collect::<Vec<_>>().await.unwrap();
    drop(limit.read(&key(), None).await.unwrap());
}
