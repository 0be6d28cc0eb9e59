//! The bytes of a part: to their place like an upload's, and known in one transaction.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use uuid::Uuid;

use super::expiry;
use crate::body::ByteStream;
use crate::digests::{Algorithm, Checksums, ObjectChecksum, Wanted};
use crate::errors::StorageError;
use crate::executor::{Admission, Announced, Home, QuotaLeft};
use crate::file::{Place, Sha256};
use crate::multipart::{MAX_PART_NUMBER, MAX_PART_SIZE, MultipartUpload, NewPart, Part, UploadAt};
use crate::permissions::{Access, Operation, RlsContext};
use crate::storage::FileStorage;
use crate::storage::blobs::{NewBlob, Patience, PlacedBlob};
use crate::storage::head::Head;
use crate::storage::leases::Lease;
use crate::storage::queue::Queued;

/// The bytes of a part, on their way.
pub struct PartBody {
    /// The bytes.
    pub bytes: ByteStream,
    /// How many they are, where that was announced.
    pub length: Option<u64>,
    /// What is computed of them, and must come out.
    pub wanted: Wanted,
}

/// Bytes in their place, which nothing refers to yet.
pub(in crate::storage) struct Run {
    pub(in crate::storage) size: u64,
    pub(in crate::storage) sha256: Sha256,
    pub(in crate::storage) place: Place,
    pub(in crate::storage) belongs: Option<Home>,
    pub(in crate::storage) lease: Lease,
}

impl FileStorage {
    /// Takes in a part, in place of the one of its number.
    ///
    /// # Errors
    /// As [`FileStorage::multipart`] and [`crate::storage::PendingUpload::store`], and
    /// [`StorageError::DigestMismatch`], of which nothing is kept.
    pub async fn upload_part(
        &self,
        context: &RlsContext,
        at: &UploadAt,
        number: u32,
        body: PartBody,
    ) -> Result<Part, StorageError> {
        let upload = self.multipart(context, at).await?;
        let mode = upload.mode();
        let access = self.access(context, Operation::UploadPart(&mode), Some(&at.bucket)).await?;
        self.take_in_part(&access, &upload, number, body).await
    }

    /// Takes in a part of an upload that was found, under an access that lets its object be written.
    pub(super) async fn take_in_part(
        &self,
        access: &Access,
        upload: &MultipartUpload,
        number: u32,
        body: PartBody,
    ) -> Result<Part, StorageError> {
        if !(1..=MAX_PART_NUMBER).contains(&number) {
            let message = format!("a part's number is between 1 and {MAX_PART_NUMBER}");
            return Err(StorageError::InvalidRequest { message });
        }
        let admission = self.admit_part(access, upload).await?;
        let limit =
            self.size_limit(&admission.bucket).map_or(MAX_PART_SIZE, |limit| limit.min(MAX_PART_SIZE));
        self.check_part(&admission, limit, body.length.unwrap_or(0))?;
        let wanted = with_checksum(body.wanted, upload)?;
        let bytes = self.bounded(body.bytes, Some(limit), admission.quota_left.clone());
        let (mut bytes, watch) = wanted.watch(bytes);
        let threshold = self.inner.options.load().inline_threshold;
        let head = Head::read(&mut bytes, threshold, body.length).await?;
        if number == 1 {
            self.check_content(&admission.bucket, &head.bytes)?;
        }
        let run = self.store_run(admission.bucket.uuid, head, bytes, body.length).await?;
        if let Err(differs) = watch.check_sha256(&run.sha256) {
            return Err(self.let_go(run, differs).await);
        }
        let (storage, access, at) = (self.clone(), access.clone(), upload.at.clone());
        let expires_at = expiry(self.inner.options.load().multipart_expiry);
        let (etag, checksums) = (watch.etag(&run.sha256), watch.checksums(&run.sha256));
        let (part, blobs, lease) = run.into_part(etag, checksums);
        let queued = Queued::of(&access, &at.path, part.size, part.belongs.as_ref());
        self.settled(blobs, lease, async move {
            storage.hit("part.before_commit").await?;
            let part = storage.executor().put_part(&access, &at, number, part, expires_at).await?;
            storage.were_queued(&queued);
            storage.inner.deletions_queued.notify_one();
            Ok(part)
        })
        .await
    }

