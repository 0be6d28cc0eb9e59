//! Jobs: made in somebody's name, claimed by one runner at a time, saved, ended, cancelled, seen by whom they concern.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::subject::{Subject, allow, anon, maintain, service, user};
use crate::errors::StorageError;
use crate::executor::{
    ClaimedJob, Job, JobEnd, JobError, JobKind, JobListing, JobProgress, JobStatus, NewJob,
};
use crate::permissions::{Access, AccessRules, Operation, RlsContext};

const LEASE: Duration = Duration::from_secs(60);

/// All that a runner may be good for.
const KINDS: &[JobKind] = &JobKind::ALL;

fn new_job(dry_run: bool) -> NewJob {
    let params = json!({ "bucket": "photos", "prefix": "ü/" });
    let Value::Object(params) = params else { unreachable!() };
    NewJob { id: Uuid::now_v7(), kind: JobKind::DeleteFolder, params, dry_run }
}

async fn create(subject: &Subject, caller: &RlsContext) -> Job {
    let access = allow(caller, Operation::ChangeJobs);
    subject.executor.create_job(&access, &new_job(false)).await.unwrap()
}

async fn show(subject: &Subject, caller: &RlsContext, id: Uuid) -> Result<Job, StorageError> {
    subject.executor.job(&allow(caller, Operation::ReadJobs), id).await
}

async fn cancel(subject: &Subject, caller: &RlsContext, id: Uuid) -> Result<Job, StorageError> {
    subject.executor.cancel_job(&allow(caller, Operation::ChangeJobs), id).await
}

async fn claim(subject: &Subject, worker: Uuid, lease: Duration) -> Option<ClaimedJob> {
    subject.executor.claim_job(&maintain(), worker, KINDS, lease).await.unwrap()
}

fn progress(done: u64) -> JobProgress {
    let mut progress =
        JobProgress { state: json!({ "after": "ü/7" }), total: Some(9), ..Default::default() };
    for _ in 0..done {
        progress.did(10);
    }
    progress.failed("ü/x", &StorageError::internal("no"));
    progress.report.counts.insert("skipped".to_owned(), 3.into());
    progress
}

pub(crate) async fn a_job_is_made_claimed_saved_and_ended(subject: &Subject) {
    let on = &subject.executor;
    let claims = json!({ "team": "red", "nested": { "ü": [1, null] } });
    let Value::Object(claims) = claims else { unreachable!() };
    let owner = RlsContext::user(Uuid::new_v4(), claims.clone(), "test");
    let new = new_job(true);
    let made = on.create_job(&allow(&owner, Operation::ChangeJobs), &new).await.unwrap();
    assert_eq!((made.id, made.kind, made.user_id), (new.id, new.kind, owner.user_id()));
    assert_eq!((made.status, made.dry_run, &made.params), (JobStatus::Pending, true, &new.params));
    assert_eq!((made.done, made.bytes, made.total, made.failures, made.attempts), (0, 0, None, 0, 0));
    assert!(made.started_at.is_none() && made.completed_at.is_none() && made.error.is_none());
    assert!(!made.cancel_requested);
    assert_eq!(show(subject, &owner, made.id).await.unwrap(), made);

    // Nothing is taken by who is good for nothing.
    assert!(on.claim_job(&maintain(), Uuid::new_v4(), &[], LEASE).await.unwrap().is_none());
    let worker = Uuid::new_v4();
    let claimed = claim(subject, worker, LEASE).await.unwrap();
    assert_eq!((claimed.job.id, claimed.job.status, claimed.job.attempts), (made.id, JobStatus::Running, 1));
    assert!(claimed.job.started_at.is_some());
    assert_eq!(claimed.progress, JobProgress::default());
    let caller = &claimed.caller;
    assert_eq!((caller.user_id(), caller.role(), caller.claims()), (owner.user_id(), owner.role(), &claims));
    assert!(claim(subject, Uuid::new_v4(), LEASE).await.is_none());

    let saved = progress(2);
    assert_eq!(on.save_job(&maintain(), worker, made.id, &saved, LEASE).await.unwrap(), Some(false));
    let shown = show(subject, &owner, made.id).await.unwrap();
    assert_eq!((shown.done, shown.bytes, shown.total, shown.failures), (2, 20, Some(9), 1));
    assert_eq!((&shown.report, shown.attempts), (&saved.report, 0));

    let done = progress(3);
    let ended = on.end_job(&maintain(), worker, made.id, &JobEnd::Completed, &done).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.done, ended.error.as_ref()), (JobStatus::Completed, 3, None));
    assert!(ended.completed_at.is_some());
    assert_eq!(show(subject, &owner, made.id).await.unwrap(), ended);
    assert!(on.end_job(&maintain(), worker, made.id, &JobEnd::Completed, &done).await.unwrap().is_none());
    assert!(claim(subject, worker, Duration::ZERO).await.is_none());

    // One that fails says why; the service role's own runs as the service role.
    let made = create(subject, &service()).await;
    let claimed = claim(subject, worker, LEASE).await.unwrap();
    assert!(claimed.caller.is_service() && claimed.job.user_id.is_none());
    let end = JobEnd::Failed(JobError::from(&StorageError::internal("no")));
    let ended = on.end_job(&maintain(), worker, made.id, &end, &claimed.progress).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.error.unwrap().code.as_str()), (JobStatus::Failed, "INTERNAL"));
}

