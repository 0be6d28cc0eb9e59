//! Limits of size, kind and quota, by every way in which bytes come to a bucket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Fixture, bucket, options, path, user};
use bytes::Bytes;
use file_storage::bucket::MimePattern;
use file_storage::errors::StorageError;
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::storage::{CopyOptions, StorageOptions};
use file_storage::{BucketConfig, BucketPolicy};
use futures_util::{StreamExt, stream};

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
    let Fixture { dir, database, storage, executor, backend } = fixture;
    let tight = StorageOptions { max_file_size: 500, ..options(dir.path()) };
    drop((storage, executor, backend));
    let fixture = Fixture::open_on((dir, database), tight, |backend| backend).await;
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

/// Every commit wakes all who are told of events: they leave the database to the others.
#[cfg(feature = "failpoints")]
mod subscribers {
    use std::time::{Duration, Instant};

    use file_storage::failpoint::{self, Action};
    use file_storage::storage::{Delivery, EventFilter, StartAt, Subscription};
    use futures_util::future::join_all;

    use super::*;

    async fn subscriber(fixture: &Fixture) -> Subscription {
        fixture.storage.subscribe(&user(1), EventFilter::default(), StartAt::Now, None).await.unwrap()
    }

    /// The paths that are told next.
    async fn told(subscription: &mut Subscription) -> Vec<String> {
        match subscription.next().await.unwrap() {
            Delivery::Events { events, .. } => events.into_iter().filter_map(|event| event.path).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn few_subscribers_ask_the_database_at_once() {
        let fixture = Fixture::new().await;
        let photos = fixture.bucket(&user(1), "photos", BucketPolicy::Private).await;
        let mut all = Vec::new();
        for _ in 0..10 {
            all.push(subscriber(&fixture).await);
        }
        let paused = failpoint::arm(fixture.dir.path(), "events.asked", Action::Pause);
        let read = join_all(all.iter_mut().map(told));
        let write = async {
            fixture.put(&user(1), (&photos, &path("a")), PutMode::Create, b"1").await.unwrap();
            paused.reached(4).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(paused.hits(), 4);
            paused.release();
        };
        let (told, ()) = tokio::join!(read, write);
        assert_eq!(told, vec![vec!["a".to_owned()]; 10], "each has its turn");
    }

    #[tokio::test]
    async fn a_subscriber_reads_at_once_and_then_rests() {
        let fixture = Fixture::new().await;
        let photos = fixture.bucket(&user(1), "photos", BucketPolicy::Private).await;
        let mut subscription = subscriber(&fixture).await;
        let put = async |at: &str| {
            fixture.put(&user(1), (&photos, &path(at)), PutMode::Create, b"1").await.unwrap();
        };
        put("a").await;
        assert_eq!(told(&mut subscription).await, ["a"]);
        let since = Instant::now();
        put("b").await;
        assert_eq!(told(&mut subscription).await, ["b"]);
        // A little less: the rest began before the first answer was here.
        assert!(since.elapsed() >= Duration::from_millis(40), "{:?}", since.elapsed());
    }
}
