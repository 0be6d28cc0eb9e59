//! What was answered is there after a crash, and user quotas hold.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use super::open_at;
use crate::bucket::BucketPolicy;
use crate::errors::StorageError;
use crate::executor::conformance::Subject;
use crate::executor::conformance::subject::{allow, bucket, maintain, path, service, user};
use crate::executor::sqlite::rls::text;
use crate::executor::{Announced, JobKind, JobProgress, NewJob};
use crate::file::PutMode;
use crate::permissions::Operation;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let owner = user();
    let subject = Subject::new(Arc::new(open_at(dir.path())), ());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let names: Vec<_> = (0..200).map(|n| format!("f{n}")).collect();
    let writes = names.iter().map(|at| subject.put(&owner, (&made, at), at.as_bytes(), PutMode::Create));
    assert!(join_all(writes).await.iter().all(Result::is_ok));
    // The disk as a crash would leave it: nothing closed, the log not moved, no shared memory.
    for file in ["test.db", "test.db-wal"] {
        std::fs::copy(dir.path().join(file), crashed.path().join(file)).unwrap();
    }
    let again = Subject::new(Arc::new(open_at(crashed.path())), ());
    for at in &names {
        assert_eq!(again.get(&owner, "photos", at).await.unwrap().size, at.len() as u64);
    }
    assert_eq!(again.shown("photos").await.file_count, 200);
    again.recount().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_that_is_dropped_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let owner = user();
    let subject = Subject::new(Arc::new(open_at(dir.path())), ());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    drop(subject);
    let again = Subject::new(Arc::new(open_at(dir.path())), ());
    assert!(again.get(&owner, "photos", "a").await.is_ok());
}

/// A claim is as long as it likes by the clock that it was made by; that clock may have gone back meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_a_process_that_died_is_due_at_once() {
    const LEASE: Duration = Duration::from_secs(3600);
    let dir = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let subject = Subject::new(Arc::new(open_at(dir.path())), ());
    let job =
        NewJob { id: Uuid::now_v7(), kind: JobKind::Scrub, params: serde_json::Map::new(), dry_run: false };
    subject.executor.create_job(&allow(&service(), Operation::ChangeJobs), &job).await.unwrap();
    let claim = async |on: &Subject, worker| {
        on.executor.claim_job(&maintain(), worker, &JobKind::ALL, LEASE).await.unwrap()
    };
    let (dead, living) = (Uuid::new_v4(), Uuid::new_v4());
    assert_eq!(claim(&subject, dead).await.unwrap().job.id, job.id);
    for file in ["test.db", "test.db-wal"] {
        std::fs::copy(dir.path().join(file), crashed.path().join(file)).unwrap();
    }
    let again = Subject::new(Arc::new(open_at(crashed.path())), ());
    let claimed = claim(&again, living).await.unwrap();
    assert_eq!((claimed.job.id, claimed.job.attempts), (job.id, 2), "its death counts as an attempt");
    let save = async |worker| {
        again.executor.save_job(&maintain(), worker, job.id, &JobProgress::default(), LEASE).await.unwrap()
    };
    assert_eq!(save(dead).await, None);

    // A command that opens the database beside its server ends nothing of it.
    let beside = Subject::new(Arc::new(open_at(crashed.path())), ());
    assert!(claim(&beside, Uuid::new_v4()).await.is_none());
    assert_eq!(save(living).await, Some(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_quotas_are_never_overshot() {
    let dir = tempfile::tempdir().unwrap();
    let executor = Arc::new(open_at(dir.path()));
    let subject = Subject::new(executor.clone(), ());
    let (owner, writer) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    subject.put(&writer, (&made, "first"), &[0; 10], PutMode::Create).await.unwrap();
    let id = text(writer.user_id().unwrap());
    executor
        .writer
        .run("quota", move |conn| {
            Ok(conn.execute("UPDATE storage_usage SET quota_bytes = 100 WHERE user_id = ?1", [id])?)
        })
        .await
        .unwrap();
    let names: Vec<_> = (0..64).map(|n| format!("f{n}")).collect();
    let tries = names.iter().map(|at| subject.put(&writer, (&made, at), &[0; 8], PutMode::Create));
    let outcomes = join_all(tries).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 11);
    let refused = outcomes.iter().find_map(|o| o.as_ref().err()).unwrap();
    let StorageError::QuotaExceeded { scope, used, limit, requested, .. } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((*scope, *used, *limit, *requested), ("user", 98, 100, 8));
    // Others write on; an overwrite by another counts for the owner of the row.
    subject.put(&owner, (&made, "mine"), &[0; 500], PutMode::Create).await.unwrap();
    let over = subject.put(&owner, (&made, "first"), &[0; 50], PutMode::Upsert).await;
    assert!(matches!(over, Err(StorageError::QuotaExceeded { scope: "user", .. })), "{over:?}");
    let access = allow(&owner, Operation::Upload(&PutMode::Upsert));
    let left = subject
        .executor
        .admit_put(&access, &bucket("photos"), &path("first"), &PutMode::Upsert, &Announced::default())
        .await
        .unwrap()
        .quota_left
        .unwrap();
    assert_eq!((left.scope, left.used, left.returned), ("user", 98, 10));
    subject.recount().await;
}
