//! Writing an object's bytes.
//!
//! The way of an upload: permission, limits, bytes to their place (hashed on the way), and one transaction that
//! makes the object visible. A caller who goes away before that transaction leaves nothing; one who goes away
//! during it does not stop it.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use uuid::Uuid;

use super::FileStorage;
use super::blobs::{NewBlob, Patience, PlacedBlob};
use super::head::Head;
use super::leases::Lease;
use super::spool::SpoolShare;
use crate::backend::originals::Original;
use crate::body::{ByteStream, limited};
use crate::bucket::{Bucket, BucketName};
use crate::digests::{Wanted, Watch};
use crate::errors::StorageError;
use crate::executor::{Admission, Announced, QuotaLeft, Written};
use crate::file::{NewObject, ObjectAttributes, Place, PutMode, Segment, Sha256};
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Operation, RlsContext};
use crate::quota::QuotaEnforcement;
use crate::signed_url::SignedUpload;

/// An upload that was let in, and whose body was not touched yet.
#[must_use]
pub struct PendingUpload {
    storage: FileStorage,
    access: Access,
    admission: Admission,
    bucket: BucketName,
    path: ObjectPath,
    mode: PutMode,
    is_folder_marker: bool,
    patience: Patience,
    /// The file that its bytes are, and whether that goes.
    original: Option<(Original, bool)>,
}

impl FileStorage {
    /// Decides whether the caller may write at this path, before a byte of the body is read.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], [`StorageError::ObjectExists`], [`StorageError::PreconditionFailed`],
    /// or a denial.
    pub async fn admit_upload(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
        mode: PutMode,
    ) -> Result<PendingUpload, StorageError> {
        self.admit_announced_upload(context, bucket, path, mode, Announced::default()).await
    }

    /// As [`FileStorage::admit_upload`], of an object of which something is known: policies that ask about it are
    /// asked now, and not only when the bytes are there.
    ///
    /// # Errors
    /// As [`FileStorage::admit_upload`].
    pub async fn admit_announced_upload(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
        mode: PutMode,
        announced: Announced,
    ) -> Result<PendingUpload, StorageError> {
        let access = self.access(context, Operation::Upload(&mode), Some(bucket)).await;
        let access = access.inspect_err(|error| self.count_upload(bucket, Err(error)))?;
        self.admit(access, bucket, path, mode, announced).await
    }

    /// Lets in an upload by a signed URL, for the one object that it was made for, as the caller who signed it and
    /// under their row-level security, here and when it is committed. A single-use token is used up.
    ///
    /// # Errors
    /// As [`FileStorage::admit_upload`], and [`StorageError::UrlExpired`] for a token that was used before.
    pub async fn admit_signed_upload(
        &self,
        signed: &SignedUpload,
        bearer: &RlsContext,
    ) -> Result<PendingUpload, StorageError> {
        let mode = if signed.upsert() { PutMode::Upsert } else { PutMode::Create };
        let (bucket, path) = (signed.object().bucket(), signed.object().path());
        let context = signed.signer().context("").asked_by(bearer);
        let access = self.access(&context, Operation::Upload(&mode), Some(bucket)).await;
        let access = access.inspect_err(|error| self.count_upload(bucket, Err(error)))?;
        let access = access.narrowed(bucket.clone(), path.clone());
        let pending = self.admit(access, bucket, path, mode.clone(), Announced::default()).await?;
        let used = self.use_up(signed.object()).await;
        used.inspect_err(|error| self.count_upload(bucket, Err(error)))?;
        Ok(pending)
    }

    pub(super) async fn admit(
        &self,
        access: Access,
        bucket: &BucketName,
        path: &ObjectPath,
        mode: PutMode,
        announced: Announced,
    ) -> Result<PendingUpload, StorageError> {
        let admission = self.executor().admit_put(&access, bucket, path, &mode, &announced).await;
        let admission = admission.and_then(|admission| self.executor().check_room().map(|()| admission));
        let admission = admission.inspect_err(|error| self.count_upload(bucket, Err(error)))?;
        Ok(self.pending(access, admission, (bucket, path), mode))
    }

    /// As [`FileStorage::admit`], of many paths, which stand there once: in their order, each alone.
    pub(super) async fn admit_each(
        &self,
        access: &Access,
        bucket: &BucketName,
        wanted: &[(ObjectPath, Announced)],
        mode: &PutMode,
    ) -> Vec<Result<PendingUpload, StorageError>> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let admitted = self.executor().admit_puts(access, bucket, wanted, mode).await;
        let admitted = admitted.and_then(|admitted| self.executor().check_room().map(|()| admitted));
        let admitted = admitted.unwrap_or_else(|error| wanted.iter().map(|_| Err(error.clone())).collect());
        let one = |((path, _), admission): (&(ObjectPath, Announced), Result<Admission, StorageError>)| {
            let admission = admission.inspect_err(|error| self.count_upload(bucket, Err(error)))?;
            Ok(self.pending(access.clone(), admission, (bucket, path), mode.clone()))
        };
        wanted.iter().zip(admitted).map(one).collect()
    }

    fn pending(
        &self,
        access: Access,
        admission: Admission,
        (bucket, path): (&BucketName, &ObjectPath),
        mode: PutMode,
    ) -> PendingUpload {
        PendingUpload {
            storage: self.clone(),
            access,
            admission,
            bucket: bucket.clone(),
            path: path.clone(),
            mode,
            is_folder_marker: false,
            patience: Patience::Waits,
            original: None,
        }
    }
}

