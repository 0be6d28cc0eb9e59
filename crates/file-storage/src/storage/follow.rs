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

/// How often a place is tried before it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tries {
    /// As often as its provider's settings say.
    All,
    /// Once: there may be a copy elsewhere, which need not be waited for.
    One,
}

/// A part of a segment that is open.
struct Opened {
    /// As it is at its place.
    segment: Segment,
    bytes: ByteStream,
    /// How often what breaks off is asked for again behind `bytes`.
    tries: Tries,
}

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
        let opened = self.open(segment.clone(), part.clone(), &mut tried).await?;
        // A file that is open on a disk stays until it is closed. What is far away is asked for piece by piece; and what is on a
        // disk may turn out to be broken, where copies are kept.
        let may_end = match &opened.segment.place {
            Place::Inline(_) => false,
            Place::Blob { provider, .. } => {
                let providers = self.storage.providers();
                !providers.backups().is_empty()
                    || providers.get(provider).is_some_and(|provider| provider.is_remote())
            }
        };
        Ok(match may_end {
            true => Following { segments: self.clone(), opened, part, tried }.into_stream(),
            false => opened.bytes,
        })
    }

    /// Opens a part of a segment where it is now, or a copy of it. `tried`: blobs that gave nothing, which are not asked again.
    async fn open(
        &self,
        segment: Segment,
        part: Range<u64>,
        tried: &mut Vec<BlobKey>,
    ) -> Result<Opened, StorageError> {
        if self.is_better_elsewhere(&segment)
            && let Some(found) = self.open_elsewhere(&segment, &part, tried, true).await
        {
            return Ok(found);
        }
        let tries = self.tries_of(&segment);
        match self.open_here(&segment, &part, tried, tries).await {
            // There was no need to be quick, as nothing is elsewhere.
            Err(error) if tries == Tries::One && may_come_right(&error) => {
                self.open_here(&segment, &part, tried, Tries::All).await
            }
            outcome => outcome,
        }
    }

    /// Opens a part of a segment where it is now or, after so many tries, elsewhere.
    async fn open_here(
        &self,
        segment: &Segment,
        part: &Range<u64>,
        tried: &mut Vec<BlobKey>,
        tries: Tries,
    ) -> Result<Opened, StorageError> {
        let outcome = {
            let mut reading = pin!(self.storage.read_segment(segment, part.clone(), tries));
            match within(self.patience_with(segment), &mut reading).await {
                Some(outcome) => outcome,
                // It stands still: what has copies need not wait for it, and who reads next need not either.
                None => match self.open_elsewhere(segment, part, tried, false).await {
                    Some(found) => {
                        self.stands_still(segment);
                        return Ok(found);
                    }
                    None => reading.await,
                },
            }
        };
        match outcome {
            Ok(bytes) => Ok(Opened { segment: segment.clone(), bytes, tries }),
            Err(error) => {
                tried.extend(segment.blob_key().cloned());
                match is_the_places(&error) {
                    true => self.open_elsewhere(segment, part, tried, false).await.ok_or(error),
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
    ) -> Option<Opened> {
        for found in self.elsewhere(segment, tried, only_well).await {
            let reading = self.storage.read_segment(&found.segment, part.clone(), Tries::All);
            match within(self.patience_with(&found.segment), reading).await {
                Some(Ok(bytes)) => {
                    found.was_taken(self);
                    return Some(Opened { segment: found.segment, bytes, tries: Tries::All });
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

    /// How often a place is tried before a copy is asked for.
    fn tries_of(&self, segment: &Segment) -> Tries {
        // Of what is not waited for without end, others may have a copy.
        if self.patience_with(segment).is_some() { Tries::One } else { Tries::All }
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
    opened: Opened,
    /// What is still to come, counted from the segment's start.
    part: Range<u64>,
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
            let patience = self.segments.patience_with(&self.opened.segment);
            let outcome = match within(patience, self.opened.bytes.next()).await {
                Some(outcome) => outcome,
                None => match self.leave().await {
                    true => continue,
                    false => self.opened.bytes.next().await,
                },
            };
            let error = match outcome {
                Some(Ok(chunk)) => {
                    self.part.start = self.part.start.saturating_add(chunk.len() as u64);
                    self.tried.clear();
                    return Some(Ok(chunk));
                }
                None if self.part.start >= self.part.end => return None,
                None => self.segments.ended_early(&self.opened.segment),
                Some(Err(error)) => error,
            };
            self.tried.extend(self.opened.segment.blob_key().cloned());
            match self.go_on_after(&error).await {
                Some(opened) => self.opened = opened,
                None => {
                    self.part.start = self.part.end;
                    self.opened.bytes = stream::empty().boxed();
                    return Some(Err(error));
                }
            }
        }
    }

    /// The rest of what ended with an error: from elsewhere or, where it was left after one try for the sake of that, from where
    /// it was.
    async fn go_on_after(&mut self, error: &StorageError) -> Option<Opened> {
        if !is_the_places(error) {
            return None;
        }
        let (segments, part) = (self.segments.clone(), self.part.clone());
        let here = &self.opened.segment;
        if let Some(found) = segments.open_elsewhere(here, &part, &mut self.tried, false).await {
            return Some(found);
        }
        if self.opened.tries != Tries::One || !may_come_right(error) {
            return None;
        }
        segments.open_here(here, &part, &mut self.tried, Tries::All).await.ok()
    }

    /// Leaves a place that stands still for another one, if there is one.
    async fn leave(&mut self) -> bool {
        let (segments, part, here) = (self.segments.clone(), self.part.clone(), &self.opened.segment);
        let mut tried: Vec<_> = self.tried.iter().chain(here.blob_key()).cloned().collect();
        match segments.open_elsewhere(here, &part, &mut tried, false).await {
            Some(opened) => {
                segments.stands_still(here);
                (self.opened, self.tried) = (opened, tried);
                true
            }
            None => false,
        }
    }
}

/// Whether another try at the same place may succeed: not where nothing came for as long as it may take.
fn may_come_right(error: &StorageError) -> bool {
    matches!(error, StorageError::ProviderUnavailable { .. } | StorageError::ProviderThrottled { .. })
}

/// What a future gives in time; `None` where it takes longer.
async fn within<T>(patience: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match patience {
        Some(patience) => timeout(patience, future).await.ok(),
        None => Some(future.await),
    }
}
