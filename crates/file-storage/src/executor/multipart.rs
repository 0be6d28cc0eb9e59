//! Uploads in several pieces, before they are objects: their rows and those of their parts.

use async_trait::async_trait;

use super::Written;
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::{PutMode, Segment};
use crate::multipart::{
    Append, Claimed, Completion, GoneUpload, MultipartUpload, NewMultipart, NewPart, Part, UploadAt,
    UploadListing,
};
use crate::permissions::Access;

/// What keeps uploads that are not objects yet. An [`Executor`](super::Executor) does, by the same rules.
#[async_trait]
pub trait MultipartExecutor: Send + Sync {
    /// Begins an upload in several pieces where its object could be written now, in the caller's name.
    ///
    /// # Errors
    /// As [`Executor::put_object`](super::Executor::put_object), and [`StorageError::TooManyUploads`].
    async fn create_multipart(
        &self,
        access: &Access,
        upload: NewMultipart,
        mode: &PutMode,
    ) -> Result<MultipartUpload, StorageError>;

    /// Finds an unfinished upload that the caller has begun; the service role finds all.
    ///
    /// # Errors
    /// [`StorageError::UploadNotFound`] also where it is somebody else's; [`StorageError::UploadExpired`].
    async fn multipart(&self, access: &Access, at: &UploadAt) -> Result<MultipartUpload, StorageError>;

    /// Lists uploads in numbered parts that the caller has begun in a bucket, by path and then by age; of a caller without a
    /// user none, as nobody knows whose they are. A bucket that is missing has none.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn list_multipart(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &UploadListing,
    ) -> Result<Vec<MultipartUpload>, StorageError>;

    /// Makes a part known whose bytes are stored, in place of the one of its number, whose blob is queued. Usage counters
    /// and quotas are part of the transaction. The upload has time until `expires_at`, at least.
    ///
    /// # Errors
    /// As [`Self::multipart`], and [`StorageError::QuotaExceeded`].
    async fn put_part(
        &self,
        access: &Access,
        at: &UploadAt,
        number: u32,
        part: NewPart,
        expires_at: Timestamp,
    ) -> Result<Part, StorageError>;

    /// Parts of an upload, by number, after the given one.
    ///
    /// # Errors
    /// As [`Self::multipart`].
    async fn parts(
        &self,
        access: &Access,
        at: &UploadAt,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Part>, StorageError>;

    /// Where the bytes of an upload's parts are, from a number on and in its order, up to `limit` of them. Their offsets
    /// say nothing.
    ///
    /// # Errors
    /// As [`Self::multipart`].
    async fn first_parts(
        &self,
        access: &Access,
        at: &UploadAt,
        number: u32,
        limit: u32,
    ) -> Result<Vec<Segment>, StorageError>;

    /// Takes an upload that is appended to over: what others append from now on is refused. It has time until `expires_at`,
    /// at least.
    ///
    /// # Errors
    /// As [`Self::multipart`].
    async fn claim_resumable(
        &self,
        access: &Access,
        at: &UploadAt,
        expires_at: Timestamp,
    ) -> Result<Claimed, StorageError>;

    /// Says how long an upload will be, where that was left open.
    ///
    /// # Errors
    /// As [`Self::multipart`], and [`StorageError::InvalidRequest`] where it can't be so.
    async fn announce_length(&self, access: &Access, at: &UploadAt, length: u64) -> Result<(), StorageError>;

    /// Appends a run of bytes that are stored, wholly or not at all, and gives the upload as it then is. It need not have
    /// time any more: it had when the run began.
    ///
    /// # Errors
    /// As [`Self::put_part`]; [`StorageError::UploadTakenOver`], [`StorageError::OffsetMismatch`] where it does not
    /// begin at the end, and [`StorageError::PayloadTooLarge`] beyond the upload's length.
    async fn append(
        &self,
        access: &Access,
        at: &UploadAt,
        run: Append,
        expires_at: Timestamp,
    ) -> Result<MultipartUpload, StorageError>;

    /// Makes an object of an upload: its parts become the object's segments, and no byte is copied. Whether the caller may
    /// write is decided again, as for [`Executor::put_object`](super::Executor::put_object). Parts that are not chosen go.
    ///
    /// # Errors
    /// As [`Executor::put_object`](super::Executor::put_object) and [`Self::multipart`]; [`StorageError::InvalidPart`],
    /// [`StorageError::InvalidPartOrder`], [`StorageError::PartTooSmall`], [`StorageError::UploadTakenOver`], and
    /// [`StorageError::OffsetMismatch`] where bytes are still to come.
    async fn complete_multipart(
        &self,
        access: &Access,
        at: &UploadAt,
        completion: Completion,
    ) -> Result<Written, StorageError>;

    /// Gives up to `limit` uploads of a bucket up, for who may change the bucket: everybody's, but where policies speak of
    /// the caller's role their own alone. Gives them.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    async fn discard_uploads(
        &self,
        access: &Access,
        bucket: &BucketName,
        limit: u32,
    ) -> Result<Vec<GoneUpload>, StorageError>;

    /// Gives an unfinished upload up; its blobs are queued.
    ///
    /// # Errors
    /// [`StorageError::UploadNotFound`].
    async fn abort_multipart(&self, access: &Access, at: &UploadAt) -> Result<(), StorageError>;

    /// Gives up to `limit` uploads up whose time is over; gives them.
    ///
    /// # Errors
    /// Only those of the engine.
    async fn expire_uploads(&self, access: &Access, limit: u32) -> Result<Vec<GoneUpload>, StorageError>;
}
