//! After a start, for whom a file says that they asked before it.

use std::os::unix::fs::PermissionsExt;

use file_storage::BucketPolicy;
use serde_json::json;
use uuid::Uuid;

use super::counts::{Counts, WARMED};
use super::scene::{ask, backend, fixture, notes, put, started_again, upkeep};
use crate::support::{anon, everything, member, service, user};

#[tokio::test]
async fn after_a_start_lists_of_anon_and_the_service_role_are_in_memory_and_no_users() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(8).await;
    let upkeep_before = upkeep(&fixture.storage);
    let (me, of_team) = (user(77), member(78, "the red ones"));
    let at = fixture.bucket(&me, "docs", BucketPolicy::Public).await;
    let gone = fixture.bucket(&me, "gone", BucketPolicy::Public).await;
    put(&fixture, &at, "a").await;
    for caller in [&me, &of_team, &anon(), &backend()] {
        ask(&fixture.storage, caller, &at).await;
    }
    ask(&fixture.storage, &anon(), &gone).await;
    // It is read before it is written.
    put(&fixture, &at, "b").await;
    counts.warmed(4).await;
    upkeep_before.stop().await;
    let file = notes(fixture.dir.path());
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    for of_users in ["authenticated", "the red ones", &Uuid::from_u128(77).to_string()] {
        assert!(!text.contains(of_users), "{text}");
    }
    fixture.storage.delete_bucket(&service(), &gone, true).await.unwrap();
    put(&fixture, &at, "written meanwhile").await;

    let storage = started_again(&fixture, 8);
    let upkeep_after = upkeep(&storage);
    counts.warmed(6).await;
    let scene = (&storage, &fixture);
    for caller in [&anon(), &backend()] {
        assert!(counts.comes_from_memory(scene, caller, &at, &everything()).await, "{caller:?}");
    }
    for caller in [&me, &of_team, &service()] {
        assert!(!counts.comes_from_memory(scene, caller, &at, &everything()).await, "{caller:?}");
    }
    assert!(!counts.comes_from_memory(scene, &anon(), &gone, &everything()).await, "a bucket that is gone");
    assert_eq!(counts.of(WARMED), 6);
    upkeep_after.stop().await;
}

#[tokio::test]
async fn a_file_that_says_nothing_is_passed_over() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(4).await;
    let at = fixture.bucket(&user(1), "docs", BucketPolicy::Public).await;
    let file = notes(fixture.dir.path());
    let list = |caller: &str, version: u32| {
        json!({ "version": version, "lists": [{
            "caller": caller, "bucket": "docs", "prefix": "", "delimiter": null, "search": "", "ignore_case": false,
            "sort": "name", "descending": false, "limit": 100, "offset": 0
        }] })
        .to_string()
    };
    let good = list("anon", 1);
    let foreign = [list("authenticated", 1), list("anon", 2), "{\"version\": 1".to_owned(), String::new()];
    let huge = format!("{good}{}", " ".repeat(2 << 20));
    let mut warmed = 0;
    for (text, is_good) in
        [(good.clone(), true), (huge, false)].into_iter().chain(foreign.map(|it| (it, false)))
    {
        std::fs::write(&file, &text).unwrap();
        let storage = started_again(&fixture, 4);
        let upkeep = upkeep(&storage);
        if is_good {
            warmed += 1;
            counts.warmed(warmed).await;
        }
        // It goes on, and has a better file in the end.
        ask(&storage, &anon(), &at).await;
        put(&fixture, &at, "a").await;
        warmed += 1;
        counts.warmed(warmed).await;
        upkeep.stop().await;
        assert_eq!(counts.of(WARMED), warmed, "{text:.100}");
        let now = std::fs::read_to_string(&file).unwrap();
        assert!(now.contains("\"anon\"") && now.len() < 1000, "{now:.1000}");
    }
    // Where it can't be written, either.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let storage = started_again(&fixture, 4);
    let upkeep = upkeep(&storage);
    ask(&storage, &anon(), &at).await;
    put(&fixture, &at, "b").await;
    counts.warmed(warmed + 1).await;
    assert!(counts.comes_from_memory((&storage, &fixture), &anon(), &at, &everything()).await);
    upkeep.stop().await;
}
