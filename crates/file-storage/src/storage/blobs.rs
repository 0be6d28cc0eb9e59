//! Blobs on their providers: the only place that decides where new bytes go, and finds those that a row names.

use std::ops::Range;
use std::sync::Arc;

use super::FileStorage;
use crate::backend::BlobWritten;
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::file::{BlobKey, Place};

/// A blob, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlacedBlob {
    pub(super) provider: Arc<str>,
    pub(super) key: BlobKey,
}

impl PlacedBlob {
    /// The blob of a place, unless its bytes are inline.
    pub(super) fn of(place: &Place) -> Option<Self> {
        match place {
            Place::Inline(_) => None,
            Place::Blob { provider, key } => Some(Self { provider: provider.clone(), key: key.clone() }),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place::Blob { provider: self.provider.clone(), key: self.key.clone() }
    }
}

impl FileStorage {
    /// Writes a blob where new ones go, and says where that was. What an upload that fails, or whose caller goes away, may
    /// have left there is deleted.
    pub(super) async fn write_blob(
        &self,
        key: &BlobKey,
        body: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<(PlacedBlob, BlobWritten), StorageError> {
        let backend = self.providers().active().backend();
        let blob = PlacedBlob { provider: backend.provider().clone(), key: key.clone() };
        let mut unwanted = Unwanted { storage: self, blobs: vec![blob.clone()] };
        let written = backend.write(key, body, size_hint).await;
        // After a refusal, or a body that failed, there is no blob; of what broke off or stood still, nobody knows.
        if written.as_ref().map_or_else(|error| !error.is_transient(), |_| true) {
            unwanted.blobs.clear();
        }
        let written = written.map_err(|error| error.into_storage_error(&blob.provider))?;
        Ok((blob, written))
    }

    /// Reads a blob, or a range of it.
    pub(super) async fn read_blob(
        &self,
        (provider, key): (&Arc<str>, &BlobKey),
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, StorageError> {
        let backend = self.providers().named(provider, "read")?;
        backend.read(key, range).await.map_err(|error| error.into_storage_error(provider))
    }

    /// Makes a second blob of the same bytes, on the same provider.
    pub(super) async fn copy_blob(&self, from: &BlobKey, to: &PlacedBlob) -> Result<(), StorageError> {
        let backend = self.providers().named(&to.provider, "copy")?;
        backend.copy(from, &to.key).await.map_err(|error| error.into_storage_error(&to.provider))
    }

    /// Says of a blob that was written whether a row has it now; else it is deleted.
    pub(super) async fn settle_blob(&self, blob: &PlacedBlob, kept: bool) {
        // One that is gone from the configuration since: the blob stays, as it would in an outage.
        if let Ok(backend) = self.providers().named(&blob.provider, "settle") {
            backend.settle(&blob.key, kept).await;
        }
    }
}

/// Blobs that nothing will refer to, unless this is emptied. Dropped with them, it has them deleted.
pub(super) struct Unwanted<'a> {
    pub(super) storage: &'a FileStorage,
    pub(super) blobs: Vec<PlacedBlob>,
}

impl Drop for Unwanted<'_> {
    fn drop(&mut self) {
        if self.blobs.is_empty() {
            return;
        }
        let (storage, blobs) = (self.storage.clone(), std::mem::take(&mut self.blobs));
        self.storage.inner.commits.spawn(async move {
            for blob in &blobs {
                storage.settle_blob(blob, false).await;
            }
        });
    }
}
