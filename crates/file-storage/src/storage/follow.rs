//! Reading segments wherever they are by now: the upload queue may carry a blob elsewhere while its object is read. In this
//! process, leases keep the old one; of another process's readers nobody knows, and the old blob goes after a grace. Then the
//! object's row says where the bytes are.
//!
//! Where the provider of a blob does not answer, or does not have it, the bytes come from a copy, if there is one (see
//! [`super::fallback`]): also in mid-body, from the byte at which the blob ended.

use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::timeout;
use uuid::Uuid;

use super::FileStorage;
use super::fallback::is_the_places;
use super::leases::Lease;
use crate::backend::BackendError;
use crate::body::ByteStream;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::{BlobKey, Place, Segment, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::Access;
use crate::versions::VersionId;

/// How often a blob is followed in a row. More moves than that while nothing of it was read are no moves.
const MOST_MOVES: u32 = 3;

/// The segments of one version of an object, for as long as somebody reads them.
pub(super) struct Segments {
    pub(super) storage: FileStorage,
    access: Access,
    pub(super) bucket: BucketName,
    pub(super) path: ObjectPath,
    version: Uuid,
    version_id: VersionId,
    leases: Mutex<Vec<Lease>>,
}

impl Segments {
    /// Those of a version that was looked up under this access, and whose blobs are leased.
    pub(super) fn of(
        storage: &FileStorage,
        access: Access,
        object: &StorageObject,
        lease: Option<Lease>,
    ) -> Arc<Self> {
        Arc::new(Self {
            storage: storage.clone(),
            access,
            bucket: object.bucket.clone(),
            path: object.path.clone(),
            version: object.version,
            version_id: object.version_id(),
            leases: Mutex::new(lease.into_iter().collect()),
        })
    }

    /// Reads a part of a segment, counted from the segment's start.
    pub(super) async fn read(
        self: &Arc<Self>,
        segment: &Segment,
        part: Range<u64>,
    ) -> Result<ByteStream, StorageError> {
        let mut tried = Vec::new();
        let (segment, bytes) = self.open(segment.clone(), part.clone(), &mut tried).await?;
        // A file that is open on a disk stays until it is closed. What is far away is asked for piece by piece; and what is on a
        // disk may turn out to be broken, where copies are kept.
        let may_end = match &segment.place {
            Place::Inline(_) => false,
            Place::Blob { provider, .. } => {
                let providers = self.storage.providers();
                !providers.backups().is_empty()
                    || providers.get(provider).is_some_and(|provider| provider.is_remote())
            }
        };
        Ok(match may_end {
            true => Following { segments: self.clone(), segment, part, bytes, tried }.into_stream(),
            false => bytes,
        })
    }

    /// Opens a part of a segment where it is now, or a copy of it. `tried`: blobs that gave nothing, which are not asked again.
    async fn open(
        &self,
        segment: Segment,
        part: Range<u64>,
        tried: &mut Vec<BlobKey>,
    ) -> Result<(Segment, ByteStream), StorageError> {
        if self.is_better_elsewhere(&segment)
            && let Some(found) = self.open_elsewhere(&segment, &part, tried, true).await
        {
            return Ok(found);
        }
        let patience = self.patience_with(&segment);
        let outcome = {
            let mut reading = pin!(self.storage.read_segment(&segment, part.clone()));
            match within(patience, &mut reading).await {
                Some(outcome) => outcome,
                // It stands still: what has copies need not wait for it, and who reads next need not either.
                None => match self.open_elsewhere(&segment, &part, tried, false).await {
                    Some(found) => {
                        self.stands_still(&segment);
                        return Ok(found);
                    }
                    None => reading.await,
                },
            }
        };
        match outcome {
            Ok(bytes) => Ok((segment, bytes)),
            Err(error) => {
                tried.extend(segment.blob_key().cloned());
                match is_the_places(&error) {
                    true => self.open_elsewhere(&segment, &part, tried, false).await.ok_or(error),
                    false => Err(error),
                }
            }
        }
    }

    /// Opens a part of a segment at the first other place that has it: where it was moved, or at a copy.
    async fn open_elsewhere(
        &self,
        segment: &Segment,
        part: &Range<u64>,
        tried: &mut Vec<BlobKey>,
        only_well: bool,
    ) -> Option<(Segment, ByteStream)> {
        for found in self.elsewhere(segment, tried, only_well).await {
            let reading = self.storage.read_segment(&found.segment, part.clone());
            match within(self.patience_with(&found.segment), reading).await {
                Some(Ok(bytes)) => {
                    found.was_taken(self);
                    return Some((found.segment, bytes));
                }
                Some(Err(error)) => tracing::warn!(%error, bucket = %self.bucket, "a copy could not be read"),
                None => tracing::warn!(bucket = %self.bucket, "a copy stands still"),
            }
            tried.extend(found.segment.blob_key().cloned());
        }
        None
    }

    /// How long a place may stand still before others are asked; `None` where there is no need to ask.
    fn patience_with(&self, segment: &Segment) -> Option<Duration> {
        let providers = self.storage.providers();
        match &segment.place {
            Place::Blob { provider, .. } if !providers.backups().is_empty() => {
                let provider = providers.get(provider)?;
                provider.is_remote().then(|| provider.failover_after())
            }
            Place::Blob { .. } | Place::Inline(_) => None,
        }
    }

    /// Keeps a blob from being deleted for as long as somebody reads this version.
    pub(super) fn lease(&self, lease: Lease) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).push(lease);
    }

    /// Where a segment is whose blob is gone; `None` where that is not what is wrong, or it was not moved.
    pub(super) async fn follow(
        &self,
        segment: &Segment,
        error: &StorageError,
        moves: u32,
    ) -> Option<Segment> {
        if moves > MOST_MOVES || !BackendError::is_missing_blob(error) {
            return None;
        }
        let lookup = self.storage.leases().begin_lookup().await;
        let now = self.look_again().await?.segments.into_iter();
        let same_bytes = |other: &Segment| {
            (other.offset, other.size, other.sha256) == (segment.offset, segment.size, segment.sha256)
        };
        let moved = now.filter(same_bytes).find(|other| other.place != segment.place)?;
        let lease = self.storage.leases().hold(moved.blob_key().cloned().into_iter().collect());
        drop(lookup);
        self.lease(lease);
        tracing::info!(bucket = %self.bucket, path = %self.path, "a blob was moved while it was read");
        Some(moved)
    }

    /// The same version once more: it may be an old one by now.
    pub(super) async fn look_again(&self) -> Option<StoredObject> {
        let (executor, access) = (self.storage.executor(), &self.access);
        let is_same = |stored: &StoredObject| stored.object.version == self.version;
        let current = executor.open_object(access, &self.bucket, &self.path).await.ok();
        match current.filter(is_same) {
            Some(stored) => Some(stored),
            None => {
                let old = executor.open_version(access, &self.bucket, &self.path, self.version_id).await;
                old.ok().filter(is_same)
            }
        }
    }
}

