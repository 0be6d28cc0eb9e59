//! What is asked of jobs, each sent to where it runs. On a full disk, too, jobs are asked for and get on: some of them make room.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, jobs};
use crate::executor::{ClaimedJob, Job, JobEnd, JobExecutor, JobKind, JobListing, JobProgress, NewJob};
use crate::permissions::Access;

#[async_trait]
impl JobExecutor for SqliteExecutor {
    async fn create_job(&self, access: &Access, job: &NewJob) -> Result<Job, StorageError> {
        let (access, job) = (access.clone(), job.clone());
        self.writer.keep("create_job", move |conn| jobs::create(conn, &access, &job)).await
    }

    async fn job(&self, access: &Access, id: Uuid) -> Result<Job, StorageError> {
        self.read("job", |conn| jobs::show(conn, access, id))
    }

    async fn jobs(&self, access: &Access, listing: &JobListing) -> Result<Vec<Job>, StorageError> {
        let (access, listing) = (access.clone(), listing.clone());
        self.scan("jobs", move |conn| jobs::list(conn, &access, &listing)).await
    }

    async fn claim_job(
        &self,
        access: &Access,
        worker: Uuid,
        kinds: &[JobKind],
        lease: Duration,
    ) -> Result<Option<ClaimedJob>, StorageError> {
        let (access, kinds) = (access.clone(), kinds.to_vec());
        let claim = move |conn: &_| jobs::claim(conn, &access, worker, &kinds, lease);
        self.writer.free("claim_job", claim).await
    }

    async fn renew_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        lease: Duration,
    ) -> Result<Option<bool>, StorageError> {
        let access = access.clone();
        self.writer.free("renew_job", move |conn| jobs::renew(conn, &access, worker, id, lease)).await
    }

    async fn save_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        progress: &JobProgress,
        lease: Duration,
    ) -> Result<Option<bool>, StorageError> {
        let (access, progress) = (access.clone(), progress.clone());
        let save = move |conn: &_| jobs::save(conn, &access, worker, id, &progress, lease);
        self.writer.free("save_job", save).await
    }

    async fn end_job(
        &self,
        access: &Access,
        worker: Uuid,
        id: Uuid,
        end: &JobEnd,
        progress: &JobProgress,
    ) -> Result<Option<Job>, StorageError> {
        let (access, end, progress) = (access.clone(), end.clone(), progress.clone());
        let ending = move |conn: &_| jobs::end(conn, &access, worker, id, &end, &progress);
        self.writer.free("end_job", ending).await
    }

    async fn cancel_job(&self, access: &Access, id: Uuid) -> Result<Job, StorageError> {
        let access = access.clone();
        self.writer.keep("cancel_job", move |conn| jobs::cancel(conn, &access, id)).await
    }

    async fn forget_jobs(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<u64, StorageError> {
        let access = access.clone();
        self.writer.free("forget_jobs", move |conn| jobs::forget(conn, &access, older_than, limit)).await
    }
}
