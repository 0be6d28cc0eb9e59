//! Where nobody wants any, and where that changes.

use file_storage::BucketPolicy;
use file_storage::storage::{CacheOptions, StorageOptions};

use super::counts::{Counts, WARMED};
use super::scene::{ask, fixture, notes, put, started_again, until, upkeep, warming};
use crate::support::{anon, everything, keys, user};

#[tokio::test]
async fn none_are_read_where_none_are_wanted() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(0).await;
    let (storage, file) = (&fixture.storage, notes(fixture.dir.path()));
    std::fs::write(&file, "of a start before").unwrap();
    let running = upkeep(storage);
    until("the file is gone", async || !file.exists()).await;
    // Another one does, by which it is seen that there was time.
    let other = started_again(&fixture, 4);
    let options = StorageOptions { cache: None, ..warming(fixture.dir.path(), 4) };
    let beside = upkeep(&other);
    let at = fixture.bucket(&user(1), "docs", BucketPolicy::Public).await;
    let check = async |first: u64, what: &str| {
        ask(storage, &anon(), &at).await;
        ask(&other, &anon(), &at).await;
        for round in 1..=3 {
            put(&fixture, &at, &format!("{what} {round}")).await;
            counts.warmed(first + round).await;
            assert!(counts.comes_from_memory((&other, &fixture), &anon(), &at, &everything()).await);
        }
        assert!(!counts.comes_from_memory((storage, &fixture), &anon(), &at, &everything()).await, "{what}");
        assert_eq!(counts.of(WARMED), first + 3, "{what}");
    };
    check(0, "none are wanted").await;
    // A reload has some be read ahead.
    storage.reconfigure(warming(fixture.dir.path(), 4), keys());
    ask(storage, &anon(), &at).await;
    put(&fixture, &at, "now").await;
    counts.warmed(5).await;
    assert!(counts.comes_from_memory((storage, &fixture), &anon(), &at, &everything()).await);
    // One that has other lists kept leaves it at that, and one that has none kept ends it.
    let smaller = Some(CacheOptions { max_bytes: 1 << 20, ..CacheOptions::default() });
    storage.reconfigure(StorageOptions { cache: smaller, ..warming(fixture.dir.path(), 4) }, keys());
    counts.warmed(6).await;
    assert!(counts.comes_from_memory((storage, &fixture), &anon(), &at, &everything()).await);
    storage.reconfigure(warming(fixture.dir.path(), 0), keys());
    check(6, "none are wanted any more").await;
    storage.reconfigure(options, keys());
    running.stop().await;
    assert!(!file.exists());
    beside.stop().await;
    assert!(file.exists());
}