pub(crate) async fn workers_share_jobs_and_none_is_twos(subject: &Subject) {
    const JOBS: usize = 40;
    let mut made = Vec::new();
    for _ in 0..JOBS {
        made.push(create(subject, &user()).await.id);
    }
    let first = claim(subject, Uuid::new_v4(), LEASE).await.unwrap();
    assert_eq!(first.job.id, made[0], "the oldest first");
    let workers = (0..4).map(async |_| {
        let (worker, mut taken, mut misses) = (Uuid::new_v4(), Vec::new(), 0);
        // A claim may find that the one which is due is being looked at by another.
        while misses < 20 {
            match claim(subject, worker, LEASE).await {
                Some(claimed) => taken.push(claimed.job.id),
                None => misses += 1,
            }
        }
        taken
    });
    let taken: Vec<Uuid> = join_all(workers).await.into_iter().flatten().collect();
    assert_eq!(taken.len(), JOBS - 1, "each was taken");
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), taken.len(), "and none twice");
    a_user_has_one_running(subject).await;
}

async fn a_user_has_one_running(subject: &Subject) {
    let (owner, worker) = (user(), Uuid::new_v4());
    let (first, second) = (create(subject, &owner).await.id, create(subject, &owner).await.id);
    let other = create(subject, &user()).await.id;
    let services = [create(subject, &service()).await.id, create(subject, &service()).await.id];
    for id in [first, other, services[0], services[1]] {
        let claimed = claim(subject, worker, LEASE).await.unwrap();
        assert_eq!(claimed.job.id, id, "a user's second one is passed over");
    }
    assert!(claim(subject, worker, LEASE).await.is_none());
    let end = JobEnd::Completed;
    subject.executor.end_job(&maintain(), worker, first, &end, &progress(1)).await.unwrap().unwrap();
    assert_eq!(claim(subject, worker, LEASE).await.unwrap().job.id, second);
}

pub(crate) async fn a_jobs_claim_ends_by_itself(subject: &Subject) {
    let on = &subject.executor;
    let id = create(subject, &user()).await.id;
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    claim(subject, first, Duration::ZERO).await.unwrap();
    // Nobody took it yet: it can be renewed.
    assert_eq!(on.renew_job(&maintain(), first, id, LEASE).await.unwrap(), Some(false));
    assert!(claim(subject, second, LEASE).await.is_none());
    assert_eq!(on.save_job(&maintain(), first, id, &progress(2), Duration::ZERO).await.unwrap(), Some(false));
    // It ended: the next one goes on where the last step was written down.
    let again = claim(subject, second, LEASE).await.unwrap();
    assert_eq!((again.job.id, again.job.attempts, &again.progress), (id, 1, &progress(2)));
    // Who has lost it changes nothing any more.
    assert_eq!(on.renew_job(&maintain(), first, id, LEASE).await.unwrap(), None);
    assert_eq!(on.save_job(&maintain(), first, id, &progress(5), LEASE).await.unwrap(), None);
    assert_eq!(on.end_job(&maintain(), first, id, &JobEnd::Completed, &progress(5)).await.unwrap(), None);
    assert_eq!(show(subject, &service(), id).await.unwrap().done, 2);
    // Given back, it is anybody's at once, and that was no attempt.
    let back = on.end_job(&maintain(), second, id, &JobEnd::GivenBack, &progress(4)).await.unwrap().unwrap();
    assert_eq!((back.status, back.attempts, back.completed_at), (JobStatus::Pending, 0, None));
    let third = claim(subject, first, LEASE).await.unwrap();
    assert_eq!((third.progress, third.job.attempts), (progress(4), 1));
    assert_eq!(third.job.started_at, again.job.started_at);
}

