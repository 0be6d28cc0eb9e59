//! After a change, for who asked before.

use file_storage::BucketPolicy;
use file_storage::executor::{Delimiter, Listing};
use file_storage::file::PutMode;

use super::counts::{Counts, WARMED};
use super::scene::{ask, backend, fixture, put, started_again, upkeep};
use crate::support::{anon, everything, member, path, user};

#[tokio::test]
async fn what_has_changed_is_in_memory_before_somebody_asks() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(8).await;
    let upkeep = upkeep(&fixture.storage);
    let at = fixture.bucket(&user(1), "docs", BucketPolicy::Public).await;
    put(&fixture, &at, "a/1").await;
    let folder = Listing { delimiter: Some(Delimiter::SLASH), ..everything() };
    let callers = [user(1), member(2, "red"), anon(), backend()];
    for listing in [&everything(), &folder] {
        for caller in &callers {
            for _ in 0..3 {
                fixture.storage.list(caller, &at, listing).await.unwrap();
            }
        }
    }
    assert_eq!(counts.of(WARMED), 0, "what is as it was is not read");
    let all = 2 * callers.len() as u64;
    for round in 1..=4 {
        put(&fixture, &at, &format!("b{round}/1")).await;
        counts.warmed(round * all).await;
        for listing in [&everything(), &folder] {
            for caller in &callers {
                let scene = (&fixture.storage, &fixture);
                assert!(counts.comes_from_memory(scene, caller, &at, listing).await, "{caller:?}");
            }
        }
        assert_eq!(counts.of(WARMED), round * all, "once each");
    }
    // Another process is heard of as well.
    let there = started_again(&fixture, 0);
    let pending = there.admit_upload(&user(1), &at, &path("there"), PutMode::Create).await.unwrap();
    pending.store(Default::default(), Some(1), crate::support::chunked(b"1")).await.unwrap();
    counts.warmed(5 * all).await;
    assert!(counts.comes_from_memory((&fixture.storage, &fixture), &anon(), &at, &folder).await);
    upkeep.stop().await;
    fixture.storage.close().await;
}

#[tokio::test]
async fn a_list_that_nobody_asks_for_drops_out() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(4).await;
    let (storage, me) = (&fixture.storage, user(1));
    let upkeep = upkeep(storage);
    let written = fixture.bucket(&me, "written", BucketPolicy::Private).await;
    let read = fixture.bucket(&me, "read", BucketPolicy::Private).await;
    ask(storage, &me, &written).await;
    for round in 1..=4 {
        put(&fixture, &written, &format!("{round}")).await;
        counts.warmed(round).await;
    }
    ask(storage, &me, &read).await;
    for round in 1..=4 {
        put(&fixture, &written, &format!("more {round}")).await;
        put(&fixture, &read, &format!("{round}")).await;
        counts.warmed(4 + round).await;
        assert!(counts.comes_from_memory((storage, &fixture), &me, &read, &everything()).await);
    }
    assert_eq!(counts.of(WARMED), 8, "what nobody asks for is read no more");
    // Whoever asks again is back.
    assert!(!counts.comes_from_memory((storage, &fixture), &me, &written, &everything()).await);
    put(&fixture, &written, "again").await;
    counts.warmed(9).await;
    assert!(counts.comes_from_memory((storage, &fixture), &me, &written, &everything()).await);
    upkeep.stop().await;
}
