//! The end of a batch: what is to become visible, and what goes where it does not.

use std::time::Duration;

use tokio::time::Instant;

use crate::errors::StorageError;
use crate::executor::Written;
use crate::file::{NewObject, PutMode};
use crate::permissions::Access;
use crate::storage::FileStorage;
use crate::storage::blobs::PlacedBlob;
use crate::storage::leases::Lease;
use crate::storage::queue::Queued;
use crate::storage::upload::Prepared;

/// How long a blob waits for the transaction at most. Leases are this process's: to the orphan jobs of others, a blob that nobody
/// knows is an orphan after `cleanup.grace`, and the rest of that is for the commit.
const LONGEST: Duration = Duration::from_secs(120);

/// A file whose bytes are in their place, or in memory. Dropped, its blob is not wanted.
pub(super) struct Taken {
    storage: FileStorage,
    object: Option<NewObject>,
    blob: Option<(PlacedBlob, Lease)>,
    placed: Instant,
}

/// What is to become visible, and what is to be known of it.
#[derive(Default)]
pub(super) struct Commit {
    pub(super) objects: Vec<NewObject>,
    /// Which files of the batch they are.
    pub(super) numbers: Vec<usize>,
    blobs: Vec<Option<(PlacedBlob, Lease)>>,
    queued: Vec<Vec<Queued>>,
}

impl Commit {
    pub(super) fn add(&mut self, access: &Access, mut taken: Taken, number: usize) {
        if let Some(object) = taken.object.take() {
            self.queued.push(Queued::among(access, &object.path, &object.segments));
            self.objects.push(object);
            self.numbers.push(number);
            self.blobs.push(taken.blob.take());
        }
    }

    pub(super) async fn run(
        self,
        storage: FileStorage,
        access: Access,
        mode: PutMode,
    ) -> Result<Vec<Result<Written, StorageError>>, StorageError> {
        let outcome = match storage.hit("batch.before_commit").await {
            Ok(()) => storage.executor().put_objects(&access, self.objects, &mode).await,
            Err(error) => Err(error),
        };
        storage.ring_events();
        match &outcome {
            Ok(outcomes) => {
                let mut placed = self.blobs.iter().zip(outcomes);
                if placed.any(|(blob, outcome)| blob.is_some() && outcome.is_ok()) {
                    storage.copies_were_queued();
                }
                for ((blob, queued), outcome) in self.blobs.iter().zip(&self.queued).zip(outcomes) {
                    if let Some((blob, _lease)) = blob {
                        storage.settle_blob(blob, outcome.is_ok()).await;
                    }
                    if outcome.is_ok() {
                        storage.were_queued(queued);
                    }
                }
                if outcomes.iter().flatten().any(|written| !written.created) {
                    storage.ring_deletions();
                }
            }
            Err(error) => {
                let blobs: Vec<_> = self.blobs.iter().flatten().map(|(blob, _lease)| blob.clone()).collect();
                storage.settle(&blobs, Err(error)).await;
            }
        }
        outcome
    }
}

impl Taken {
    /// Whether its blob waited too long: it is to go before somebody else takes it for an orphan while the object is there.
    pub(super) fn is_late(&self) -> bool {
        self.blob.is_some() && self.placed.elapsed() > LONGEST
    }

    pub(super) fn of(storage: FileStorage, prepared: Prepared) -> Self {
        let Prepared { object, blob, .. } = prepared;
        Self { storage, object: Some(object), blob, placed: Instant::now() }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some((blob, lease)) = self.blob.take() {
            let storage = self.storage.clone();
            self.storage.inner.commits.spawn(async move {
                storage.settle_blob(&blob, false).await;
                drop(lease);
            });
        }
    }
}