pub(crate) async fn jobs_without_progress_are_given_up(subject: &Subject) {
    let on = &subject.executor;
    let owner = user();
    let id = create(subject, &owner).await.id;
    for attempt in 1..=20 {
        let claimed = claim(subject, Uuid::new_v4(), Duration::ZERO).await.unwrap();
        assert_eq!(claimed.job.attempts, attempt);
    }
    let next = create(subject, &owner).await.id;
    let worker = Uuid::new_v4();
    assert_eq!(claim(subject, worker, LEASE).await.unwrap().job.id, next, "it stands in nobody's way");
    let given_up = show(subject, &owner, id).await.unwrap();
    assert_eq!((given_up.status, given_up.error.unwrap().code.as_str()), (JobStatus::Failed, "INTERNAL"));
    // Progress makes up for all claims before it.
    on.save_job(&maintain(), worker, next, &progress(1), Duration::ZERO).await.unwrap();
    for _ in 0..20 {
        assert_eq!(claim(subject, worker, Duration::ZERO).await.unwrap().job.id, next);
    }
}

pub(crate) async fn jobs_are_cancelled(subject: &Subject) {
    let on = &subject.executor;
    let owner = user();
    // One that waits ends at once, and may be cancelled again.
    let id = create(subject, &owner).await.id;
    for _ in 0..2 {
        let cancelled = cancel(subject, &owner, id).await.unwrap();
        assert_eq!((cancelled.status, cancelled.cancel_requested), (JobStatus::Cancelled, true));
        assert!(cancelled.completed_at.is_some());
    }
    assert!(claim(subject, Uuid::new_v4(), LEASE).await.is_none());
    // One that runs is told when it next says something.
    let (id, worker) = (create(subject, &owner).await.id, Uuid::new_v4());
    claim(subject, worker, LEASE).await.unwrap();
    let cancelled = cancel(subject, &service(), id).await.unwrap();
    assert_eq!((cancelled.status, cancelled.cancel_requested), (JobStatus::Running, true));
    assert_eq!(on.renew_job(&maintain(), worker, id, LEASE).await.unwrap(), Some(true));
    assert_eq!(on.save_job(&maintain(), worker, id, &progress(1), LEASE).await.unwrap(), Some(true));
    let ended = on.end_job(&maintain(), worker, id, &JobEnd::Cancelled, &progress(1)).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.done), (JobStatus::Cancelled, 1));
    // One that is given back is not begun again.
    let id = create(subject, &owner).await.id;
    claim(subject, worker, LEASE).await.unwrap();
    cancel(subject, &owner, id).await.unwrap();
    let ended = on.end_job(&maintain(), worker, id, &JobEnd::GivenBack, &progress(1)).await.unwrap().unwrap();
    assert_eq!(ended.status, JobStatus::Cancelled);
    // One whose runner is gone tells the next.
    let id = create(subject, &owner).await.id;
    claim(subject, worker, Duration::ZERO).await.unwrap();
    cancel(subject, &owner, id).await.unwrap();
    assert!(claim(subject, Uuid::new_v4(), Duration::ZERO).await.unwrap().job.cancel_requested);
    // What is done is done.
    let worker = Uuid::new_v4();
    let claimed = claim(subject, worker, LEASE).await.unwrap();
    on.end_job(&maintain(), worker, id, &JobEnd::Completed, &claimed.progress).await.unwrap().unwrap();
    assert!(matches!(cancel(subject, &owner, id).await, Err(StorageError::JobEnded { job }) if job == id));
}

