//! Jobs as their callers see them. What runs them is [`crate::upkeep`]'s.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::FileStorage;
use crate::errors::StorageError;
use crate::executor::{Job, JobKind, JobListing, NewJob};
use crate::permissions::{Operation, RlsContext};

impl FileStorage {
    /// Writes down what is to be done, in the name of the caller and with the claims that they have now, and answers before it is
    /// done. Whether they may ask for it, the caller of this says: each kind has a method of its own that does.
    ///
    /// # Errors
    /// A denial for anon, and [`StorageError::TooManyJobs`].
    pub(crate) async fn start_job(
        &self,
        context: &RlsContext,
        kind: JobKind,
        params: Map<String, Value>,
        dry_run: bool,
    ) -> Result<Job, StorageError> {
        let access = self.access(context, Operation::ChangeJobs, None).await?;
        let new = NewJob { id: Uuid::now_v7(), kind, params, dry_run };
        let job = self.executor().create_job(&access, &new).await?;
        let user_id = job.user_id.map(tracing::field::display);
        tracing::info!(job = %job.id, kind = %job.kind, user_id, dry_run, "Job asked for");
        self.job_was_asked_for();
        Ok(job)
    }

    /// Wakes who runs jobs.
    pub(super) fn job_was_asked_for(&self) {
        self.inner.jobs_changed.notify_one();
    }

    /// A job of the caller's own; any for the service role.
    ///
    /// # Errors
    /// A denial for anon; [`StorageError::JobNotFound`], also where it is somebody else's.
    pub async fn job(&self, context: &RlsContext, id: Uuid) -> Result<Job, StorageError> {
        let access = self.access(context, Operation::ReadJobs, None).await?;
        self.executor().job(&access, id).await
    }

    /// The caller's own jobs, the newest first; everybody's for the service role.
    ///
    /// # Errors
    /// A denial for anon, and those of the database.
    pub async fn jobs(&self, context: &RlsContext, listing: &JobListing) -> Result<Vec<Job>, StorageError> {
        let access = self.access(context, Operation::ReadJobs, None).await?;
        self.executor().jobs(&access, listing).await
    }

    /// Ends a job of the caller's own, or any for the service role: at once where it waits, else after the step that it is at. What it
    /// has done stays done.
    ///
    /// # Errors
    /// A denial for anon; [`StorageError::JobNotFound`], also where it is somebody else's; [`StorageError::JobEnded`].
    pub async fn cancel_job(&self, context: &RlsContext, id: Uuid) -> Result<Job, StorageError> {
        let access = self.access(context, Operation::ChangeJobs, None).await?;
        let job = self.executor().cancel_job(&access, id).await?;
        let user_id = context.user_id().map(tracing::field::display);
        tracing::info!(job = %id, kind = %job.kind, user_id, "Job cancelled");
        Ok(job)
    }

    /// Waits until somebody asks for a job here.
    pub(crate) async fn jobs_changed(&self) {
        self.inner.jobs_changed.notified().await;
    }
}
