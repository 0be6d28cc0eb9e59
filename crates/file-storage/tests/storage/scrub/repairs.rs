//! What is bad is made anew from what is good, and never from anything else.

use file_storage::failpoint::{self, Action};

use super::scene::{Harm, Scene, bytes, count, findings, repair};
use crate::support::path;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_blobs_and_bad_copies_are_made_anew() {
    let scene = Scene::with_copies().await;
    let names: Vec<_> = ["home", "away"]
        .into_iter()
        .flat_map(|provider| Harm::ALL.map(|harm| (format!("{provider}-{harm:?}"), provider, harm)))
        .collect();
    for (name, ..) in &names {
        scene.put(name, &bytes(50_000, 3)).await;
    }
    scene.put("good", &bytes(50_000, 4)).await;
    scene.until_copied().await;
    scene.until_files(9, 9).await;
    let mut expected = Vec::new();
    for (name, provider, harm) in &names {
        scene.harm(name, provider, *harm).await;
        expected.push((name.clone(), (*provider).to_owned(), harm.problem().to_owned(), true));
    }
    expected.sort();
    let job = scene.scrub(&repair()).await;
    assert!(!job.dry_run);
    assert_eq!(findings(&job), expected, "{job:?}");
    assert_eq!((count(&job, "repaired"), count(&job, "left"), job.failures), (8, 0, 0), "{job:?}");
    let copies = job.report.counts["findings"].as_array().unwrap();
    assert_eq!(copies.iter().filter(|finding| finding["is_copy"] == true).count(), 4);

    // Each is where it was, good, and under another name; what was bad goes.
    let again = scene.scrub(&repair()).await;
    assert_eq!((again.done, again.total, findings(&again)), (18, Some(18), vec![]), "{again:?}");
    for (name, ..) in &names {
        assert_eq!(scene.get(name).await.unwrap(), bytes(50_000, 3), "{name}");
    }
    scene.until_files(9, 9).await;
    for name in names.iter().map(|(name, ..)| name.as_str()).chain(["good"]) {
        scene.delete(name).await;
    }
    scene.until_files(0, 0).await;
    scene.upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_nothing_good_is_left_as_it_is() {
    let scene = Scene::with_copies().await;
    for name in ["both", "one-is-gone"] {
        scene.put(name, &bytes(50_000, 3)).await;
    }
    scene.until_copied().await;
    scene.harm("both", "home", Harm::Flip).await;
    scene.harm("both", "away", Harm::Cut).await;
    scene.harm("one-is-gone", "home", Harm::Flip).await;
    scene.harm("one-is-gone", "away", Harm::Remove).await;
    let job = scene.scrub(&repair()).await;
    assert_eq!((findings(&job).len(), count(&job, "left"), count(&job, "repaired")), (4, 4, 0), "{job:?}");
    // What was written on the way to a repair that came to nothing is gone; what there is, stays.
    scene.until_files(2, 1).await;
    assert_eq!(scene.blobs("both", "away").await.len(), 1);
    scene.upkeep.stop().await;
}

/// Bytes of the object's blob are good, and rows agree, whatever step of a repair fails; the next scrub finishes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_that_fails_anywhere_leaves_what_was_there() {
    for point in ["scrub.written", "scrub.verified", "scrub.before_commit", "local.publish.sync"] {
        let scene = Scene::with_copies().await;
        scene.put("a", &bytes(50_000, 3)).await;
        scene.until_copied().await;
        scene.harm("a", "home", Harm::Flip).await;
        let armed = failpoint::arm_nth(scene.dir.path(), point, Action::Io, 1);
        let job = scene.storage.start_scrub(&crate::support::service(), &repair()).await.unwrap();
        let job = scene.until_ended(job.id).await;
        assert!(armed.hits() > 0, "{point}");
        drop(armed);
        let left = scene.blobs("a", "home").await;
        assert_eq!((left.len(), &left[0].path), (1, &path("a")), "{point}: {job:?}");
        let again = scene.scrub(&repair()).await;
        assert_eq!((count(&again, "repaired"), count(&again, "left")), (1, 0), "{point}: {again:?}");
        assert_eq!(scene.get("a").await.unwrap(), bytes(50_000, 3), "{point}");
        scene.until_files(1, 1).await;
        scene.upkeep.stop().await;
    }
}