pub(crate) async fn jobs_are_their_callers_and_the_service_roles(subject: &Subject) {
    let (owner, other) = (user(), user());
    let own = create(subject, &owner).await.id;
    let services = create(subject, &service()).await.id;
    let in_name_of = RlsContext::service(owner.user_id(), Map::new(), "test");
    let named = create(subject, &in_name_of).await.id;
    let on = &subject.executor;
    let seen = async |caller: &RlsContext| {
        let listing = JobListing { limit: 10, ..Default::default() };
        let jobs = on.jobs(&allow(caller, Operation::ReadJobs), &listing).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(seen(&owner).await, [own], "the service role's is no user's, whatever its token says");
    assert_eq!(seen(&other).await, [] as [Uuid; 0]);
    assert_eq!(seen(&service()).await, [named, services, own]);
    for (caller, id) in [(&other, own), (&owner, services), (&owner, named), (&other, Uuid::now_v7())] {
        let missing = |outcome: Result<Job, StorageError>| {
            assert!(matches!(outcome, Err(StorageError::JobNotFound { job }) if job == id), "{outcome:?}");
        };
        missing(show(subject, caller, id).await);
        missing(cancel(subject, caller, id).await);
    }
    assert_eq!(show(subject, &service(), services).await.unwrap().status, JobStatus::Pending);
    // Anon has none, and asks for none.
    for operation in [Operation::ReadJobs, Operation::ChangeJobs] {
        let refused = Access::check(&anon(), operation, None, AccessRules::default());
        assert!(matches!(refused, Err(StorageError::AuthRequired(_))), "{operation:?}");
    }
    // What runners do is the service role's.
    let access = allow(&owner, Operation::ChangeJobs);
    let worker = Uuid::new_v4();
    assert!(on.claim_job(&access, worker, KINDS, LEASE).await.is_err());
    assert!(on.renew_job(&access, worker, own, LEASE).await.is_err());
    assert!(on.save_job(&access, worker, own, &progress(1), LEASE).await.is_err());
    assert!(on.end_job(&access, worker, own, &JobEnd::Completed, &progress(1)).await.is_err());
    assert!(on.forget_jobs(&access, Duration::ZERO, 10).await.is_err());
}

pub(crate) async fn lists_of_jobs_are_in_pages(subject: &Subject) {
    let owner = user();
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, create(subject, &owner).await.id);
    }
    cancel(subject, &owner, made[2]).await.unwrap();
    for caller in [&owner, &service()] {
        let list = async |listing: JobListing| {
            let jobs = subject.executor.jobs(&allow(caller, Operation::ReadJobs), &listing).await.unwrap();
            jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
        };
        let page = JobListing { limit: 2, ..Default::default() };
        assert_eq!(list(page.clone()).await, made[..2]);
        assert_eq!(list(JobListing { before: Some(made[1]), ..page.clone() }).await, made[2..4]);
        assert_eq!(list(JobListing { before: Some(made[4]), ..page.clone() }).await, [] as [Uuid; 0]);
        let cancelled = JobListing { status: Some(JobStatus::Cancelled), limit: 9, ..Default::default() };
        assert_eq!(list(cancelled.clone()).await, [made[2]]);
        let kind = JobListing { kind: Some(JobKind::DeleteFolder), ..cancelled };
        assert_eq!(list(kind.clone()).await, [made[2]]);
        assert_eq!(list(JobListing { before: Some(made[2]), ..kind }).await, [] as [Uuid; 0]);
    }
}

pub(crate) async fn a_caller_has_a_number_of_unfinished_jobs(subject: &Subject) {
    let owner = user();
    let mut last = Uuid::nil();
    for _ in 0..100 {
        last = create(subject, &owner).await.id;
    }
    let access = allow(&owner, Operation::ChangeJobs);
    let refused = subject.executor.create_job(&access, &new_job(false)).await;
    assert!(matches!(refused, Err(StorageError::TooManyJobs { limit: 100 })), "{refused:?}");
    // Others have their own number, and an end makes room.
    create(subject, &user()).await;
    create(subject, &service()).await;
    cancel(subject, &owner, last).await.unwrap();
    create(subject, &owner).await;
}

pub(crate) async fn old_jobs_are_forgotten(subject: &Subject) {
    let on = &subject.executor;
    let owner = user();
    let (ended, waits) = (create(subject, &owner).await.id, create(subject, &owner).await.id);
    cancel(subject, &owner, ended).await.unwrap();
    assert_eq!(on.forget_jobs(&maintain(), LEASE, 10).await.unwrap(), 0, "not yet");
    assert_eq!(on.forget_jobs(&maintain(), Duration::ZERO, 10).await.unwrap(), 1);
    assert!(matches!(show(subject, &owner, ended).await, Err(StorageError::JobNotFound { .. })));
    assert!(show(subject, &owner, waits).await.is_ok());
}
