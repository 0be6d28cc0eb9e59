//! How much is kept, for how long, and that it need not be.

use std::time::Duration;

use file_storage::BucketPolicy;
use file_storage::storage::{CacheOptions, StorageOptions};
use futures_util::future::join_all;
use tempfile::TempDir;

use super::scene::{is_kept, keeps, paths, put, was_kept};
use crate::support::{Fixture, keys, options, user};

#[tokio::test]
async fn objects_that_are_kept_are_bounded_age_and_can_be_off() {
    let dir = TempDir::new().unwrap();
    let with = |cache| StorageOptions { cache, inline_threshold: 100_000, ..options(dir.path()) };
    let few = with(Some(CacheOptions { max_bytes: 20_000, ttl: Duration::from_secs(300) }));
    let (off, on) = (with(None), with(Some(CacheOptions::default())));
    let brief = with(Some(CacheOptions { max_bytes: 1 << 20, ttl: Duration::from_millis(1) }));
    let fixture = Fixture::open_with(dir, few, |backend| backend).await;
    let me = user(1);
    let at = fixture.bucket(&me, "bounded", BucketPolicy::Private).await;
    put(&fixture, &me, &at, "small", b"1").await;
    put(&fixture, &me, &at, "large", &[1; 30_000]).await;
    assert_eq!(is_kept(&fixture, &me, &at, "small").await, keeps(&fixture));
    // The row alone has room, and the bytes that are in it have none.
    for _ in 0..4 {
        let own = paths("large");
        let found = join_all(own.iter().map(|own| fixture.storage.download(&me, &at, own))).await;
        for (own, download) in own.iter().zip(found) {
            assert!(!was_kept(download.unwrap().object(), own), "larger than the bound");
        }
    }
    fixture.storage.reconfigure(off, keys());
    assert!(!is_kept(&fixture, &me, &at, "small").await, "nothing is kept");
    fixture.storage.reconfigure(brief, keys());
    for _ in 0..3 {
        let own = paths("small");
        let found = join_all(own.iter().map(|own| fixture.storage.info(&me, &at, own))).await;
        for (own, object) in own.iter().zip(found) {
            assert!(!was_kept(&object.unwrap(), own), "what is first after its time is read");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    fixture.storage.reconfigure(on, keys());
    assert_eq!(is_kept(&fixture, &me, &at, "large").await, keeps(&fixture));
}
