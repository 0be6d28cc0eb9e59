//! Faults between a provider and its store, by a proxy: what is tried again, how often, and that no byte is ever lost,
//! doubled or wrong.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::super::probe::MOST;
use super::fault_proxy::{Fault, FaultProxy};
use super::place::{RemotePlace, azure_at, emulator, s3_at};
use crate::StorageError;
use crate::backend::conformance::{bytes, chunked, get, key, listed, put};
use crate::backend::{BackendError, StorageBackend};
use crate::file::{BlobKey, Sha256};
use crate::resilience::CircuitOptions;

/// A guarded place behind a proxy, before S3.
async fn behind_proxy() -> (FaultProxy, RemotePlace) {
    let proxy = FaultProxy::before(&emulator("AEROSTORE_TEST_S3")).await;
    let place = RemotePlace::guarded(s3_at(proxy.address()));
    (proxy, place)
}

async fn write(backend: &dyn StorageBackend, content: &Bytes) -> Result<BlobKey, BackendError> {
    let key = key();
    let written = backend.write(&key, chunked(content, 65_536), Some(content.len() as u64)).await?;
    assert_eq!((written.size, written.sha256), (content.len() as u64, Sha256::of(content)));
    Ok(key)
}

/// What may go well in the next attempt.
const TRANSIENT: [Fault; 8] = [
    Fault::Drop,
    Fault::Answer(500),
    Fault::Answer(502),
    Fault::Answer(503),
    Fault::Answer(429),
    Fault::AnswerRetryAfter(503, 0),
    Fault::LoseAnswer,
    Fault::Answer(408),
];

