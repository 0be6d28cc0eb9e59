//! Time, and what does not count as time of the provider.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep};

use super::super::{ConcurrencyLimit, ConcurrencyOptions, Timeout, TimeoutOptions};
use super::scripted::{Act, Backend};
use crate::StorageError;
use crate::backend::conformance::{bytes, chunked, key};
use crate::backend::{BackendError, StorageBackend};

fn timed(backend: &Backend) -> Timeout<Backend> {
    Timeout::new(backend.clone(), TimeoutOptions::default())
}

#[tokio::test(start_paused = true)]
async fn each_operation_has_its_own() {
    let backend = Backend::new([], Act::Hang);
    let timed = timed(&backend);
    let check = |began: Instant, outcome: Result<(), BackendError>, seconds: u64| {
        let Err(BackendError::TimedOut { limit, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((limit.as_secs(), began.elapsed().as_secs()), (seconds, seconds));
    };
    check(Instant::now(), timed.write(&key(), chunked(&bytes(10, 1), 5), None).await.map(drop), 300);
    check(Instant::now(), timed.copy(&key(), &key()).await, 300);
    check(Instant::now(), timed.delete(&key()).await, 30);
    check(Instant::now(), timed.size(&key()).await.map(drop), 30);
    check(Instant::now(), timed.list().try_collect::<Vec<_>>().await.map(drop), 30);
    let began = Instant::now();
    let stalled = timed.read(&key(), None).await.unwrap().try_collect::<Vec<_>>().await;
    assert!(matches!(stalled, Err(StorageError::ProviderTimeout { .. })), "{stalled:?}");
    assert_eq!(began.elapsed().as_secs(), 600);
    assert_eq!(backend.0.running().0, 0, "what takes too long is cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_be_slow() {
    let backend = Backend::new([], Act::Succeed);
    let chunks = stream::iter(0..5).then(|_| async {
        sleep(Duration::from_secs(299)).await;
        sleep(Duration::from_secs(299)).await;
        Ok(Bytes::from_static(b"late"))
    });
    let written = timed(&backend).write(&key(), chunks.boxed(), None).await.unwrap();
    assert_eq!(written.size, 20);
    let mut read = timed(&backend).read(&key(), None).await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(read.next().await.unwrap().unwrap(), "bytes");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_slot_is_no_time_of_the_operation() {
    let backend = Backend::new([], Act::Take(Duration::from_secs(25)));
    let options = ConcurrencyOptions { deletes: 1, ..ConcurrencyOptions::default() };
    let limit = Arc::new(ConcurrencyLimit::new(timed(&backend), options));
    let deletions: Vec<_> = (0..4)
        .map(|_| {
            let limit = limit.clone();
            tokio::spawn(async move { limit.delete(&key()).await })
        })
        .collect();
    for deletion in deletions {
        deletion.await.unwrap().unwrap();
    }
}
