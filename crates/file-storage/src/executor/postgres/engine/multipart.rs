//! What is asked of uploads in several pieces, each sent to where it runs.

use async_trait::async_trait;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::postgres::session::retried;
use crate::executor::postgres::{PostgresExecutor, buckets, multipart};
use crate::executor::{MultipartExecutor, Written};
use crate::file::{PutMode, Segment};
use crate::multipart::{
    Append, Claimed, Completion, GoneUpload, MultipartUpload, NewMultipart, NewPart, Part, UploadAt,
    UploadListing,
};
use crate::permissions::Access;

#[async_trait]
impl MultipartExecutor for PostgresExecutor {
    async fn create_multipart(
        &self,
        access: &Access,
        upload: NewMultipart,
        mode: &PutMode,
    ) -> Result<MultipartUpload, StorageError> {
        let create = async { retried!(Box::pin(multipart::create(&self.pool, access, &upload, mode))) };
        self.run("create_multipart", create).await
    }

    async fn multipart(&self, access: &Access, at: &UploadAt) -> Result<MultipartUpload, StorageError> {
        self.run("multipart", multipart::show(&self.pool, access, at)).await
    }

    async fn list_multipart(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &UploadListing,
    ) -> Result<Vec<MultipartUpload>, StorageError> {
        self.run("list_multipart", multipart::list(&self.pool, access, bucket, listing)).await
    }

    async fn put_part(
        &self,
        access: &Access,
        at: &UploadAt,
        number: u32,
        part: NewPart,
        expires_at: Timestamp,
    ) -> Result<Part, StorageError> {
        let put =
            async { retried!(Box::pin(multipart::put(&self.pool, access, at, number, &part, expires_at))) };
        self.run("put_part", put).await
    }

    async fn parts(
        &self,
        access: &Access,
        at: &UploadAt,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Part>, StorageError> {
        self.run("parts", multipart::parts(&self.pool, access, at, after, limit)).await
    }

    async fn first_parts(
        &self,
        access: &Access,
        at: &UploadAt,
        number: u32,
        limit: u32,
    ) -> Result<Vec<Segment>, StorageError> {
        self.run("first_parts", multipart::first_parts(&self.pool, access, at, number, limit)).await
    }

    async fn claim_resumable(
        &self,
        access: &Access,
        at: &UploadAt,
        expires_at: Timestamp,
    ) -> Result<Claimed, StorageError> {
        let claim = async { retried!(multipart::claim(&self.pool, access, at, expires_at)) };
        self.run("claim_resumable", claim).await
    }

    async fn announce_length(&self, access: &Access, at: &UploadAt, length: u64) -> Result<(), StorageError> {
        let announce = async { retried!(multipart::announce_length(&self.pool, access, at, length)) };
        self.run("announce_length", announce).await
    }

    async fn append(
        &self,
        access: &Access,
        at: &UploadAt,
        run: Append,
        expires_at: Timestamp,
    ) -> Result<MultipartUpload, StorageError> {
        let append =
            async { retried!(Box::pin(multipart::append(&self.pool, access, at, &run, expires_at))) };
        self.run("append", append).await
    }

    async fn complete_multipart(
        &self,
        access: &Access,
        at: &UploadAt,
        completion: Completion,
    ) -> Result<Written, StorageError> {
        let complete = async { retried!(Box::pin(multipart::complete(&self.pool, access, at, &completion))) };
        self.run("complete_multipart", complete).await
    }

    async fn discard_uploads(
        &self,
        access: &Access,
        bucket: &BucketName,
        limit: u32,
    ) -> Result<Vec<GoneUpload>, StorageError> {
        let discard = async { retried!(buckets::discard_uploads(&self.pool, access, bucket, limit)) };
        self.run("discard_uploads", discard).await
    }

    async fn abort_multipart(&self, access: &Access, at: &UploadAt) -> Result<(), StorageError> {
        let abort = async { retried!(multipart::abort(&self.pool, access, at)) };
        self.run("abort_multipart", abort).await
    }

    async fn expire_uploads(&self, access: &Access, limit: u32) -> Result<Vec<GoneUpload>, StorageError> {
        let expire = async { retried!(multipart::expire(&self.pool, access, limit)) };
        self.run("expire_uploads", expire).await
    }
}
