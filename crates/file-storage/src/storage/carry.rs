//! Carrying a blob to another provider, or to a better place on its own: copied, read back from there, and only then said to be there.
//!
//! Until then every reader finds it where it was. A copy that comes to nothing is deleted; one that a crash leaves is an
//! orphan, as no row knows it.

use std::sync::Arc;

use aws_lc_rs::digest;
use futures_util::StreamExt;
use uuid::Uuid;

use super::FileStorage;
use super::blobs::{PlacedBlob, Unwanted};
use super::leases::Lease;
use crate::backend::BackendError;
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::executor::ClaimedEntry;
use crate::file::Sha256;

/// Why a blob stays where it is, for now or for good.
#[derive(Debug)]
pub(crate) enum CarryFault {
    /// It could not be read.
    Source(StorageError),
    /// It is not there.
    SourceGone,
    /// It is not what was stored.
    SourceDiffers,
    /// It could not be written, or not be read back.
    Target(StorageError),
    /// What was written is not what comes back.
    CopyDiffers,
    /// Nothing refers to it any more, or somebody else has the entry.
    Overtaken,
    /// The database failed.
    Database(StorageError),
}

/// What a copy must have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) sha256: Sha256,
}

/// A copy that nothing refers to yet. Dropped, it is not wanted.
pub(super) struct Carried<'a> {
    pub(super) blob: PlacedBlob,
    unwanted: Unwanted<'a>,
    /// Keeps the blob from being deleted, and the copy from being taken for an orphan.
    lease: Lease,
}

impl FileStorage {
    /// Carries the blob of an entry to its target, where the worker still has its claim in the end. Dropped before it has
    /// begun to say so to the database, it leaves nothing.
    ///
    /// # Errors
    /// See [`CarryFault`].
    pub(crate) async fn carry(&self, worker: Uuid, claimed: &ClaimedEntry) -> Result<(), CarryFault> {
        self.hit("queue.claimed").await.map_err(CarryFault::Database)?;
        let content = Content { size: claimed.entry.size, sha256: claimed.sha256 };
        let source = PlacedBlob { provider: claimed.entry.source.clone(), key: claimed.key.clone() };
        let copy = self.copied_to(&claimed.entry.target, &source, content, |body| body).await?;
        self.hit("queue.written").await.map_err(CarryFault::Database)?;
        self.compare(content, &copy.blob).await?;
        self.hit("queue.verified").await.map_err(CarryFault::Database)?;
        self.say_it_is_there(worker, claimed, copy).await
    }

    /// Makes a second blob of these bytes on a provider, under a new name. `pace` may hold them up on their way.
    pub(super) async fn copied_to(
        &self,
        target: &Arc<str>,
        source: &PlacedBlob,
        content: Content,
        pace: impl FnOnce(ByteStream) -> ByteStream,
    ) -> Result<Carried<'_>, CarryFault> {
        let no_key = || CarryFault::Database(StorageError::internal("a blob's key names no bucket"));
        let key = source.key.sibling().ok_or_else(no_key)?;
        let lease = self.leases().hold(vec![source.key.clone(), key.clone()]);
        let from = self.providers().named(&source.provider, "read").map_err(CarryFault::Source)?;
        let to = self.providers().named(target, "write").map_err(CarryFault::Target)?;
        let body = from.read(&source.key, None).await.map_err(|error| match error {
            BackendError::NotFound => CarryFault::SourceGone,
            error => CarryFault::Source(error.into_storage_error(&source.provider)),
        })?;
        let blob = PlacedBlob { provider: target.clone(), key };
        let mut unwanted = Unwanted { storage: self, blobs: vec![blob.clone()] };
        match to.write(&blob.key, pace(body), Some(content.size)).await {
            Ok(written) if (written.size, written.sha256) == (content.size, content.sha256) => {
                Ok(Carried { blob, unwanted, lease })
            }
            Ok(_) => Err(CarryFault::SourceDiffers),
            Err(error) => {
                // After a refusal, or a body that failed, there is no blob; of what broke off, nobody knows.
                if !error.is_transient() {
                    unwanted.blobs.clear();
                }
                Err(match error {
                    BackendError::Body(error) => CarryFault::Source(*error),
                    error => CarryFault::Target(error.into_storage_error(target)),
                })
            }
        }
    }

    /// Reads a copy back from where it is now, as its readers will.
    pub(super) async fn compare(&self, content: Content, copy: &PlacedBlob) -> Result<(), CarryFault> {
        let read = self.read_blob((&copy.provider, &copy.key), None).await;
        let (size, sha256) =
            digest_of(read.map_err(CarryFault::Target)?).await.map_err(CarryFault::Target)?;
        match (size, sha256) == (content.size, content.sha256) {
            true => Ok(()),
            false => Err(CarryFault::CopyDiffers),
        }
    }

    /// Runs the commit that has rows refer to a copy. It goes on though nobody waits for it any more.
    pub(super) async fn referred_to(
        &self,
        copy: Carried<'_>,
        commit: impl Future<Output = Result<(), StorageError>> + Send + 'static,
    ) -> Result<(), StorageError> {
        let Carried { blob, mut unwanted, lease } = copy;
        // From here on the commit settles it.
        unwanted.blobs.clear();
        self.settled(vec![blob], lease, commit).await?;
        // Not before the lease is gone: what is still read is passed over.
        self.ring_deletions();
        Ok(())
    }

    /// Has rows refer to the copy, in one transaction.
    async fn say_it_is_there(
        &self,
        worker: Uuid,
        claimed: &ClaimedEntry,
        copy: Carried<'_>,
    ) -> Result<(), CarryFault> {
        let access = self.maintain("bring blobs home").map_err(CarryFault::Database)?;
        let (storage, claimed, key) = (self.clone(), claimed.clone(), copy.blob.key.clone());
        // What was just read and found to be good need not be copied back where copies are kept.
        let keeps_source = self.providers().is_backup(&claimed.entry.source);
        let committed = self.referred_to(copy, async move {
            storage.hit("queue.before_commit").await?;
            let executor = storage.executor();
            if !executor.complete_entry(&access, worker, &claimed, &key, keeps_source).await? {
                return Err(StorageError::QueueEntryNotFound { entry: claimed.entry.id });
            }
            storage.hit("queue.completed").await
        });
        committed.await.map_err(|error| match error {
            StorageError::QueueEntryNotFound { .. } => CarryFault::Overtaken,
            error => CarryFault::Database(error),
        })
    }
}

/// Length and SHA-256 of what a stream brings.
async fn digest_of(mut bytes: ByteStream) -> Result<(u64, Sha256), StorageError> {
    let (mut size, mut hash) = (0_u64, digest::Context::new(&digest::SHA256));
    while let Some(chunk) = bytes.next().await.transpose()? {
        size = size.saturating_add(chunk.len() as u64);
        hash.update(&chunk);
    }
    Ok((size, Sha256::from_digest(&hash.finish())))
}
