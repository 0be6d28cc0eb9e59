//! What a scrub finds and tells; without `repair` it changes nothing.

use std::time::Duration;

use file_storage::executor::{JobKind, JobListing, JobStatus, ScrubScope};
use file_storage::failpoint::{self, Action};
use file_storage::storage::ScrubRequest;
use file_storage::{RlsContext, StorageError};

use super::scene::{Harm, Scene, bytes, count, findings, repair};
use crate::support::{anon, bucket, service, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_harm_is_found_and_left_where_nothing_good_is() {
    let scene = Scene::without_copies().await;
    for harm in Harm::ALL {
        scene.put(&format!("{harm:?}"), &bytes(50_000, 1)).await;
    }
    scene.put("good", &bytes(70_000, 2)).await;
    scene.put("small", b"inline").await;
    let clean = scene.scrub(&ScrubRequest::default()).await;
    assert_eq!((clean.done, clean.total, clean.failures), (5, Some(5), 0), "{clean:?}");
    assert_eq!((clean.bytes, count(&clean, "inline")), (270_006, 1));
    assert!(!clean.dry_run && findings(&clean).is_empty(), "it read for real");

    let mut expected = Vec::new();
    for harm in Harm::ALL {
        scene.harm(&format!("{harm:?}"), "home", harm).await;
        expected.push((format!("{harm:?}"), "home".to_owned(), harm.problem().to_owned(), false));
    }
    expected.sort();
    let names: Vec<_> = Harm::ALL.iter().map(|harm| format!("{harm:?}")).collect();
    for request in [ScrubRequest::default(), repair()] {
        let job = scene.scrub(&request).await;
        assert_eq!(findings(&job), expected, "{job:?}");
        assert_eq!((job.failures, count(&job, "left"), count(&job, "mismatch")), (4, 4, 3));
        assert_eq!((count(&job, "missing"), count(&job, "repaired"), count(&job, "skipped")), (1, 0, 0));
        // The only one there is stays, as it is.
        assert_eq!(scene.files("home"), 4);
        for name in &names {
            assert_eq!(scene.blobs(name, "home").await.len(), 1, "{name}");
        }
    }
    assert_eq!(scene.get("good").await.unwrap(), bytes(70_000, 2));
    scene.upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_is_all_that_is_read() {
    let scene = Scene::without_copies().await;
    scene.put("a", &bytes(50_000, 1)).await;
    scene.put("small", b"inline").await;
    scene.harm("a", "home", Harm::Flip).await;
    let scope = |provider: Option<&str>, of: Option<&str>| ScrubRequest {
        scope: ScrubScope { provider: provider.map(Into::into), bucket: of.map(bucket) },
        repair: false,
    };
    let done = async |request: ScrubRequest| {
        let job = scene.scrub(&request).await;
        (job.done, count(&job, "inline"), count(&job, "left"))
    };
    assert_eq!(done(scope(Some("home"), None)).await, (1, 0, 1));
    assert_eq!(done(scope(Some("away"), None)).await, (0, 0, 0));
    assert_eq!(done(scope(None, Some("box"))).await, (1, 1, 1));
    let other = bucket("other");
    scene.storage.create_bucket(&user(1), &other, &Default::default()).await.unwrap();
    assert_eq!(done(scope(None, Some("other"))).await, (0, 0, 0));
    let asked = async |request| scene.storage.start_scrub(&service(), &request).await.unwrap_err().code();
    assert_eq!(asked(scope(Some("nowhere"), None)).await, "PROVIDER_NOT_FOUND");
    assert_eq!(asked(scope(None, Some("missing"))).await, "BUCKET_NOT_FOUND");
    scene.upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrubs_are_the_service_roles_and_one_at_a_time() {
    let scene = Scene::without_copies().await;
    scene.put("a", &bytes(50_000, 1)).await;
    let asked = async |who: &RlsContext| scene.storage.start_scrub(who, &repair()).await;
    assert!(matches!(asked(&user(1)).await.unwrap_err(), StorageError::Unauthorized(_)));
    assert!(matches!(asked(&anon()).await.unwrap_err(), StorageError::AuthRequired(_)));

    let paused = failpoint::arm(scene.dir.path(), "scrub.read", Action::Pause);
    let first = asked(&service()).await.unwrap();
    paused.reached(1).await;
    let refused = asked(&service()).await.unwrap_err();
    assert!(matches!(refused, StorageError::JobRunning { job } if job == first.id), "{refused:?}");
    scene.storage.cancel_job(&service(), first.id).await.unwrap();
    paused.release();
    assert_eq!(scene.until_ended(first.id).await.status, JobStatus::Cancelled);
    scene.scrub(&repair()).await;
    // Nobody else is told of it.
    let listing = JobListing { kind: Some(JobKind::Scrub), limit: 10, ..JobListing::default() };
    assert_eq!(scene.storage.jobs(&service(), &listing).await.unwrap().len(), 2);
    assert!(scene.storage.jobs(&user(1), &listing).await.unwrap().is_empty());
    let hidden = scene.storage.job(&user(1), first.id).await.unwrap_err();
    assert_eq!(hidden.code(), "JOB_NOT_FOUND");
    scene.upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_not_well_is_no_finding() {
    let scene = Scene::with_copies().await;
    for name in ["a", "b"] {
        scene.put(name, &bytes(50_000, 1)).await;
    }
    scene.until_copied().await;
    // The disk is not mounted any more: what was in it is not there, and nothing can be written.
    let (there, gone) = (scene.dir.path().join("home"), scene.dir.path().join("gone"));
    std::fs::rename(&there, &gone).unwrap();
    std::fs::write(&there, "no directory").unwrap();
    for request in [ScrubRequest::default(), repair()] {
        let job = scene.scrub(&request).await;
        assert_eq!(findings(&job), [], "{job:?}");
        assert_eq!((job.done, count(&job, "skipped"), job.failures), (2, 2, 2), "{job:?}");
        assert_eq!(job.report.failures.len(), 2);
    }
    std::fs::remove_file(&there).unwrap();
    std::fs::rename(&gone, &there).unwrap();
    let job = scene.scrub(&repair()).await;
    assert_eq!((job.done, job.failures), (4, 0), "{job:?}");
    scene.until_files(2, 2).await;
    scene.upkeep.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_begins_by_itself_as_often_as_it_was_asked_for() {
    let scene = Scene::scrubbed_every(Duration::from_secs(2)).await;
    scene.put("a", &bytes(50_000, 1)).await;
    scene.harm("a", "home", Harm::Flip).await;
    let listing = JobListing { kind: Some(JobKind::Scrub), limit: 10, ..JobListing::default() };
    let mut jobs = Vec::new();
    for _ in 0..600 {
        jobs = scene.storage.jobs(&service(), &listing).await.unwrap();
        if jobs.len() >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    jobs.sort_by_key(|job| job.created_at);
    for pair in jobs.windows(2) {
        assert!(pair[1].created_at - pair[0].created_at >= chrono::TimeDelta::seconds(2), "{jobs:?}");
    }
    // It tells, and repairs nothing.
    let [_, second, _] = &jobs[..] else { panic!("{jobs:?}") };
    assert_eq!((second.status, count(second, "left"), second.failures), (JobStatus::Completed, 1, 1));
    scene.upkeep.stop().await;
}
