//! When a write is given up, by a clock that stands.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::scripted::{Act, Backend};
use crate::backend::provider::Provider;
use crate::backend::{BackendError, BlobWritten};
use crate::file::BlobKey;
use crate::resilience::failover::write;
use crate::resilience::tape::Tape;

fn provider(backend: &Backend) -> Provider {
    Provider::from(std::sync::Arc::new(backend.clone()))
}

/// A write of chunks of 100 000 bytes, of a body that is kept up to a million; and how long it took.
async fn written(provider: &Provider, chunks: usize) -> (Result<BlobWritten, BackendError>, Duration) {
    let started = Instant::now();
    let chunks = vec![Ok(Bytes::from(vec![1; 100_000])); chunks];
    let tape = Tape::new(stream::iter(chunks).boxed(), 1_000_000);
    let outcome = write(provider, &BlobKey::new(Uuid::nil()), &tape, tape.play(), None).await;
    (outcome, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn what_stands_still_is_given_up_later_the_more_there_is_to_send() {
    for (chunks, expected) in [(1, 4100), (10, 5000)] {
        let (outcome, took) = written(&provider(&Backend::new([], Act::Hang)), chunks).await;
        assert!(matches!(outcome, Err(BackendError::TimedOut { .. })), "{outcome:?}");
        assert_eq!(took.as_millis(), expected);
    }
    let slow = provider(&Backend::new([], Act::Take(Duration::from_secs(4))));
    assert!(written(&slow, 1).await.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_else_can_have_is_its_providers_as_long_as_that_answers() {
    let backend = Backend::new([], Act::Hang);
    backend.0.plan_for("probe", vec![Act::Succeed; 20]);
    let provider = provider(&backend);
    assert!(timeout(Duration::from_secs(3600), written(&provider, 11)).await.is_err());
    // Asked ever less often: after 4 s, 8 s, 16 s, ...
    assert_eq!(backend.0.count("probe"), 10);
    assert!(provider.is_healthy());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_else_can_have_is_given_up_with_a_provider_that_is_gone() {
    let provider = provider(&Backend::new([], Act::Hang));
    let (outcome, took) = written(&provider, 11).await;
    assert!(matches!(outcome, Err(BackendError::TimedOut { .. })), "{outcome:?}");
    assert_eq!(took.as_millis(), 8000);
    assert!(!provider.is_healthy());
    // Whoever has stood still as long need not ask again.
    assert_eq!(written(&provider, 11).await.1.as_millis(), 4000);
}

#[tokio::test(start_paused = true)]
async fn time_of_the_client_does_not_count() {
    let provider = provider(&Backend::new([], Act::Succeed));
    let body = stream::iter(0..3).then(|_| async {
        sleep(Duration::from_secs(60)).await;
        Ok(Bytes::from_static(b"slow"))
    });
    let tape = Tape::new(body.boxed(), 1_000_000);
    assert!(write(&provider, &BlobKey::new(Uuid::nil()), &tape, tape.play(), None).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn doubt_ends_by_itself_where_nobody_looks() {
    let provider = provider(&Backend::new([], Act::Succeed));
    let failed = BackendError::TimedOut { operation: "write", limit: Duration::from_secs(4) };
    provider.doubt(&failed);
    assert!(!provider.is_healthy());
    assert_eq!(provider.status().error.as_deref(), Some("write took longer than 4s"));
    sleep(Duration::from_secs(61)).await;
    assert!(provider.is_healthy() && provider.status().is_healthy);
}
