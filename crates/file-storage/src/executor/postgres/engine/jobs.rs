//! What is asked of jobs, each sent to where it runs.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::errors::StorageError;
use crate::executor::postgres::session::retried;
use crate::executor::postgres::{PostgresExecutor, jobs};
use crate::executor::{ClaimedJob, Job, JobEnd, JobExecutor, JobKind, JobListing, JobProgress, NewJob};
use crate::permissions::Access;

#[async_trait]
impl JobExecutor for PostgresExecutor {
    async fn create_job(&self, access: &Access, job: &NewJob) -> Result<Job, StorageError> {
        let work = async { retried!(jobs::create(&self.pool, access, job)) };
        self.run("create_job", work).await
    }

    async fn job(&self, access: &Access, id: Uuid) -> Result<Job, StorageError> {
        self.run("job", jobs::show(&self.pool, access, id)).await
    }

    async fn jobs(&self, access: &Access, listing: &JobListing) -> Result<Vec<Job>, StorageError> {
        self.run("jobs", jobs::list(&self.pool, access, listing)).await
    }

    async fn claim_job(
        &self,
        access: &Access,
        worker: Uuid,
        kinds: &[JobKind],
        lease: Duration,
    ) -> Result<Option<ClaimedJob>, StorageError> {
        let work = async { retried!(jobs::claim(&self.pool, access, worker, kinds, lease)) };
        self.run("claim_job", work).await
    }

    async fn renew_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        lease: Duration,
    ) -> Result<Option<bool>, StorageError> {
        let work = async { retried!(jobs::renew(&self.pool, access, worker, id, lease)) };
        self.run("renew_job", work).await
    }

    async fn save_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        progress: &JobProgress,
        lease: Duration,
    ) -> Result<Option<bool>, StorageError> {
        let work = async { retried!(jobs::save(&self.pool, access, worker, id, progress, lease)) };
        self.run("save_job", work).await
    }

    async fn end_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        end: &JobEnd,
        progress: &JobProgress,
    ) -> Result<Option<Job>, StorageError> {
        let work = async { retried!(jobs::end(&self.pool, access, worker, id, end, progress)) };
        self.run("end_job", work).await
    }

    async fn cancel_job(&self, access: &Access, id: Uuid) -> Result<Job, StorageError> {
        let work = async { retried!(jobs::cancel(&self.pool, access, id)) };
        self.run("cancel_job", work).await
    }

    async fn forget_jobs(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, StorageError> {
        let work = async { retried!(jobs::forget(&self.pool, access, older_than, limit)) };
        self.run("forget_jobs", work).await
    }
}
