//! Jobs: long work that somebody asked for, and what its runners and its callers ask of the table of them.
//!
//! A job is done in steps, by whoever has the claim on it. After each step it is written down where it is, so that another
//! runner goes on there when the first one ends without a word. A step may therefore happen twice.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Timestamp;
use crate::errors::StorageError;
use crate::permissions::{Access, RlsContext};

/// Most failures that a report names; beyond them they are counted.
const MOST_FAILURES: usize = 100;

/// Claims in a row without progress after which a job is given up: whoever runs it does not live to say why.
pub(super) const MOST_ATTEMPTS: u32 = 20;

/// Unfinished jobs that a user may have at a time.
const MOST_OF_A_USER: u32 = 100;

/// The same of the service role without a user, which asks for everybody.
const MOST_OF_THE_SERVICE: u32 = 1000;

/// What a job does. Each kind has a file of its own below [`crate::upkeep`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Deletes what lies below a folder.
    DeleteFolder,
    /// Moves what lies below a folder to another one.
    MoveFolder,
    /// Copies what lies below a folder to another one.
    CopyFolder,
    /// Reads what is kept, compares it with its checksums, and repairs it where that is asked for.
    Scrub,
    /// Follows lifecycle rules.
    Lifecycle,
    /// Makes objects of files that were there before.
    Adopt,
}

impl JobKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::DeleteFolder, Self::MoveFolder, Self::CopyFolder, Self::Scrub, Self::Lifecycle, Self::Adopt];

    /// The word that rows and protocols have.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeleteFolder => "delete_folder",
            Self::MoveFolder => "move_folder",
            Self::CopyFolder => "copy_folder",
            Self::Scrub => "scrub",
            Self::Lifecycle => "lifecycle",
            Self::Adopt => "adopt",
        }
    }

    /// The kind of a word; `None` where there is none.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether there is one of its kind at a time, whoever asks. Of those, the last one is kept, too, so that it is known when it was.
    pub(super) fn is_alone(self) -> bool {
        match self {
            Self::DeleteFolder | Self::MoveFolder | Self::CopyFolder | Self::Lifecycle | Self::Adopt => false,
            Self::Scrub => true,
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a job is. What has ended stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// It waits for a runner.
    Pending,
    /// A runner has a claim on it.
    Running,
    /// It is done; what it could not do is in its report.
    Completed,
    /// It could not go on.
    Failed,
    /// Somebody ended it. What was done until then stays done.
    Cancelled,
}

impl JobStatus {
    /// All of them, in the order that a job meets them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// The word that rows and protocols have.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of a word; `None` where there is none.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing more becomes of it.
    pub fn is_ended(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A job as somebody asks for it. Whose it is, and with which claims it runs, is the access's.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// The identity that it will have: a version 7, as lists are in the order of identities.
    pub id: Uuid,
    /// What it does.
    pub kind: JobKind,
    /// To what. What stands in it is its kind's.
    pub params: Map<String, Value>,
    /// Whether it only looks what it would do.
    pub dry_run: bool,
}

impl NewJob {
    /// How many unfinished jobs its caller may have, this one not counted.
    pub(super) fn most_before(user: Option<Uuid>) -> u32 {
        if user.is_some() { MOST_OF_A_USER } else { MOST_OF_THE_SERVICE }
    }
}

/// A job as its caller sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its identity.
    pub id: Uuid,
    /// What it does.
    pub kind: JobKind,
    /// Who asked for it; `None` for the service itself.
    pub user_id: Option<Uuid>,
    /// To what.
    pub params: Map<String, Value>,
    /// Whether it only looks what it would do.
    pub dry_run: bool,
    /// How far it is.
    pub status: JobStatus,
    /// Whether somebody wants it to end before it is done.
    pub cancel_requested: bool,
    /// What it has done, or would do where it only looks: objects, mostly.
    pub done: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// How many there are in all, where that is known.
    pub total: Option<u64>,
    /// How many it could not do.
    pub failures: u64,
    /// Which ones and why, and what else its kind tells.
    pub report: JobReport,
    /// Why it could not go on.
    pub error: Option<JobError>,
    /// Claims in a row without progress.
    pub attempts: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was begun.
    pub started_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

impl Job {
    /// How far it has come, and where it goes on.
    pub(super) fn progress(&self, state: Value) -> JobProgress {
        JobProgress {
            state,
            done: self.done,
            bytes: self.bytes,
            total: self.total,
            failures: self.failures,
            report: self.report.clone(),
        }
    }
}

/// What a job tells besides its figures. Bounded, however much there is to tell.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct JobReport {
    /// The first failures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<JobFailure>,
    /// How many failures have which code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors_by_code: BTreeMap<String, u64>,
    /// What its kind counts, each by a name that kind gives it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub counts: Map<String, Value>,
}

/// Something that a job could not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFailure {
    /// What it was to be done to.
    pub path: String,
    /// Why not, for programs: as [`StorageError::code`] has it.
    pub code: String,
    /// Why not, for people.
    pub message: String,
}

