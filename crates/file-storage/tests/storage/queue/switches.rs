//! Switches of providers, as events.

use std::time::{Duration, Instant};

use file_storage::executor::Event;
use file_storage::failpoint::{self, Action, Armed};
use file_storage::health::HealthChecks;
use serde_json::json;

use super::scene::{Scene, bytes};
use crate::support::maintain;

/// Nothing can be written there, until this is dropped.
fn broken(scene: &Scene, name: &str) -> Armed {
    failpoint::arm(&scene.dir.path().join(name), "local.stage.create", Action::Io)
}

async fn switches(scene: &Scene) -> Vec<Event> {
    let mut events = scene.executor.events(&maintain(), 0, 1000).await.unwrap();
    events.retain(|event| event.kind.starts_with("storage.provider."));
    events
}

/// The switches, once there are so many.
async fn until(scene: &Scene, number: usize) -> Vec<Event> {
    until_within(scene, number, Duration::from_secs(4)).await
}

async fn until_within(scene: &Scene, number: usize, patience: Duration) -> Vec<Event> {
    let started = Instant::now();
    while started.elapsed() < patience {
        let switches = switches(scene).await;
        if switches.len() >= number {
            return switches;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there are no {number} switches: {:#?}", switches(scene).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_switch_is_one_event_however_many_uploads_follow_it() {
    let scene = Scene::new().await;
    for round in 0..3 {
        let home = broken(&scene, "home");
        let names: Vec<String> = (0..8).map(|at| format!("during-{round}-{at}")).collect();
        let content = bytes(100_000, round);
        let puts = futures_util::future::join_all(names.iter().map(|name| scene.put(name, &content))).await;
        assert!(puts.iter().all(Result::is_ok), "{puts:?}");
        drop(home);
        scene.storage.probe_active().await.unwrap();
        for at in 0..3 {
            scene.put(&format!("after-{round}-{at}"), &content).await.unwrap();
        }
    }
    let switches = until(&scene, 6).await;
    for pair in switches.chunks(2) {
        let [there, back] = pair else { panic!("{switches:#?}") };
        assert_eq!(there.kind, "storage.provider.failed_over");
        assert_eq!((&there.payload["from"], &there.payload["to"]), (&json!("home"), &json!("away")));
        assert!(there.payload["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{there:?}");
        assert_eq!(back.kind, "storage.provider.recovered");
        assert_eq!(back.payload, json!({ "provider": "home", "from": "away" }));
    }
    scene.storage.close().await;
    assert_eq!(switches.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_does_not_fail_with_the_event_of_its_switch() {
    let scene = Scene::new().await;
    let _home = broken(&scene, "home");
    let unwritten = failpoint::arm(scene.dir.path(), "switch.before_event", Action::Io);
    scene.put("a", &bytes(100_000, 1)).await.unwrap();
    unwritten.reached(1).await;
    assert_eq!(scene.get("a").await.unwrap(), bytes(100_000, 1));
    scene.audit([0, 1]).await;
    assert_eq!(switches(&scene).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_is_told_though_nobody_uploads() {
    let scene = Scene::new().await;
    let home = broken(&scene, "home");
    scene.put("a", &bytes(100_000, 1)).await.unwrap();
    assert_eq!(until(&scene, 1).await.len(), 1);
    let checks = HealthChecks::start(&scene.storage);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(switches(&scene).await.len(), 1, "it is not back");
    drop(home);
    scene.storage.probe_active().await.unwrap();
    let told = until_within(&scene, 2, Duration::from_secs(20)).await;
    assert_eq!(told[1].kind, "storage.provider.recovered");
    assert_eq!(told[1].payload, json!({ "provider": "home", "from": "away" }));
    // The next upload has nothing more to tell.
    scene.put("b", &bytes(100_000, 2)).await.unwrap();
    checks.stop().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(switches(&scene).await.len(), 2);
}
