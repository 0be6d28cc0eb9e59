//! The commit of what was uploaded, and what becomes of its blobs: they stay where the commit came to be, and go where it did not.

use tracing::Instrument as _;

use super::FileStorage;
use super::blobs::PlacedBlob;
use super::leases::Lease;
use super::queue::Queued;
use crate::errors::StorageError;
use crate::executor::Written;
use crate::file::{BlobKey, NewObject, PutMode};
use crate::permissions::Access;

impl FileStorage {
    /// Commits an object whose blobs are written, and settles them.
    pub(super) async fn commit(
        &self,
        access: Access,
        object: NewObject,
        mode: PutMode,
        lease: Lease,
    ) -> Result<Written, StorageError> {
        let storage = self.clone();
        let blobs = object.segments.iter().filter_map(|segment| PlacedBlob::of(&segment.place)).collect();
        let queued = Queued::among(&access, &object.path, &object.segments);
        self.settled(blobs, lease, async move {
            storage.hit("upload.before_commit").await?;
            let written = storage.executor().put_object(&access, object, &mode).await?;
            storage.were_queued(&queued);
            storage.copies_were_queued();
            if !written.created {
                storage.inner.deletions_queued.notify_one();
            }
            Ok(written)
        })
        .await
    }

    /// Runs the commit of blobs that are written, and settles them. Goes on though the caller goes away: a transaction that
    /// has begun can't be called back, and its blobs must not be taken for abandoned.
    pub(super) async fn settled<T: Send + 'static>(
        &self,
        blobs: Vec<PlacedBlob>,
        lease: Lease,
        commit: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> Result<T, StorageError> {
        let storage = self.clone();
        let commit = async move {
            let outcome = commit.await;
            storage.ring_events();
            storage.settle(&blobs, outcome.as_ref().map(|_| ())).await;
            drop(lease);
            outcome
        };
        // Part of the request that it is for, also in traces.
        let task = self.inner.commits.spawn(commit.in_current_span());
        match task.await {
            Ok(outcome) => outcome,
            Err(error) => Err(StorageError::internal(format!("commit task failed: {error}"))),
        }
    }

    /// Settles blobs after their commit. Where the commit failed, the database is asked: a failure may have been
    /// the answer's alone. Where it does not say, the blobs stay, and the start-up check or the orphan job decides.
    pub(super) async fn settle(&self, blobs: &[PlacedBlob], outcome: Result<(), &StorageError>) {
        if outcome.is_err() {
            // Its line in the audit log alone may have failed. Who has to do with what was written looks for himself.
            self.ring_queue();
            self.copies_were_queued();
            self.ring_deletions();
        }
        if blobs.is_empty() {
            return;
        }
        let keys: Vec<BlobKey> = blobs.iter().map(|blob| blob.key.clone()).collect();
        let known = match outcome {
            Ok(()) => keys,
            Err(_) => match self.known_blobs(&keys).await {
                Ok(known) => known,
                Err(error) => {
                    tracing::warn!(%error, "blobs of a failed commit stay until the next check");
                    return;
                }
            },
        };
        for blob in blobs {
            self.settle_blob(blob, known.contains(&blob.key)).await;
        }
    }

    async fn known_blobs(&self, keys: &[BlobKey]) -> Result<Vec<BlobKey>, StorageError> {
        let access = self.maintain("settle blobs of a failed commit")?;
        self.executor().known_blobs(&access, keys).await
    }

    /// Deletes a blob that was written and is not wanted. Goes on though the caller goes away.
    pub(super) async fn discard(&self, blob: PlacedBlob, lease: Lease) {
        let storage = self.clone();
        let task = self.inner.commits.spawn(async move {
            storage.settle_blob(&blob, false).await;
            drop(lease);
        });
        if let Err(error) = task.await {
            tracing::error!(%error, "a blob that is not wanted was not deleted");
        }
    }
}