#[tokio::test]
async fn a_small_upload_is_sent_again_whole() {
    let content = bytes(300_000, 1);
    for fault in TRANSIENT {
        let (proxy, place) = behind_proxy().await;
        proxy.plan("PUT", [fault, fault]);
        let key = write(&**place.get(), &content).await.unwrap();
        assert_eq!(proxy.count("PUT"), 3, "{fault:?}");
        assert_eq!(get(&**place.get(), &key, None).await, content, "{fault:?}");
        assert_eq!(listed(&**place.get()).await, [(key.to_string(), 300_000)].into(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_large_upload_is_sent_again_part_by_part() {
    let content = bytes(12_000_000, 1);
    for fault in TRANSIENT {
        let (proxy, place) = behind_proxy().await;
        proxy.plan("uploads", [fault]);
        proxy.plan("partNumber=2", [fault, fault]);
        proxy.plan("POST", [Fault::Pass, fault]);
        let key = write(&**place.get(), &content).await.unwrap();
        assert!(proxy.is_done(), "{fault:?}");
        let parts = [1, 2, 3].map(|part| proxy.count(&format!("partNumber={part}")));
        assert_eq!(parts, [1, 3, 1], "{fault:?}: only the part that failed was sent again");
        assert_eq!(get(&**place.get(), &key, None).await, content, "{fault:?}");
        assert_eq!(listed(&**place.get()).await, [(key.to_string(), 12_000_000)].into(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_part_that_stands_still_is_sent_again() {
    let (proxy, place) = behind_proxy().await;
    let content = bytes(6_000_000, 1);
    proxy.plan("partNumber=1", [Fault::Stall]);
    let key = write(&**place.get(), &content).await.unwrap();
    assert_eq!((proxy.count("partNumber=1"), proxy.count("partNumber=2")), (2, 1));
    assert_eq!(get(&**place.get(), &key, None).await, content);
}

#[tokio::test]
async fn an_upload_ends_after_three_attempts_and_leaves_nothing() {
    let (proxy, place) = behind_proxy().await;
    proxy.plan("PUT", [Fault::Answer(503); 3]);
    let failed = write(&**place.get(), &bytes(300_000, 1)).await;
    assert!(matches!(failed, Err(BackendError::Unavailable { .. })), "{failed:?}");
    assert_eq!(proxy.count("PUT"), 3);

    proxy.forget_requests();
    proxy.plan("partNumber=2", [Fault::Answer(503); 3]);
    let failed = write(&**place.get(), &bytes(12_000_000, 1)).await;
    assert!(matches!(failed, Err(BackendError::Unavailable { .. })), "{failed:?}");
    assert_eq!((proxy.count("partNumber=1"), proxy.count("partNumber=2")), (1, 3));
    place.get().drain().await;
    assert_eq!(proxy.count("DELETE"), 1, "the upload is given up");
    assert_eq!(listed(&**place.get()).await, [].into());
}

#[tokio::test]
async fn a_download_that_is_cut_off_goes_on_at_its_byte() {
    let content = bytes(3_000_000, 1);
    let cuts = [
        [Fault::ResetAfter(1_000_000), Fault::ResetAfter(700_000)],
        [Fault::TruncateAfter(1), Fault::TruncateAfter(0)],
        [Fault::StallAfter(2_000_000), Fault::Answer(503)],
        [Fault::TruncateAfter(100_000), Fault::Drop],
    ];
    for faults in cuts {
        let (proxy, place) = behind_proxy().await;
        let key = put(&**place.get(), &content).await;
        for range in [None, Some(1000..2_999_999)] {
            proxy.forget_requests();
            proxy.plan("GET", faults);
            let expected = range
                .clone()
                .map_or(content.clone(), |range| content.slice(range.start as usize..range.end as usize));
            assert_eq!(get(&**place.get(), &key, range.clone()).await, expected, "{faults:?} {range:?}");
            assert_eq!(proxy.count("GET"), 3, "{faults:?} {range:?}");
        }
    }
}

#[tokio::test]
async fn a_download_that_is_cut_off_for_good_is_an_error_and_never_a_short_answer() {
    let (proxy, place) = behind_proxy().await;
    let content = bytes(3_000_000, 1);
    let key = put(&**place.get(), &content).await;
    proxy.forget_requests();
    proxy.plan("GET", [Fault::TruncateAfter(1_000_000)]);
    proxy.plan("GET", [Fault::Drop; 10]);
    let read = place.get().read(&key, None).await.unwrap();
    let (chunks, failed) = read
        .try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
        .map_or_else(|error| (None, Some(error)), |all| (Some(all), None));
    assert!(chunks.is_none());
    assert!(matches!(failed, Some(StorageError::ProviderUnavailable { .. })), "{failed:?}");
    assert_eq!(proxy.count("GET"), 3, "three attempts without a byte");
}

#[tokio::test]
async fn a_store_that_wants_to_be_left_alone_is() {
    let (proxy, place) = behind_proxy().await;
    proxy.plan("PUT", [Fault::AnswerRetryAfter(429, 1)]);
    let began = Instant::now();
    write(&**place.get(), &bytes(1000, 1)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    // For longer than anybody waits: the caller is told.
    proxy.plan("PUT", [Fault::AnswerRetryAfter(503, 90)]);
    let told = write(&**place.get(), &bytes(1000, 1)).await.unwrap_err();
    assert_eq!(told.retry_after(), Some(Duration::from_secs(90)));
}

#[tokio::test]
async fn deletions_and_questions_are_made_again() {
    let (proxy, place) = behind_proxy().await;
    let backend = place.get();
    let key = put(&**backend, &bytes(1000, 1)).await;
    proxy.plan("HEAD", [Fault::Drop, Fault::Answer(500)]);
    assert_eq!(backend.size(&key).await.unwrap(), Some(1000));
    proxy.plan("GET", [Fault::Drop, Fault::Answer(500)]);
    assert_eq!(listed(&**backend).await.len(), 1);
    // The second attempt finds nothing any more: it is deleted.
    proxy.plan("DELETE", [Fault::LoseAnswer, Fault::Answer(503)]);
    backend.delete(&key).await.unwrap();
    assert_eq!(proxy.count("DELETE"), 3);
    assert!(!backend.exists(&key).await.unwrap());
}

#[tokio::test]
async fn what_a_look_could_not_delete_the_next_one_that_succeeds_does() {
    let (proxy, place) = behind_proxy().await;
    let backend = place.get();
    let kept = put(&**backend, &bytes(1000, 1)).await;
    // A look is one attempt.
    proxy.plan("DELETE", [Fault::Drop]);
    assert!(backend.probe().await.is_err());
    assert!(proxy.is_done(), "it was its deletion that failed");
    let left = listed(&**backend).await;
    assert_eq!(left.len(), 2, "its blob is still there: {left:?}");
    // One that fails for another reason leaves it at that.
    proxy.plan("PUT", [Fault::Drop]);
    assert!(backend.probe().await.is_err());
    assert_eq!(listed(&**backend).await, left);
    // One whose own blob went has succeeded, though the other is still there.
    proxy.plan("DELETE", [Fault::Pass, Fault::Drop]);
    backend.probe().await.unwrap();
    assert!(proxy.is_done(), "it tried");
    assert_eq!(listed(&**backend).await, left);
    backend.probe().await.unwrap();
    assert_eq!(listed(&**backend).await, [(kept.to_string(), 1000)].into());
    // What is gone is not asked about again.
    proxy.forget_requests();
    backend.probe().await.unwrap();
    assert_eq!(proxy.count("DELETE"), 1, "its own blob");
}

#[tokio::test]
async fn a_bounded_number_of_blobs_of_looks_is_remembered() {
    let (proxy, place) = behind_proxy().await;
    let backend = place.get();
    for _ in 0..MOST + 2 {
        proxy.plan("DELETE", [Fault::Drop]);
        assert!(backend.probe().await.is_err());
    }
    assert_eq!(listed(&**backend).await.len(), MOST + 2);
    proxy.forget_requests();
    backend.probe().await.unwrap();
    assert_eq!(proxy.count("DELETE"), 1 + MOST, "its own blob, and those that it knew of");
    // The others are orphans by now.
    assert_eq!(listed(&**backend).await.len(), 2);
    backend.probe().await.unwrap();
    assert_eq!(listed(&**backend).await.len(), 2);
}

#[tokio::test]
async fn a_copy_whose_answer_is_lost_is_made_again() {
    let (proxy, place) = behind_proxy().await;
    let content = bytes(100_000, 1);
    let (from, to) = (put(&**place.get(), &content).await, key());
    proxy.plan("PUT", [Fault::LoseAnswer, Fault::Answer(500)]);
    place.get().copy(&from, &to).await.unwrap();
    assert_eq!(get(&**place.get(), &to, None).await, content);
}

#[tokio::test]
async fn nobody_there_is_tried_three_times() {
    // A port that was somebody's a moment ago.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let place = RemotePlace::guarded(s3_at(&format!("http://{gone}")));
    let began = Instant::now();
    let refused = write(&**place.get(), &bytes(1000, 1)).await.unwrap_err();
    assert!(matches!(refused, BackendError::Unavailable { .. }), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(place.get().probe().await.is_err());
}

#[tokio::test]
async fn a_store_that_is_gone_is_left_alone_until_it_is_back() {
    let proxy = FaultProxy::before(&emulator("AEROSTORE_TEST_S3")).await;
    let mut place = RemotePlace::guarded(s3_at(proxy.address()));
    let circuit = CircuitOptions { failures: 5, open_for: Duration::from_millis(300) };
    place.resilience = place
        .resilience
        .map(|guards| crate::resilience::ResilienceOptions { circuit: Some(circuit), ..guards });
    place.reopen();
    proxy.otherwise(Fault::Answer(503));
    for _ in 0..10 {
        write(&**place.get(), &bytes(1000, 1)).await.unwrap_err();
    }
    assert_eq!(proxy.count("PUT"), 5, "then nobody asks any more");
    proxy.otherwise(Fault::Pass);
    tokio::time::sleep(Duration::from_millis(350)).await;
    write(&**place.get(), &bytes(1000, 1)).await.unwrap();
    assert_eq!(proxy.count("PUT"), 6);
}

#[tokio::test]
async fn azure_is_tried_again_alike() {
    let proxy = FaultProxy::before(&emulator("AEROSTORE_TEST_AZURE")).await;
    let place = RemotePlace::guarded(azure_at(proxy.address()));
    let content = bytes(12_000_000, 1);
    proxy.plan("comp=block&", [Fault::Drop, Fault::Answer(503)]);
    proxy.plan("comp=blocklist", [Fault::LoseAnswer]);
    let key = write(&**place.get(), &content).await.unwrap();
    proxy.plan("GET", [Fault::ResetAfter(5_000_000), Fault::Answer(500), Fault::TruncateAfter(1_000_000)]);
    assert_eq!(get(&**place.get(), &key, None).await, content);
    assert!(proxy.is_done(), "{:?}", proxy.requests());
}