/// Why a job could not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
}

impl From<&StorageError> for JobError {
    fn from(error: &StorageError) -> Self {
        Self { code: error.code().to_owned(), message: error.to_string() }
    }
}

/// How far a job has come: what is written down after each step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobProgress {
    /// Where it goes on: its kind's own words. Null at the beginning.
    pub state: Value,
    /// As [`Job::done`].
    pub done: u64,
    /// As [`Job::bytes`].
    pub bytes: u64,
    /// As [`Job::total`].
    pub total: Option<u64>,
    /// As [`Job::failures`].
    pub failures: u64,
    /// As [`Job::report`].
    pub report: JobReport,
}

impl JobProgress {
    /// Counts something that was done.
    pub fn did(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Counts something that could not be done, and names it where there is room.
    pub fn failed(&mut self, path: &str, error: &StorageError) {
        self.failures = self.failures.saturating_add(1);
        let code = error.code();
        let count = self.report.errors_by_code.entry(code.to_owned()).or_default();
        *count = count.saturating_add(1);
        if self.report.failures.len() < MOST_FAILURES {
            let (path, code, message) = (path.to_owned(), code.to_owned(), error.to_string());
            self.report.failures.push(JobFailure { path, code, message });
        }
    }
}

/// A job that a runner has a claim on, with what it takes to go on with it.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// The job, with this claim counted.
    pub job: Job,
    /// In whose name it runs, with the claims that they had when they asked.
    pub caller: RlsContext,
    /// Where the last step that was written down left it.
    pub progress: JobProgress,
}

/// How a job leaves its runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// It is done.
    Completed,
    /// It can't go on.
    Failed(JobError),
    /// Somebody wanted it to end.
    Cancelled,
    /// It waits for another runner, as this one stops. That is no attempt that failed.
    GivenBack,
}

/// Which jobs are asked for. The newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobListing {
    /// Only jobs of this status.
    pub status: Option<JobStatus>,
    /// Only jobs of this kind.
    pub kind: Option<JobKind>,
    /// Only those that come after this one in that order, which need not be there any more.
    pub before: Option<Uuid>,
    /// Jobs at most.
    pub limit: u32,
}

/// What keeps jobs. An [`Executor`](super::Executor) does, by the same rules: jobs are seen, and cancelled, by who asked for them and by
/// the service role; claimed and changed by the service role alone.
#[async_trait]
pub trait JobExecutor: Send + Sync {
    /// Writes a job down, to be run in the name of the access's caller.
    ///
    /// # Errors
    /// [`StorageError::TooManyJobs`]; [`StorageError::JobRunning`] where there is one of its kind at a time.
    async fn create_job(&self, access: &Access, job: &NewJob) -> Result<Job, StorageError>;

    /// A job that the caller may see.
    ///
    /// # Errors
    /// [`StorageError::JobNotFound`], also where it is somebody else's.
    async fn job(&self, access: &Access, id: Uuid) -> Result<Job, StorageError>;

    /// Jobs that the caller may see.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn jobs(&self, access: &Access, listing: &JobListing) -> Result<Vec<Job>, StorageError>;

