//! Reading an object's bytes.

use std::ops::Range;
use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::FileStorage;
use super::fallback::is_the_places;
use super::follow::{Segments, Tries};
use super::leases::Lease;
use crate::body::{ByteStream, from_bytes};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::{Place, Segment, Sha256, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, Operation, RlsContext};
use crate::signed_url::{SignedDownload, SignedObject};
use crate::versions::VersionId;

/// An object that the caller may read, and the way to its bytes. While it lives, the bytes stay, even if the
/// object is overwritten or deleted.
pub struct Download {
    storage: FileStorage,
    object: StorageObject,
    segments: Vec<Segment>,
    /// Reads them, wherever they are by then.
    reader: Arc<Segments>,
    /// What opened it, if that is a signed URL: one for a single use is used up when the bytes are.
    signed: Option<SignedObject>,
}

/// An object's bytes on their way to a caller.
pub enum DownloadBody {
    /// All at hand.
    Bytes(Bytes),
    /// In chunks.
    Stream(ByteStream),
}

impl FileStorage {
    /// Finds an object to read. Nothing is read yet, so that conditions can be looked at first.
    ///
    /// # Errors
    /// [`StorageError::ObjectNotFound`], [`StorageError::BucketNotFound`], or a denial.
    pub async fn download(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<Download, StorageError> {
        let access = self.access(context, Operation::Download, Some(bucket)).await;
        let access = access.inspect_err(|error| self.count_download(bucket, Err(error)))?;
        self.open(&access, bucket, path).await.inspect_err(|error| self.count_download(bucket, Err(error)))
    }

    /// Finds the object of a signed URL. A single-use token is used up by [`Download::body`]: who only looks, or has
    /// the bytes already, does not use it.
    ///
    /// # Errors
    /// As [`FileStorage::download`], and [`StorageError::UrlExpired`] for a token that was used before.
    pub async fn download_signed(
        &self,
        signed: &SignedDownload,
        bearer: &RlsContext,
    ) -> Result<Download, StorageError> {
        let (bucket, path) = (signed.object().bucket(), signed.object().path());
        let outcome = match self.check_unused(signed.object()).await {
            Ok(()) => {
                let access = Access::signed(Operation::Download, bearer, bucket.clone(), path.clone());
                self.open(&access, bucket, path).await
            }
            Err(used) => Err(used),
        };
        let download = outcome.inspect_err(|error| self.count_download(bucket, Err(error)))?;
        Ok(Download { signed: Some(signed.object().clone()), ..download })
    }

    /// Reads what is known about an object.
    ///
    /// # Errors
    /// As [`FileStorage::download`].
    pub async fn info(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StorageObject, StorageError> {
        let access = self.access(context, Operation::Info, Some(bucket)).await?;
        self.cached_info(&access, bucket, path).await
    }

    /// Looks an object up for a download, in memory where it is kept, and leases its blobs.
    pub(super) async fn open(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<Download, StorageError> {
        let lookup = self.inner.leases.begin_lookup().await;
        let stored = self.cached_download(access, bucket, path).await?;
        let lease = self.lease(&stored);
        drop(lookup);
        Ok(self.opened(access, stored, lease))
    }

    /// Looks an object up in the database, or an old version where one is named, and leases its blobs.
    pub(super) async fn open_version_or_current(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: Option<VersionId>,
    ) -> Result<Download, StorageError> {
        let lookup = self.inner.leases.begin_lookup().await;
        let stored = match version {
            None => self.executor().open_object(access, bucket, path).await?,
            Some(version) => self.executor().open_version(access, bucket, path, version).await?,
        };
        let lease = self.lease(&stored);
        drop(lookup);
        Ok(self.opened(access, stored, lease))
    }

    /// Leases the blobs of an object, within the lookup that found it.
    fn lease(&self, stored: &StoredObject) -> Option<Lease> {
        let keys: Vec<_> = stored.segments.iter().filter_map(|segment| segment.blob_key().cloned()).collect();
        (!keys.is_empty()).then(|| self.inner.leases.hold(keys))
    }

    fn opened(&self, access: &Access, stored: StoredObject, lease: Option<Lease>) -> Download {
        let StoredObject { object, segments } = stored;
        let reader = Segments::of(self, access.clone(), &object, lease);
        Download { storage: self.clone(), object, segments, reader, signed: None }
    }
}

impl Download {
    /// The object's row.
    pub fn object(&self) -> &StorageObject {
        &self.object
    }

    /// Where the object's part of this number lies, counted from 1. What did not come in numbered parts is one.
    pub fn part(&self, number: u32) -> Option<Range<u64>> {
        let size = self.object.size;
        let count = self.object.extra.parts.as_ref().map_or(1, |parts| parts.count);
        if !(1..=count).contains(&number) {
            return None;
        }
        if count == 1 {
            return Some(0..size);
        }
        match self.segments.get(usize::try_from(number).ok()?.checked_sub(1)?) {
            Some(segment) => Some(segment.offset..segment.offset.saturating_add(segment.size)),
            // The last one is empty, and no segment.
            None => Some(size..size),
        }
    }

    /// SHA-256 of that part, where the part has bytes.
    pub fn part_sha256(&self, number: u32) -> Option<Sha256> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        self.segments.get(at).map(|segment| segment.sha256)
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(super) fn reader(&self) -> &Arc<Segments> {
        &self.reader
    }

    /// Opens the bytes, or a range of them that lies within the object. What fails, fails here rather than in the
    /// middle of the stream, as far as it can be known. A single-use URL is used up once they are open: of many who
    /// try at once, one gets them.
    ///
    /// # Errors
    /// [`StorageError::InvalidRange`], [`StorageError::ChecksumMismatch`], those of the provider, and
    /// [`StorageError::UrlExpired`] for a single-use URL that was used before.
    pub async fn body(self, range: Option<Range<u64>>) -> Result<DownloadBody, StorageError> {
        let storage = self.storage.clone();
        let bucket = self.object.bucket.clone();
        let bytes = range.as_ref().map_or(self.object.size, |range| range.end.saturating_sub(range.start));
        let signed = self.signed.clone();
        let outcome = match (self.open_body(range).await, signed) {
            (Ok(body), Some(signed)) => storage.use_up(&signed).await.map(|()| body),
            (outcome, _) => outcome,
        };
        storage.count_download(&bucket, outcome.as_ref().map(|_| bytes));
        outcome
    }

    pub(super) async fn open_body(mut self, range: Option<Range<u64>>) -> Result<DownloadBody, StorageError> {
        let size = self.object.size;
        let range = range.unwrap_or(0..size);
        if range.start > range.end || range.end > size {
            return Err(StorageError::InvalidRange { size });
        }
        if self.storage.inner.options.load().verify_on_read {
            self.verify(&range).await?;
        }
        let mut parts = self.segments.iter().filter_map(|segment| segment.overlap(&range));
        let (first, second) = (parts.next(), parts.next());
        match (first, second) {
            (None, _) => Ok(DownloadBody::Bytes(Bytes::new())),
            (Some((segment, part)), None) => match &segment.place {
                Place::Inline(bytes) => Ok(DownloadBody::Bytes(slice(bytes, &part)?)),
                Place::Blob { .. } => {
                    let body = self.reader.read(segment, part).await?;
                    Ok(DownloadBody::Stream(keep(body, self.reader)))
                }
            },
            (Some(_), Some(_)) => self.chain(range).await,
        }
    }

    /// The bytes of several segments, each opened when the one before it has ended; the first one here and now.
    async fn chain(self, range: Range<u64>) -> Result<DownloadBody, StorageError> {
        let reader = self.reader;
        let mut parts: Vec<(Segment, Range<u64>)> = self
            .segments
            .iter()
            .filter_map(|segment| segment.overlap(&range))
            .map(|(segment, part)| (segment.clone(), part))
            .collect();
        let (segment, part) = parts.remove(0);
        let first = reader.read(&segment, part).await?;
        let next = reader.clone();
        let rest = stream::iter(parts)
            .then(move |(segment, part)| {
                let reader = next.clone();
                async move { reader.read(&segment, part).await }
            })
            .try_flatten();
        Ok(DownloadBody::Stream(keep(first.chain(rest).boxed(), reader)))
    }

    /// Reads every segment that the range touches, and compares it with its checksum. One that differs is read from a copy
    /// which does not, if there is one.
    async fn verify(&mut self, range: &Range<u64>) -> Result<(), StorageError> {
        for segment in self.segments.iter_mut().filter(|segment| segment.overlap(range).is_some()) {
            let Err(error) = self.reader.compare(segment).await else { continue };
            if !is_the_places(&error) {
                return Err(error);
            }
            let mut good = None;
            for other in self.reader.elsewhere(segment, &[], false).await {
                if good.is_none() && self.reader.compare(&other.segment).await.is_ok() {
                    other.was_taken(&self.reader);
                    good = Some(other.segment);
                }
            }
            *segment = good.ok_or(error)?;
        }
        Ok(())
    }
}

impl Segments {
    /// Reads a segment where it says it is, and there alone, and compares it with its checksum.
    async fn compare(&self, segment: &Segment) -> Result<(), StorageError> {
        let mut body = self.storage.read_segment(segment, 0..segment.size, Tries::All).await?;
        let mut hash = digest::Context::new(&digest::SHA256);
        while let Some(chunk) = body.next().await {
            hash.update(&chunk?);
        }
        if Sha256::from_digest(&hash.finish()) == segment.sha256 {
            return Ok(());
        }
        let (bucket, path) = (self.bucket.clone(), self.path.clone());
        tracing::error!(%bucket, %path, "checksum mismatch");
        Err(StorageError::ChecksumMismatch { bucket, path })
    }
}

impl FileStorage {
    pub(super) async fn read_segment(
        &self,
        segment: &Segment,
        part: Range<u64>,
        tries: Tries,
    ) -> Result<ByteStream, StorageError> {
        match &segment.place {
            Place::Inline(bytes) => Ok(from_bytes(slice(bytes, &part)?)),
            Place::Blob { provider, key } => {
                let whole = part.start == 0 && part.end == segment.size;
                let range = (!whole).then_some(part);
                match tries {
                    Tries::All => self.read_blob((provider, key), range).await,
                    Tries::One => self.read_blob_once((provider, key), range).await,
                }
            }
        }
    }
}

impl Segment {
    /// The part of this segment, counted from its own start, that lies in a range of the object.
    fn overlap(&self, range: &Range<u64>) -> Option<(&Self, Range<u64>)> {
        let start = range.start.max(self.offset);
        let end = range.end.min(self.offset.saturating_add(self.size));
        (start < end).then(|| (self, start - self.offset..end - self.offset))
    }
}

fn slice(bytes: &Bytes, part: &Range<u64>) -> Result<Bytes, StorageError> {
    let bound = |at: u64| usize::try_from(at).ok().filter(|at| *at <= bytes.len());
    match (bound(part.start), bound(part.end)) {
        (Some(start), Some(end)) if start <= end => Ok(bytes.slice(start..end)),
        _ => Err(StorageError::internal("inline bytes are shorter than their segment")),
    }
}

/// A body that keeps its blobs leased until it ends or is dropped.
fn keep(body: ByteStream, reader: Arc<Segments>) -> ByteStream {
    body.inspect(move |_| {
        let _held = &reader;
    })
    .boxed()
}
