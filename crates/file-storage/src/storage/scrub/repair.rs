//! A bad blob, made anew from a good one. It gets another name: what was bad is never written over, and goes only when rows refer
//! to what was read back from its provider and compared.

use futures_util::StreamExt;

use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::executor::ReferredBlob;
use crate::permissions::Access;
use crate::storage::FileStorage;
use crate::storage::blobs::PlacedBlob;
use crate::storage::carry::{CarryFault, Content};

/// What became of a repair.
#[derive(Debug)]
pub(crate) enum Repair {
    /// Rows refer to a good blob now.
    Done,
    /// There is nothing good to repair it from.
    NothingGood,
    /// It could not be written, or not be read back.
    Failed(StorageError),
    /// Nothing refers to it any more.
    Gone,
}

impl FileStorage {
    /// Makes a blob anew where it is, from the first of its copies that is good; of a bad copy, from the blob that it is of or another
    /// copy. The only one there is stays as it is.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn repair_blob(
        &self,
        access: &Access,
        blob: &ReferredBlob,
    ) -> Result<Repair, StorageError> {
        for source in self.others(access, blob).await? {
            match self.restore(access, blob, &source).await {
                Ok(()) => return Ok(Repair::Done),
                Err(CarryFault::Overtaken) => return Ok(Repair::Gone),
                Err(CarryFault::Database(error)) => return Err(error),
                Err(CarryFault::Target(error)) => return Ok(Repair::Failed(error)),
                Err(CarryFault::CopyDiffers) => {
                    let (bucket, path) = (blob.bucket.clone(), blob.path.clone());
                    return Ok(Repair::Failed(StorageError::ChecksumMismatch { bucket, path }));
                }
                Err(fault @ (CarryFault::Source(_) | CarryFault::SourceGone | CarryFault::SourceDiffers)) => {
                    tracing::warn!(blob = %blob.key, source = %source.key, provider = %source.provider, ?fault, "not repaired from here");
                }
            }
        }
        Ok(Repair::NothingGood)
    }

    /// Where the same bytes should be besides, the likeliest first: what is well, and the blob itself before its copies.
    async fn others(&self, access: &Access, blob: &ReferredBlob) -> Result<Vec<PlacedBlob>, StorageError> {
        let executor = self.executor();
        let original = blob.copy_of.as_ref().unwrap_or(&blob.key);
        let mut others = Vec::new();
        if blob.copy_of.is_some()
            && let Some(found) = executor.referred_blob(access, original).await?
        {
            others.push(PlacedBlob { provider: found.provider, key: found.key });
        }
        for copy in executor.copies_of(access, original).await? {
            others.push(PlacedBlob { provider: copy.provider, key: copy.key });
        }
        others.retain(|other| other.key != blob.key);
        let is_unwell =
            |other: &PlacedBlob| !self.providers().get(&other.provider).is_some_and(|it| it.is_healthy());
        others.sort_by_key(is_unwell);
        Ok(others)
    }

    /// Copies good bytes to the bad blob's provider, reads them back, and has rows refer to them.
    async fn restore(
        &self,
        access: &Access,
        blob: &ReferredBlob,
        source: &PlacedBlob,
    ) -> Result<(), CarryFault> {
        let content = Content { size: blob.size, sha256: blob.sha256 };
        let copy = self.copied_to(&blob.provider, source, content, |body| self.paced(body)).await?;
        self.hit("scrub.written").await.map_err(CarryFault::Database)?;
        self.compare(content, &copy.blob).await?;
        self.hit("scrub.verified").await.map_err(CarryFault::Database)?;
        let (storage, access, bad) = (self.clone(), access.clone(), blob.clone());
        let key = copy.blob.key.clone();
        let committed = self.referred_to(copy, async move {
            storage.hit("scrub.before_commit").await?;
            if storage.executor().replace_blob(&access, &bad, &key).await? {
                return storage.hit("scrub.replaced").await;
            }
            Err(StorageError::ObjectNotFound { bucket: bad.bucket, path: bad.path })
        });
        let outcome = committed.await.map_err(|error| match error {
            StorageError::ObjectNotFound { .. } => CarryFault::Overtaken,
            error => CarryFault::Database(error),
        });
        // What was read back counts, too: but not while nothing refers to the copy, which is an orphan to other processes then.
        self.spend_for_scrub(blob.size).await;
        outcome
    }

    /// A body that comes no faster than a scrub may read.
    fn paced(&self, body: ByteStream) -> ByteStream {
        let storage = self.clone();
        body.then(move |chunk| {
            let storage = storage.clone();
            async move {
                if let Ok(chunk) = &chunk {
                    storage.spend_for_scrub(chunk.len() as u64).await;
                }
                chunk
            }
        })
        .boxed()
    }
}
