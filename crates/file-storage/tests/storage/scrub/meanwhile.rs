//! What applications and operators do while a scrub reads is no finding.

use std::sync::Arc;
use std::time::Duration;

use file_storage::failpoint::{self, Action};
use file_storage::storage::{MigrationRequest, ScrubRequest};

use super::scene::{Harm, Scene, bytes, count, findings, repair};
use crate::support::service;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_between_the_page_and_its_reading_is_no_finding() {
    let scene = Scene::without_copies().await;
    for name in ["deleted", "overwritten", "moved", "stays"] {
        scene.put(name, &bytes(50_000, 1)).await;
    }
    let paused = failpoint::arm(scene.dir.path(), "scrub.page_read", Action::Pause);
    let job = scene.storage.start_scrub(&service(), &repair()).await.unwrap();
    paused.reached(1).await;
    scene.delete("deleted").await;
    scene.put("overwritten", &bytes(40_000, 2)).await;
    scene.storage.migrate_provider(&service(), &MigrationRequest::new("home", "away")).await.unwrap();
    scene.until_copied().await;
    scene.until_files(0, 3).await;
    paused.release();
    let job = scene.until_ended(job.id).await;
    assert_eq!((findings(&job), job.failures), (vec![], 0), "{job:?}");
    assert_eq!(scene.get("overwritten").await.unwrap(), bytes(40_000, 2));
    scene.upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrubs_amid_writes_deletions_and_moves_find_what_is_bad_alone() {
    let scene = Arc::new(Scene::with_copies().await);
    scene.put("bad", &bytes(60_000, 9)).await;
    scene.until_copied().await;
    scene.harm("bad", "away", Harm::Flip).await;
    let writing = tokio::spawn({
        let scene = scene.clone();
        async move {
            for round in 0..6_u8 {
                for at in 0..20 {
                    scene.put(&format!("file-{at}"), &bytes(20_000 + usize::from(round), round)).await;
                    if at % 3 == 0 {
                        scene.delete(&format!("file-{at}")).await;
                    }
                }
                let (from, to) = if round % 2 == 0 { ("home", "away") } else { ("away", "home") };
                scene.storage.migrate_provider(&service(), &MigrationRequest::new(from, to)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
    let mut scrubs = 0;
    while !writing.is_finished() {
        let job = scene.scrub(&ScrubRequest::default()).await;
        for (path, ..) in findings(&job) {
            assert_eq!(path, "bad", "{job:?}");
        }
        assert_eq!(count(&job, "skipped"), 0, "{job:?}");
        scrubs += 1;
    }
    writing.await.unwrap();
    assert!(scrubs > 0);
    scene.until_copied().await;
    scene.scrub(&repair()).await;
    let clean = scene.scrub(&repair()).await;
    assert_eq!(findings(&clean), [], "{clean:?}");
    assert_eq!(scene.get("bad").await.unwrap(), bytes(60_000, 9));
    scene.upkeep.stop().await;
}
