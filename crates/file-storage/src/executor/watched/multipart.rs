//! Uploads in several pieces.

use async_trait::async_trait;

use super::{WatchedExecutor, asked};
use crate::Timestamp;
use crate::audit::{Action, Entry};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{MultipartExecutor, Written};
use crate::file::{PutMode, Segment};
use crate::multipart::{
    Append, Claimed, Completion, GoneUpload, MultipartUpload, NewMultipart, NewPart, Part, UploadAt,
    UploadListing,
};
use crate::permissions::Access;

#[async_trait]
impl MultipartExecutor for WatchedExecutor {
    async fn create_multipart(
        &self,
        access: &Access,
        upload: NewMultipart,
        mode: &PutMode,
    ) -> Result<MultipartUpload, StorageError> {
        let entry = Entry::of(access, Action::Create)
            .object(&upload.at.bucket, &upload.at.path)
            .subject(format!("upload {}", upload.at.id));
        self.change(
            entry,
            asked("create_multipart", self.inner.create_multipart(access, upload, mode)),
            |_, entry| Some(entry),
        )
        .await
    }

    async fn multipart(&self, access: &Access, at: &UploadAt) -> Result<MultipartUpload, StorageError> {
        let entry = || {
            Entry::of(access, Action::Read).object(&at.bucket, &at.path).subject(format!("upload {}", at.id))
        };
        self.read(access, entry, asked("multipart", self.inner.multipart(access, at)), |_, entry| Some(entry))
            .await
    }

    async fn list_multipart(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &UploadListing,
    ) -> Result<Vec<MultipartUpload>, StorageError> {
        let entry = || Entry::of(access, Action::List).listed(bucket, &listing.prefix).subject("uploads");
        self.read(
            access,
            entry,
            asked("list_multipart", self.inner.list_multipart(access, bucket, listing)),
            |found, entry| Some(entry.count(found.len() as u64)),
        )
        .await
    }

    async fn put_part(
        &self,
        access: &Access,
        at: &UploadAt,
        number: u32,
        part: NewPart,
        expires_at: Timestamp,
    ) -> Result<Part, StorageError> {
        let entry = Entry::of(access, Action::Write)
            .object(&at.bucket, &at.path)
            .subject(format!("upload {}", at.id))
            .bytes(part.size);
        self.change(
            entry,
            asked("put_part", self.inner.put_part(access, at, number, part, expires_at)),
            |_, entry| Some(entry),
        )
        .await
    }

    async fn parts(
        &self,
        access: &Access,
        at: &UploadAt,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Part>, StorageError> {
        let entry = || {
            Entry::of(access, Action::List).object(&at.bucket, &at.path).subject(format!("upload {}", at.id))
        };
        self.read(access, entry, asked("parts", self.inner.parts(access, at, after, limit)), |_, entry| {
            Some(entry)
        })
        .await
    }

    async fn first_parts(
        &self,
        access: &Access,
        at: &UploadAt,
        number: u32,
        limit: u32,
    ) -> Result<Vec<Segment>, StorageError> {
        asked("first_parts", self.inner.first_parts(access, at, number, limit)).await
    }

    async fn claim_resumable(
        &self,
        access: &Access,
        at: &UploadAt,
        expires_at: Timestamp,
    ) -> Result<Claimed, StorageError> {
        asked("claim_resumable", self.inner.claim_resumable(access, at, expires_at)).await
    }

    async fn announce_length(&self, access: &Access, at: &UploadAt, length: u64) -> Result<(), StorageError> {
        asked("announce_length", self.inner.announce_length(access, at, length)).await
    }

    async fn append(
        &self,
        access: &Access,
        at: &UploadAt,
        run: Append,
        expires_at: Timestamp,
    ) -> Result<MultipartUpload, StorageError> {
        let entry = Entry::of(access, Action::Write)
            .object(&at.bucket, &at.path)
            .subject(format!("upload {}", at.id))
            .bytes(run.part.size);
        self.change(entry, asked("append", self.inner.append(access, at, run, expires_at)), |_, entry| {
            Some(entry)
        })
        .await
    }

    async fn complete_multipart(
        &self,
        access: &Access,
        at: &UploadAt,
        completion: Completion,
    ) -> Result<Written, StorageError> {
        let entry = Entry::of(access, Action::Write)
            .object(&at.bucket, &at.path)
            .subject(format!("upload {}", at.id));
        self.change(
            entry,
            asked("complete_multipart", self.inner.complete_multipart(access, at, completion)),
            |done, entry| Some(entry.version(done.object.version).bytes(done.object.size)),
        )
        .await
    }

    async fn discard_uploads(
        &self,
        access: &Access,
        bucket: &BucketName,
        limit: u32,
    ) -> Result<Vec<GoneUpload>, StorageError> {
        let entry = Entry::of(access, Action::Delete).bucket(bucket).subject("uploads");
        self.change(
            entry,
            asked("discard_uploads", self.inner.discard_uploads(access, bucket, limit)),
            |done, entry| given_up(&entry, done),
        )
        .await
    }

    async fn abort_multipart(&self, access: &Access, at: &UploadAt) -> Result<(), StorageError> {
        let entry = Entry::of(access, Action::Delete)
            .object(&at.bucket, &at.path)
            .subject(format!("upload {}", at.id));
        self.change(entry, asked("abort_multipart", self.inner.abort_multipart(access, at)), |_, entry| {
            Some(entry)
        })
        .await
    }

    async fn expire_uploads(&self, access: &Access, limit: u32) -> Result<Vec<GoneUpload>, StorageError> {
        let entry = Entry::of(access, Action::Delete).subject("expired uploads");
        self.change(
            entry,
            asked("expire_uploads", self.inner.expire_uploads(access, limit)),
            |done, entry| given_up(&entry, done),
        )
        .await
    }
}

/// A line for each upload that was given up. One that had become an object took nothing along.
fn given_up(entry: &Entry, gone: &[GoneUpload]) -> Vec<Entry> {
    let line =
        |at: &UploadAt| entry.clone().object(&at.bucket, &at.path).subject(format!("upload {}", at.id));
    gone.iter().filter(|gone| !gone.ended).map(|gone| line(&gone.at)).collect()
}
