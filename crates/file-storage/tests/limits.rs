//! Limits of size, kind and quota, by every way in which bytes come to a bucket.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use file_storage::bucket::MimePattern;
use file_storage::errors::StorageError;
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::storage::{CopyOptions, StorageOptions};
use file_storage::{BucketConfig, BucketPolicy};
use futures_util::{StreamExt, stream};
use support::{Fixture, bucket, options, path, user};

const LARGE: &[u8] = &[7; 1000];

fn said<T>(outcome: Result<T, StorageError>) -> &'static str {
    outcome.map_or_else(|error| error.code(), |_| "done")
}

#[tokio::test]
async fn copies_and_moves_keep_to_the_limits_of_their_target() {
    let fixture = Fixture::new().await;
    let from = fixture.bucket(&user(1), "from", BucketPolicy::Private).await;
    let source = (&from, &path("a"));
    fixture.put(&user(1), source, PutMode::Create, LARGE).await.unwrap();
    for (name, config, wanted) in [
        ("small", BucketConfig { max_file_size: 999, ..BucketConfig::default() }, "PAYLOAD_TOO_LARGE"),
        ("full", BucketConfig { quota_bytes: Some(999), ..BucketConfig::default() }, "QUOTA_EXCEEDED"),
        (
            "images",
            BucketConfig {
                allowed_mime_types: Some(vec![MimePattern::parse("image/*").unwrap()]),
                ..BucketConfig::default()
            },
            "UNSUPPORTED_MEDIA_TYPE",
        ),
    ] {
        let to = bucket(name);
        fixture.storage.create_bucket(&user(1), &to, &config).await.unwrap();
        let target = (&to, &path("a"));
        let storage = &fixture.storage;
        let copied = storage.copy(&user(1), source, target, PutMode::Create, CopyOptions::default()).await;
        assert_eq!(said(copied), wanted, "copy to {name}");
        let moved = storage.move_object(&user(1), source, target, PutMode::Create).await;
        assert_eq!(said(moved), wanted, "move to {name}");
        assert_eq!(said(fixture.get(&user(1), target).await), "OBJECT_NOT_FOUND", "{name}");
    }
    fixture.audit().await;
    // The server's own limit, which is tighter than when the object came.
    let dir = fixture.dir;
    let tight = StorageOptions { max_file_size: 500, ..options(dir.path()) };
    drop((fixture.storage, fixture.executor, fixture.backend));
    let fixture = Fixture::open_with(dir, tight, |backend| backend).await;
    let target = (&from, &path("b"));
    let moved = fixture.storage.move_object(&user(1), source, target, PutMode::Create).await;
    assert_eq!(said(moved), "PAYLOAD_TOO_LARGE");
    let copied =
        fixture.storage.copy(&user(1), source, target, PutMode::Create, CopyOptions::default()).await;
    assert_eq!(said(copied), "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn a_body_that_outgrows_its_room_is_not_read_to_its_end() {
    let fixture = Fixture::new().await;
    for (name, config, wanted) in [
        ("small", BucketConfig { max_file_size: 500, ..BucketConfig::default() }, "PAYLOAD_TOO_LARGE"),
        ("full", BucketConfig { quota_bytes: Some(500), ..BucketConfig::default() }, "QUOTA_EXCEEDED"),
    ] {
        let name = bucket(name);
        fixture.storage.create_bucket(&user(1), &name, &config).await.unwrap();
        let pending =
            fixture.storage.admit_upload(&user(1), &name, &path("a"), PutMode::Create).await.unwrap();
        let read = Arc::new(AtomicUsize::new(0));
        let counter = read.clone();
        // Nothing is announced; 5000 bytes come.
        let body = stream::iter(0..100).map(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from_static(&[7; 50]))
        });
        let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
        let outcome = pending.store(attributes, None, body.boxed()).await;
        assert_eq!(said(outcome), wanted, "{name}");
        let chunks = read.load(Ordering::Relaxed);
        assert!(chunks < 50, "{name}: {chunks} chunks were read");
    }
    fixture.audit().await;
}
