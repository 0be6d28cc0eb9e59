//! Jobs.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{WatchedExecutor, asked, settings};
use crate::audit::{Action, Entry};
use crate::errors::StorageError;
use crate::executor::{ClaimedJob, Job, JobEnd, JobExecutor, JobKind, JobListing, JobProgress, NewJob};
use crate::permissions::Access;

#[async_trait]
impl JobExecutor for WatchedExecutor {
    async fn create_job(&self, access: &Access, job: &NewJob) -> Result<Job, StorageError> {
        let entry = Entry::of(access, Action::Create)
            .subject(format!("job {} ({})", job.id, job.kind.as_str()))
            .settings(settings::of_job(job));
        self.change(entry, asked("create_job", self.inner.create_job(access, job)), |_, entry| Some(entry))
            .await
    }

    async fn job(&self, access: &Access, id: Uuid) -> Result<Job, StorageError> {
        let entry = || Entry::of(access, Action::Read).subject(format!("job {id}"));
        self.read(access, entry, asked("job", self.inner.job(access, id)), |_, entry| Some(entry)).await
    }

    async fn jobs(&self, access: &Access, listing: &JobListing) -> Result<Vec<Job>, StorageError> {
        let entry = || Entry::of(access, Action::List).subject("jobs");
        self.read(access, entry, asked("jobs", self.inner.jobs(access, listing)), |_, entry| Some(entry))
            .await
    }

    async fn claim_job(
        &self,
        access: &Access,
        worker: Uuid,
        kinds: &[JobKind],
        lease: Duration,
    ) -> Result<Option<ClaimedJob>, StorageError> {
        asked("claim_job", self.inner.claim_job(access, worker, kinds, lease)).await
    }

    async fn renew_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        lease: Duration,
    ) -> Result<Option<bool>, StorageError> {
        asked("renew_job", self.inner.renew_job(access, worker, id, lease)).await
    }

    async fn save_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        progress: &JobProgress,
        lease: Duration,
    ) -> Result<Option<bool>, StorageError> {
        asked("save_job", self.inner.save_job(access, worker, id, progress, lease)).await
    }

    async fn end_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        end: &JobEnd,
        progress: &JobProgress,
    ) -> Result<Option<Job>, StorageError> {
        asked("end_job", self.inner.end_job(access, worker, id, end, progress)).await
    }

    async fn cancel_job(&self, access: &Access, id: Uuid) -> Result<Job, StorageError> {
        let entry = Entry::of(access, Action::Change).subject(format!("job {id}, cancelled"));
        self.change(entry, asked("cancel_job", self.inner.cancel_job(access, id)), |_, entry| Some(entry))
            .await
    }

    async fn forget_jobs(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, StorageError> {
        asked("forget_jobs", self.inner.forget_jobs(access, older_than, limit)).await
    }
}