impl PendingUpload {
    /// The bucket that the object goes to.
    pub fn bucket(&self) -> &Bucket {
        &self.admission.bucket
    }

    /// The tighter one of the bucket's and the server's limit of one object, in bytes; `None` means no limit.
    pub fn size_limit(&self) -> Option<u64> {
        self.storage.size_limit(&self.admission.bucket)
    }

    /// The object only marks an empty folder: it may be of any type, and must have no bytes.
    pub fn as_folder_marker(self) -> Self {
        Self { is_folder_marker: true, ..self }
    }

    /// Its caller need not wait until the bytes are where they belong: they may go to the spool, where there is one, and
    /// [`Written::queued`] says so. They are durable and readable all the same. A wish: with none, or a full one, they wait.
    pub fn deferrable(self) -> Self {
        Self { patience: Patience::Defers, ..self }
    }

    /// The bytes are those of a file that is there: the provider that they go to may have them from there, without the body.
    pub(super) fn adopting(self, original: Original, moves: bool) -> Self {
        Self { original: Some((original, moves)), ..self }
    }

    /// Whether a file of this type and size would be taken.
    pub(super) fn would_take(&self, content_type: &str, size: u64) -> Result<(), StorageError> {
        self.storage.check_limits(&self.admission, content_type, size)
    }

    /// Whether others in the bucket may be left to whoever makes them visible, without having been asked for: of `bytes` in sum, this one
    /// among them. Only for whom the whole bucket is open: who may write one path is not to have others wait for paths of theirs. And not
    /// where a quota may be in the way, which is known before the bytes, or where what is let in over one is told of each.
    pub(super) fn vouches_for(&self, bytes: u64) -> bool {
        let Admission { bucket, quotas, enforcement, .. } = &self.admission;
        let has_room = |quota: &QuotaLeft| quota.used.saturating_add(bytes) <= quota.limit;
        BucketGrant::of(bucket, self.access.context()) == BucketGrant::All
            && *enforcement != QuotaEnforcement::Warn
            && quotas.iter().all(has_room)
    }

    /// Whether these bytes would be taken at another path of the bucket, whatever quotas say.
    pub(super) fn would_take_another(&self, attributes: &ObjectAttributes, bytes: &Bytes) -> bool {
        let (storage, bucket) = (&self.storage, &self.admission.bucket);
        storage.check_object(bucket, &attributes.content_type, bytes.len() as u64).is_ok()
            && storage.check_content(bucket, bytes).is_ok()
    }

    /// An upload to another path of the bucket, of which nothing was decided: whoever makes it visible decides.
    pub(super) fn for_another(&self, path: &ObjectPath) -> Self {
        let Admission { bucket, enforcement, .. } = &self.admission;
        let (bucket, enforcement) = (bucket.clone(), *enforcement);
        let admission =
            Admission { bucket, quota_left: None, quotas: Vec::new(), enforcement, asks_more: false };
        self.storage.pending(self.access.clone(), admission, (&self.bucket, path), self.mode.clone())
    }

    /// Checks MIME type, size and quota, takes the body in, and makes the object visible.
    /// `content_length` is what the caller announces, in bytes; the body itself decides.
    ///
    /// # Errors
    /// [`StorageError::UnsupportedMediaType`], [`StorageError::PayloadTooLarge`], [`StorageError::QuotaExceeded`],
    /// [`StorageError::DiskFull`], [`StorageError::BodyInterrupted`], and what changed since the upload was let in.
    pub async fn store(
        self,
        attributes: ObjectAttributes,
        content_length: Option<u64>,
        body: ByteStream,
    ) -> Result<Written, StorageError> {
        self.store_checked(attributes, content_length, body, &Wanted::default()).await
    }

    /// As [`PendingUpload::store`], with further digests: where bytes are not what was announced, nothing is kept. What
    /// was computed becomes part of the object; an MD5 becomes its entity tag.
    ///
    /// # Errors
    /// As [`PendingUpload::store`], and [`StorageError::DigestMismatch`].
    pub async fn store_checked(
        self,
        attributes: ObjectAttributes,
        content_length: Option<u64>,
        body: ByteStream,
        wanted: &Wanted,
    ) -> Result<Written, StorageError> {
        let outcome = self.take_in(attributes, content_length, body, wanted).await;
        self.storage.count_upload(&self.bucket, outcome.as_ref().map(|written| written.object.size));
        outcome
    }