    /// Decides whether the upload's object could be written now. What would be replaced is not given back before that.
    pub(in crate::storage) async fn admit_part(
        &self,
        access: &Access,
        upload: &MultipartUpload,
    ) -> Result<Admission, StorageError> {
        let size = upload.resumable.as_ref().and_then(|resumable| resumable.length);
        let announced = Announced { attributes: Some(upload.attributes.clone()), size, is_final: false };
        let (at, mode) = (&upload.at, upload.mode());
        let admission = self.executor().admit_put(access, &at.bucket, &at.path, &mode, &announced).await?;
        self.executor().check_room()?;
        let quota_left = admission.quota_left.clone().map(|quota| QuotaLeft { returned: 0, ..quota });
        Ok(Admission { quota_left, ..admission })
    }

    pub(in crate::storage) fn check_part(
        &self,
        admission: &Admission,
        limit: u64,
        size: u64,
    ) -> Result<(), StorageError> {
        if size > limit {
            return Err(StorageError::PayloadTooLarge { limit });
        }
        admission.quota_left.as_ref().map_or(Ok(()), |quota| quota.admit(size))
    }

    /// Brings bytes to their place: `head`, and `rest` where that is not all.
    pub(in crate::storage) async fn store_run(
        &self,
        bucket: Uuid,
        head: Head,
        rest: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<Run, StorageError> {
        if head.is_whole {
            return Ok(self.inline_run(head.bytes));
        }
        let body = stream::iter([Ok(head.bytes)]).chain(rest).boxed();
        let new = self.write_blob(bucket, body, size_hint, Patience::Waits).await?;
        let NewBlob { blob, written, belongs, lease, .. } = new;
        Ok(Run { size: written.size, sha256: written.sha256, place: blob.place(), belongs, lease })
    }

    /// Bytes that go into the database.
    pub(in crate::storage) fn inline_run(&self, bytes: Bytes) -> Run {
        let (size, sha256) = (bytes.len() as u64, Sha256::of(&bytes));
        let lease = self.inner.leases.hold(Vec::new());
        Run { size, sha256, place: Place::Inline(bytes), belongs: None, lease }
    }

    /// Deletes bytes that are not wanted after all; gives the reason back.
    pub(in crate::storage) async fn let_go(&self, run: Run, why: StorageError) -> StorageError {
        if let Some(blob) = PlacedBlob::of(&run.place) {
            self.settle_blob(&blob, false).await;
        }
        why
    }
}

/// Has a part's digest computed of which the object's checksum will be made. A client that has sent another one has other
/// plans.
fn with_checksum(mut wanted: Wanted, upload: &MultipartUpload) -> Result<Wanted, StorageError> {
    let Some(ObjectChecksum { algorithm, .. }) = upload.checksum else { return Ok(wanted) };
    let is_other =
        |other: &Algorithm| *other != Algorithm::Md5 && *other != algorithm && wanted.computes(*other);
    if let Some(other) = Algorithm::ALL.iter().find(|other| is_other(other)) {
        let message = format!("the upload was begun with the checksum {algorithm}, and the part has {other}");
        return Err(StorageError::InvalidRequest { message });
    }
    wanted.compute(algorithm);
    Ok(wanted)
}

impl Run {
    /// The part that it is, its blob, and who keeps that.
    pub(in crate::storage) fn into_part(
        self,
        etag: String,
        checksums: Checksums,
    ) -> (NewPart, Vec<PlacedBlob>, Lease) {
        let blobs = PlacedBlob::of(&self.place).into_iter().collect();
        let part = NewPart {
            size: self.size,
            sha256: self.sha256,
            etag,
            checksums,
            place: self.place,
            belongs: self.belongs,
        };
        (part, blobs, self.lease)
    }
}
