//! Attempts, counted and timed.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::super::{Attempts, Retry, RetryOptions};
use super::scripted::{Act, Backend};
use crate::StorageError;
use crate::backend::conformance::{bytes, chunked, key};
use crate::backend::{BackendError, StorageBackend};
use crate::file::Sha256;

fn seconds(seconds: &[u64]) -> Vec<Duration> {
    seconds.iter().copied().map(Duration::from_secs).collect()
}

fn retry(backend: &Backend, options: RetryOptions) -> Retry<Backend> {
    let attempts = Attempts::new("scripted".into(), options, None);
    Retry::new(backend.clone(), attempts, 1000)
}

fn exact(attempts: u32) -> RetryOptions {
    RetryOptions { attempts, jitter: 0.0, ..RetryOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn waits_1_2_4_8_10_10_seconds() {
    let backend = Backend::new([], Act::Fail);
    let failed = retry(&backend, exact(7)).delete(&key()).await;
    assert!(matches!(failed, Err(BackendError::Unavailable { .. })));
    assert_eq!(backend.0.calls(), seconds(&[0, 1, 3, 7, 15, 25, 35]));
}

#[tokio::test(start_paused = true)]
async fn makes_three_attempts_where_nothing_is_said() {
    let backend = Backend::new([], Act::Fail);
    retry(&backend, RetryOptions::default()).size(&key()).await.unwrap_err();
    assert_eq!(backend.0.call_count(), 3);
    let backend = Backend::new([Act::Fail, Act::Fail], Act::Succeed);
    assert_eq!(retry(&backend, RetryOptions::default()).size(&key()).await.unwrap(), Some(5));
    assert_eq!(backend.0.call_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn waits_a_tenth_longer_or_shorter_at_random() {
    let mut waits = Vec::new();
    for _ in 0..50 {
        let backend = Backend::new([Act::Fail], Act::Succeed);
        retry(&backend, RetryOptions::default()).delete(&key()).await.unwrap();
        waits.push(backend.0.calls()[1].as_millis());
    }
    assert!(waits.iter().all(|wait| (900..=1101).contains(wait)), "{waits:?}");
    waits.dedup();
    assert!(waits.len() > 10, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_the_provider_says_if_that_is_longer() {
    let backend =
        Backend::new([Act::Throttle(Duration::from_secs(7)), Act::Throttle(Duration::ZERO)], Act::Succeed);
    retry(&backend, exact(3)).delete(&key()).await.unwrap();
    assert_eq!(backend.0.calls(), seconds(&[0, 7, 9]));
    // Nobody waits for minutes: the caller is told instead.
    let backend = Backend::new([], Act::Throttle(Duration::from_secs(120)));
    let failed = retry(&backend, exact(3)).delete(&key()).await.unwrap_err();
    assert_eq!(failed.retry_after(), Some(Duration::from_secs(120)));
    assert_eq!(backend.0.call_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn does_not_try_again_what_is_refused_or_missing() {
    for act in [Act::Refuse, Act::Miss] {
        let backend = Backend::new([], act);
        retry(&backend, exact(3)).read(&key(), None).await.err().unwrap();
        assert_eq!(backend.0.call_count(), 1, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn sends_a_small_body_again_from_its_beginning() {
    let content = bytes(1000, 1);
    for chunks in [0, 1, 5, 10, 11] {
        let backend = Backend::new([Act::FailAfterChunks(chunks), Act::FailAfterChunks(3)], Act::Succeed);
        let written = retry(&backend, exact(3)).write(&key(), chunked(&content, 100), None).await.unwrap();
        assert_eq!(written.sha256, Sha256::of(&content), "after {chunks} chunks");
        assert_eq!(backend.0.bodies(), std::slice::from_ref(&content));
        assert_eq!(backend.0.call_count(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn never_sends_the_second_half_of_a_large_body() {
    let content = bytes(1001, 1);
    // Cut off beyond the limit: the beginning is gone.
    let backend = Backend::new([Act::FailAfterChunks(11)], Act::Succeed);
    let failed = retry(&backend, exact(3)).write(&key(), chunked(&content, 100), None).await;
    assert!(matches!(failed, Err(BackendError::Unavailable { .. })), "{failed:?}");
    assert_eq!((backend.0.call_count(), backend.0.bodies().len()), (1, 0));
    // Before that, it is whole still.
    let backend = Backend::new([Act::FailAfterChunks(10)], Act::Succeed);
    retry(&backend, exact(3)).write(&key(), chunked(&content, 100), None).await.unwrap();
    assert_eq!(backend.0.bodies(), [content]);
}

#[tokio::test(start_paused = true)]
async fn does_not_try_again_what_a_client_broke_off() {
    let backend = Backend::new([], Act::Succeed);
    let broken = StorageError::BodyInterrupted { reason: "hung up".into() };
    let body = stream::iter([Ok(Bytes::from_static(b"half")), Err(broken)]).boxed();
    let failed = retry(&backend, exact(3)).write(&key(), body, None).await;
    assert!(matches!(failed, Err(BackendError::Body(_))), "{failed:?}");
    assert_eq!(backend.0.call_count(), 1);
}
