//! What is read ahead is shown to nobody who may not see it.

use file_storage::failpoint::{self, Action};
use file_storage::{BucketPolicy, BucketUpdate, RlsContext};

use super::counts::{Counts, WARMED};
use super::scene::{READ, ask, fixture, put, upkeep};
use crate::support::{anon, everything, member, service, user};

#[tokio::test]
async fn nobody_sees_what_he_may_not_though_it_was_read_ahead() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(8).await;
    let (storage, red, blue) = (&fixture.storage, member(2, "red"), member(3, "blue"));
    let upkeep = upkeep(storage);
    let at = fixture.bucket(&user(1), "teams", BucketPolicy::Private).await;
    for name in ["red/1", "blue/1"] {
        put(&fixture, &at, name).await;
    }
    let grant = "CREATE POLICY teams ON storage_objects FOR SELECT TO authenticated \
         USING (bucket_id = 'teams' AND (storage.foldername(name))[1] = auth.jwt() ->> 'team')";
    let seen = async |caller: &RlsContext| -> Vec<String> {
        let page = storage.list(caller, &at, &everything()).await.unwrap();
        page.entries.iter().map(|entry| entry.path().to_owned()).collect()
    };
    storage.change_policies(&service(), grant).await.unwrap();
    ask(storage, &red, &at).await;
    ask(storage, &blue, &at).await;
    put(&fixture, &at, "red/2").await;
    counts.warmed(2).await;
    for (caller, expected) in [(&red, vec!["red/1", "red/2"]), (&blue, vec!["blue/1"])] {
        assert!(counts.comes_from_memory((storage, &fixture), caller, &at, &everything()).await);
        assert_eq!(seen(caller).await, expected);
    }
    // Taken back while a list is read ahead, between its mark and the list.
    let paused = failpoint::arm(fixture.dir.path(), READ, Action::Pause);
    put(&fixture, &at, "red/3").await;
    paused.reached(1).await;
    storage.drop_policy(&service(), "teams").await.unwrap();
    assert!(seen(&red).await.is_empty() && seen(&blue).await.is_empty());
    let before = counts.of(WARMED);
    drop(paused);
    counts.warmed(before + 2).await;
    assert!(seen(&red).await.is_empty() && seen(&blue).await.is_empty());
    // The other way round: what came in between is not missing.
    let paused = failpoint::arm(fixture.dir.path(), READ, Action::Pause);
    storage.change_policies(&service(), grant).await.unwrap();
    paused.reached(1).await;
    put(&fixture, &at, "blue/2").await;
    let before = counts.of(WARMED);
    drop(paused);
    // One of them twice: what was read then has a mark that is told no more.
    counts.warmed(before + 3).await;
    assert_eq!(seen(&blue).await, ["blue/1", "blue/2"]);
    assert_eq!(seen(&red).await, ["red/1", "red/2", "red/3"]);
    // A bucket that closes, and anon, who is then asked for a token or shown nothing.
    let open = fixture.bucket(&user(1), "open", BucketPolicy::Public).await;
    ask(storage, &anon(), &open).await;
    let before = counts.of(WARMED);
    put(&fixture, &open, "a").await;
    counts.warmed(before + 1).await;
    let close = BucketUpdate { policy: Some(BucketPolicy::Private), ..BucketUpdate::default() };
    storage.update_bucket(&user(1), &open, &close).await.unwrap();
    counts.warmed(before + 2).await;
    assert!(counts.comes_from_memory((storage, &fixture), &anon(), &open, &everything()).await);
    assert!(storage.list(&anon(), &open, &everything()).await.unwrap().entries.is_empty());
    upkeep.stop().await;
}