    /// Takes the oldest job of these kinds that waits for a runner, or whose runner has not renewed its claim in time. One that had
    /// twenty runners without progress is given up instead. No job is two runners' at a time, and of a user's jobs that wait none is
    /// taken while another one of theirs runs.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn claim_job(
        &self,
        access: &Access,
        worker: Uuid,
        kinds: &[JobKind],
        lease: Duration,
    ) -> Result<Option<ClaimedJob>, StorageError>;

    /// Lengthens a runner's claim; whether somebody wants the job to end. `None` where the claim is lost.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn renew_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        lease: Duration,
    ) -> Result<Option<bool>, StorageError>;

    /// Writes down how far a job has come, and lengthens the claim; whether somebody wants the job to end. `None`, and nothing is
    /// written, where the claim is lost.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn save_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        progress: &JobProgress,
        lease: Duration,
    ) -> Result<Option<bool>, StorageError>;

    /// Ends a claim, and mostly the job; the job as it then is. One that is given back, and that somebody wants to end, ends.
    /// `None`, and nothing is written, where the claim is lost.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn end_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        end: &JobEnd,
        progress: &JobProgress,
    ) -> Result<Option<Job>, StorageError>;

    /// Ends a job that waits, and has one that runs end after its step. One that was cancelled stays as it is.
    ///
    /// # Errors
    /// [`StorageError::JobNotFound`], also where it is somebody else's; [`StorageError::JobEnded`].
    async fn cancel_job(&self, access: &Access, id: Uuid) -> Result<Job, StorageError>;

    /// Forgets up to `limit` jobs that ended at least so long ago, but for the last scrub. Gives their number.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn forget_jobs(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, StorageError>;
}

/// The caller of a job as its row has it.
pub(super) fn caller_to_json(context: &RlsContext) -> Value {
    let user = context.user_id().map(|user| user.hyphenated().to_string());
    serde_json::json!({ "role": context.role().as_str(), "user_id": user, "claims": context.claims() })
}

/// The caller that a job runs as; `None` where the row says nothing that makes sense.
pub(super) fn caller_of_json(mut caller: Value, job: Uuid) -> Option<RlsContext> {
    use crate::permissions::Role;
    let role = Role::from_claim(caller.get("role")?.as_str()?)?;
    let user = match caller.get("user_id")? {
        Value::Null => None,
        user => Some(Uuid::try_parse(user.as_str()?).ok()?),
    };
    let Value::Object(claims) = caller.get_mut("claims")?.take() else { return None };
    let request_id = format!("job {job}");
    match (role, user) {
        (Role::ServiceRole, user) => Some(RlsContext::service(user, claims, request_id)),
        (Role::Authenticated, Some(user)) => Some(RlsContext::user(user, claims, request_id)),
        // Nobody in particular has no jobs.
        (Role::Authenticated, None) | (Role::Anon, _) => None,
    }
}

/// What a job says that was given up with its last runner.
pub(super) fn given_up() -> JobError {
    let message = format!("{MOST_ATTEMPTS} runners ended one after the other without getting on with it");
    JobError { code: "INTERNAL".to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_bounded_and_counts_all_the_same() {
        let mut progress = JobProgress::default();
        for n in 0..1000 {
            progress.failed(&format!("p{n}"), &StorageError::internal("no"));
        }
        assert_eq!(progress.failures, 1000);
        assert_eq!(progress.report.failures.len(), MOST_FAILURES);
        assert_eq!(progress.report.errors_by_code["INTERNAL"], 1000);
        assert_eq!(progress.report.failures[0].message, "Internal error");
    }

    #[test]
    fn a_caller_comes_back_as_they_were_and_nonsense_is_nobody() {
        let claims = serde_json::json!({ "team": "red", "role": "authenticated" });
        let Value::Object(claims) = claims else { panic!() };
        let user = RlsContext::user(Uuid::from_u128(7), claims.clone(), "request");
        let again = caller_of_json(caller_to_json(&user), Uuid::nil()).unwrap();
        assert_eq!((again.role(), again.user_id(), again.claims()), (user.role(), user.user_id(), &claims));
        let service = RlsContext::service(None, Map::new(), "request");
        assert!(caller_of_json(caller_to_json(&service), Uuid::nil()).unwrap().is_service());
        for wrong in [
            serde_json::json!({}),
            caller_to_json(&RlsContext::anon("request")),
            serde_json::json!({ "role": "authenticated", "user_id": null, "claims": {} }),
            serde_json::json!({ "role": "root", "user_id": null, "claims": {} }),
            serde_json::json!({ "role": "service_role", "user_id": "x", "claims": {} }),
            serde_json::json!({ "role": "service_role", "user_id": null, "claims": 5 }),
        ] {
            assert!(caller_of_json(wrong.clone(), Uuid::nil()).is_none(), "{wrong}");
        }
    }
}