    async fn take_in(
        &self,
        attributes: ObjectAttributes,
        content_length: Option<u64>,
        body: ByteStream,
        wanted: &Wanted,
    ) -> Result<Written, StorageError> {
        let storage = &self.storage;
        let threshold = storage.inner.options.load().inline_threshold;
        let prepared = self.bring_in(attributes, content_length, body, wanted, threshold).await?;
        let Prepared { object, blob, share } = prepared;
        let Some((_, lease)) = blob else {
            storage.hit("upload.before_commit").await?;
            let written = storage.executor().put_object(&self.access, object, &self.mode).await;
            storage.ring_events();
            return written;
        };
        let written = storage.commit(self.access.clone(), object, self.mode.clone(), lease).await?;
        if let Some(share) = share {
            share.keep();
        }
        Ok(written)
    }

    /// Checks what a file says of itself and takes its bytes in, as [`PendingUpload::store`]; whoever asks makes it visible, or sees to
    /// it that its blob goes. Up to `threshold` bytes are held in memory.
    pub(super) async fn prepare(
        self,
        attributes: ObjectAttributes,
        content_length: Option<u64>,
        body: ByteStream,
        threshold: usize,
    ) -> Result<Prepared, StorageError> {
        self.bring_in(attributes, content_length, body, &Wanted::default(), threshold).await
    }

    async fn bring_in(
        &self,
        attributes: ObjectAttributes,
        content_length: Option<u64>,
        body: ByteStream,
        wanted: &Wanted,
        threshold: usize,
    ) -> Result<Prepared, StorageError> {
        let storage = &self.storage;
        if self.admission.asks_more {
            let known =
                Announced { attributes: Some(attributes.clone()), size: content_length, is_final: false };
            storage.executor().admit_put(&self.access, &self.bucket, &self.path, &self.mode, &known).await?;
        }
        let announced = content_length.unwrap_or(0);
        let mut body = if self.is_folder_marker {
            limited(body, 0)
        } else {
            storage.check_limits(&self.admission, &attributes.content_type, announced)?;
            let quota = self.admission.quota_left.clone();
            storage.bounded(body, storage.size_limit(&self.admission.bucket), quota)
        };
        let watch;
        (body, watch) = wanted.watch(body);
        let head = Head::read(&mut body, threshold, content_length).await?;
        storage.check_content(&self.admission.bucket, &head.bytes)?;
        if head.is_whole {
            let stored = Stored::inline(head.bytes);
            watch.check_sha256(&stored.checksum)?;
            let object = self.new_object(attributes, stored, &watch);
            return Ok(Prepared { object, blob: None, share: None });
        }
        let body = stream::iter([Ok(head.bytes)]).chain(body).boxed();
        self.store_blob(attributes, content_length, body, &watch).await
    }

    async fn store_blob(
        &self,
        attributes: ObjectAttributes,
        size_hint: Option<u64>,
        body: ByteStream,
        watch: &Watch,
    ) -> Result<Prepared, StorageError> {
        let storage = &self.storage;
        let bucket = self.admission.bucket.uuid;
        let taken = match &self.original {
            Some((original, moves)) => storage.take_blob(bucket, original, *moves).await?,
            None => None,
        };
        let new = match taken {
            Some(new) => new,
            None => storage.write_blob(bucket, body, size_hint, self.patience).await?,
        };
        let NewBlob { blob, written, belongs, share, lease } = new;
        if let Err(differs) = watch.check_sha256(&written.sha256) {
            storage.discard(blob, lease).await;
            return Err(differs);
        }
        let segment =
            Segment { offset: 0, size: written.size, sha256: written.sha256, place: blob.place(), belongs };
        let stored = Stored { size: written.size, checksum: written.sha256, segments: vec![segment] };
        let object = self.new_object(attributes, stored, watch);
        Ok(Prepared { object, blob: Some((blob, lease)), share })
    }

    fn new_object(&self, mut attributes: ObjectAttributes, stored: Stored, watch: &Watch) -> NewObject {
        let etag = watch.etag(&stored.checksum);
        attributes.extra.checksums.extend(watch.checksums(&stored.checksum));
        NewObject {
            bucket_uuid: self.admission.bucket.uuid,
            bucket: self.bucket.clone(),
            path: self.path.clone(),
            attributes,
            size: stored.size,
            checksum: Some(stored.checksum),
            etag,
            version: Uuid::now_v7(),
            segments: stored.segments,
            copies: self.storage.copies_of_new(),
        }
    }
}

/// An object whose bytes are in their place, or in memory, and which nobody sees yet.
pub(super) struct Prepared {
    pub(super) object: NewObject,
    /// Its blob, where it has one.
    pub(super) blob: Option<(PlacedBlob, Lease)>,
    /// Its part of the spool, where it is there.
    pub(super) share: Option<SpoolShare>,
}

/// Bytes that are in their place.
struct Stored {
    size: u64,
    checksum: Sha256,
    segments: Vec<Segment>,
}

impl Stored {
    /// Bytes that go into the database with the row. An empty object has no segment.
    fn inline(bytes: Bytes) -> Self {
        let (size, checksum) = (bytes.len() as u64, Sha256::of(&bytes));
        let segment =
            Segment { offset: 0, size, sha256: checksum, place: Place::Inline(bytes), belongs: None };
        Self { size, checksum, segments: if size == 0 { Vec::new() } else { vec![segment] } }
    }
}
