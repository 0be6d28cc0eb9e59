//! Reading segments wherever they are by now: the upload queue may carry a blob elsewhere while its object is read. In this
//! process, leases keep the old one; of another process's readers nobody knows, and the old blob goes after a grace. Then the
//! object's row says where the bytes are.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, stream};
use uuid::Uuid;

use super::FileStorage;
use super::leases::Lease;
use crate::backend::BackendError;
use crate::body::ByteStream;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::file::{Place, Segment, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::Access;
use crate::versions::VersionId;

/// How often a blob is followed in a row. More moves than that while nothing of it was read are no moves.
const MOST_MOVES: u32 = 3;

/// The segments of one version of an object, for as long as somebody reads them.
pub(super) struct Segments {
    storage: FileStorage,
    access: Access,
    bucket: BucketName,
    path: ObjectPath,
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
        let (segment, bytes) = self.open(segment.clone(), part.clone()).await?;
        // A file that is open on a disk stays until it is closed. What is far away is asked for piece by piece.
        let is_remote = match &segment.place {
            Place::Inline(_) => false,
            Place::Blob { provider, .. } => {
                self.storage.providers().get(provider).is_some_and(|provider| provider.is_remote())
            }
        };
        Ok(match is_remote {
            true => Following { segments: self.clone(), segment, part, bytes, moves: 0 }.into_stream(),
            false => bytes,
        })
    }

    /// Opens a part of a segment where it is now.
    async fn open(
        &self,
        mut segment: Segment,
        part: Range<u64>,
    ) -> Result<(Segment, ByteStream), StorageError> {
        let mut moves = 0;
        loop {
            match self.storage.read_segment(&segment, part.clone()).await {
                Ok(bytes) => return Ok((segment, bytes)),
                Err(error) => {
                    moves += 1;
                    segment = self.follow(&segment, &error, moves).await.ok_or(error)?;
                }
            }
        }
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
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).push(lease);
        tracing::info!(bucket = %self.bucket, path = %self.path, "a blob was moved while it was read");
        Some(moved)
    }

    /// The same version once more: it may be an old one by now.
    async fn look_again(&self) -> Option<StoredObject> {
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
    /// How often the blob was followed since the last byte.
    moves: u32,
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
            let error = match self.bytes.next().await? {
                Ok(chunk) => {
                    self.part.start = self.part.start.saturating_add(chunk.len() as u64);
                    self.moves = 0;
                    return Some(Ok(chunk));
                }
                Err(error) => error,
            };
            self.moves += 1;
            let opened = match self.segments.follow(&self.segment, &error, self.moves).await {
                Some(moved) => self.segments.open(moved, self.part.clone()).await,
                None => Err(error),
            };
            match opened {
                Ok((segment, bytes)) => (self.segment, self.bytes) = (segment, bytes),
                Err(error) => {
                    self.bytes = stream::empty().boxed();
                    return Some(Err(error));
                }
            }
        }
    }
}
