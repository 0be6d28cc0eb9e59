//! Failures and deaths at every step of an attempt: the object is readable at any time, one live copy is referenced in the end,
//! and its entry is completed.

use std::collections::BTreeSet;
use std::time::Duration;

use file_storage::executor::QueueStatus;
use file_storage::failpoint::{self, Action};
use futures_util::{StreamExt, stream};
use tokio::runtime::Runtime;

use super::scene::{Scene, bytes, disk};

/// Points that an attempt meets which nothing disturbs.
async fn points() -> BTreeSet<&'static str> {
    let scene = Scene::new().await;
    scene.defer("a", &bytes(100_000, 1)).await;
    let recording = failpoint::record(scene.dir.path());
    let upkeep = scene.upkeep();
    scene.until_home().await;
    upkeep.stop().await;
    // Those of the old blob's deletion, and of marks that go behind an answer, come when they come.
    let comes_late = |point: &str| point.contains("delete") || point == "local.unmark";
    recording.names().into_iter().filter(|point| !comes_late(point)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_fails_anywhere_is_made_again() {
    let points = points().await;
    assert!(points.contains("queue.before_commit") && points.len() > 6, "{points:?}");
    let failures =
        points.into_iter().flat_map(|point| [Action::Io, Action::DiskFull].map(|action| (point, action)));
    stream::iter(failures).for_each_concurrent(6, |(point, action)| fails_once(point, action)).await;
}

async fn fails_once(point: &'static str, action: Action) {
    let scene = Scene::new().await;
    scene.defer("a", &bytes(100_000, 1)).await;
    let armed = failpoint::arm_nth(scene.dir.path(), point, action, 1);
    let upkeep = scene.upkeep();
    scene.until_home().await;
    assert!(armed.hits() > 0, "{point}");
    scene.audit([1, 0]).await;
    assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1), "{point}");
    upkeep.stop().await;
}

/// A server that dies at a point: its runtime goes, with all that was under way.
#[test]
fn an_attempt_that_dies_anywhere_is_made_again_by_the_next_server() {
    for point in
        ["queue.claimed", "queue.written", "queue.verified", "queue.before_commit", "queue.completed"]
    {
        let first = Runtime::new().unwrap();
        let (Scene { dir, database, .. }, paused) = first.block_on(async {
            let scene = Scene::new().await;
            scene.defer("a", &bytes(100_000, 1)).await;
            let paused = failpoint::arm_nth(scene.dir.path(), point, Action::Pause, 1);
            let _upkeep = scene.upkeep();
            paused.reached(1).await;
            (scene, paused)
        });
        first.shutdown_timeout(Duration::from_millis(100));

        let second = Runtime::new().unwrap();
        second.block_on(async {
            let scene = Scene::open(dir, database, |dir| disk(dir, "home")).await;
            assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1), "{point}");
            let is_done = point == "queue.completed";
            let expected = if is_done { QueueStatus::Completed } else { QueueStatus::InProgress };
            let entries = scene.entries().await;
            assert_eq!(entries[0].status, expected, "{point}: {entries:?}");
            scene.free().await;
            let upkeep = scene.upkeep();
            scene.until_home().await;
            scene.audit([1, 0]).await;
            assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1), "{point}");
            upkeep.stop().await;
        });
        // What was under way is long gone.
        drop(paused);
    }
}
