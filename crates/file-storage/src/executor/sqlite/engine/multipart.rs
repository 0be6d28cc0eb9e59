//! What is asked of uploads in several pieces, each sent to where it runs.

use async_trait::async_trait;
use rusqlite::Connection;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, buckets, multipart};
use crate::executor::{MultipartExecutor, Written};
use crate::file::{PutMode, Segment};
use crate::multipart::{
    Append, Claimed, Completion, GoneUpload, MultipartUpload, NewMultipart, NewPart, Part, UploadAt,
    UploadListing,
};
use crate::permissions::Access;

#[async_trait]
impl MultipartExecutor for SqliteExecutor {
    async fn create_multipart(
        &self,
        access: &Access,
        upload: NewMultipart,
        mode: &PutMode,
    ) -> Result<MultipartUpload, StorageError> {
        let (access, mode, rules) = (access.clone(), mode.clone(), self.rules.load_full());
        let create = move |conn: &Connection| multipart::create(conn, &rules, &access, upload, &mode);
        self.writer.run("create_multipart", create).await
    }

    async fn multipart(&self, access: &Access, at: &UploadAt) -> Result<MultipartUpload, StorageError> {
        self.read("multipart", |conn| multipart::show(conn, access, at))
    }

    async fn list_multipart(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &UploadListing,
    ) -> Result<Vec<MultipartUpload>, StorageError> {
        let (access, bucket, listing) = (access.clone(), bucket.clone(), listing.clone());
        self.scan("list_multipart", move |conn| multipart::list(conn, &access, &bucket, &listing)).await
    }

    async fn put_part(
        &self,
        access: &Access,
        at: &UploadAt,
        number: u32,
        part: NewPart,
        expires_at: Timestamp,
    ) -> Result<Part, StorageError> {
        let (access, at) = (access.clone(), at.clone());
        let put = move |conn: &Connection| multipart::put(conn, &access, &at, number, part, expires_at);
        self.writer.run("put_part", put).await
    }

    async fn parts(
        &self,
        access: &Access,
        at: &UploadAt,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Part>, StorageError> {
        let (access, at) = (access.clone(), at.clone());
        self.scan("parts", move |conn| multipart::parts(conn, &access, &at, after, limit)).await
    }

    async fn first_parts(
        &self,
        access: &Access,
        at: &UploadAt,
        number: u32,
        limit: u32,
    ) -> Result<Vec<Segment>, StorageError> {
        self.read("first_parts", |conn| multipart::first_parts(conn, access, at, number, limit))
    }

    async fn claim_resumable(
        &self,
        access: &Access,
        at: &UploadAt,
        expires_at: Timestamp,
    ) -> Result<Claimed, StorageError> {
        let (access, at) = (access.clone(), at.clone());
        let claim = move |conn: &Connection| multipart::claim(conn, &access, &at, expires_at);
        self.writer.keep("claim_resumable", claim).await
    }

    async fn announce_length(&self, access: &Access, at: &UploadAt, length: u64) -> Result<(), StorageError> {
        let (access, at) = (access.clone(), at.clone());
        let announce = move |conn: &Connection| multipart::announce_length(conn, &access, &at, length);
        self.writer.keep("announce_length", announce).await
    }

    async fn append(
        &self,
        access: &Access,
        at: &UploadAt,
        run: Append,
        expires_at: Timestamp,
    ) -> Result<MultipartUpload, StorageError> {
        let (access, at) = (access.clone(), at.clone());
        let append = move |conn: &Connection| multipart::append(conn, &access, &at, &run, expires_at);
        self.writer.run("append", append).await
    }

    async fn complete_multipart(
        &self,
        access: &Access,
        at: &UploadAt,
        completion: Completion,
    ) -> Result<Written, StorageError> {
        let (access, at, rules) = (access.clone(), at.clone(), self.rules.load_full());
        let complete = move |conn: &Connection| multipart::complete(conn, &rules, &access, &at, &completion);
        self.writer.run("complete_multipart", complete).await
    }

    async fn discard_uploads(
        &self,
        access: &Access,
        bucket: &BucketName,
        limit: u32,
    ) -> Result<Vec<GoneUpload>, StorageError> {
        let (access, bucket, rules) = (access.clone(), bucket.clone(), self.rules.load_full());
        let discard =
            move |conn: &Connection| buckets::discard_uploads(conn, &rules, &access, &bucket, limit);
        self.writer.free("discard_uploads", discard).await
    }

    async fn abort_multipart(&self, access: &Access, at: &UploadAt) -> Result<(), StorageError> {
        let (access, at) = (access.clone(), at.clone());
        self.writer.free("abort_multipart", move |conn| multipart::abort(conn, &access, &at)).await
    }

    async fn expire_uploads(&self, access: &Access, limit: u32) -> Result<Vec<GoneUpload>, StorageError> {
        let access = access.clone();
        self.writer.free("expire_uploads", move |conn| multipart::expire(conn, &access, limit)).await
    }
}