/// A part of a segment that is being read.
struct Following {
    segments: Arc<Segments>,
    segment: Segment,
    /// What is still to come, counted from the segment's start.
    part: Range<u64>,
    bytes: ByteStream,
    /// Blobs that ended since the last byte.
    tried: Vec<BlobKey>,
}

impl Following {
    fn into_stream(self) -> ByteStream {
        stream::unfold(self, |mut following| async move {
            let chunk = following.next().await?;
            Some((chunk, following))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Result<bytes::Bytes, StorageError>> {
        loop {
            let patience = self.segments.patience_with(&self.segment);
            let outcome = match within(patience, self.bytes.next()).await {
                Some(outcome) => outcome,
                None => match self.leave().await {
                    true => continue,
                    false => self.bytes.next().await,
                },
            };
            let error = match outcome {
                Some(Ok(chunk)) => {
                    self.part.start = self.part.start.saturating_add(chunk.len() as u64);
                    self.tried.clear();
                    return Some(Ok(chunk));
                }
                None if self.part.start >= self.part.end => return None,
                None => self.segments.ended_early(&self.segment),
                Some(Err(error)) => error,
            };
            self.tried.extend(self.segment.blob_key().cloned());
            let opened = match is_the_places(&error) {
                true => {
                    let (segments, part) = (self.segments.clone(), self.part.clone());
                    segments.open_elsewhere(&self.segment, &part, &mut self.tried, false).await
                }
                false => None,
            };
            match opened {
                Some((segment, bytes)) => (self.segment, self.bytes) = (segment, bytes),
                None => {
                    self.part.start = self.part.end;
                    self.bytes = stream::empty().boxed();
                    return Some(Err(error));
                }
            }
        }
    }

    /// Leaves a place that stands still for another one, if there is one.
    async fn leave(&mut self) -> bool {
        let (segments, part) = (self.segments.clone(), self.part.clone());
        let mut tried: Vec<_> = self.tried.iter().chain(self.segment.blob_key()).cloned().collect();
        match segments.open_elsewhere(&self.segment, &part, &mut tried, false).await {
            Some((segment, bytes)) => {
                segments.stands_still(&self.segment);
                (self.segment, self.bytes, self.tried) = (segment, bytes, tried);
                true
            }
            None => false,
        }
    }
}

/// What a future gives in time; `None` where it takes longer.
async fn within<T>(patience: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match patience {
        Some(patience) => timeout(patience, future).await.ok(),
        None => Some(future.await),
    }
}
