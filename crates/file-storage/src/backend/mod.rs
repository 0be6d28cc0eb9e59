//! Bytes: the trait of a provider that keeps blobs, and the providers.
//!
//! Blobs are immutable: written once under a fresh key, read, deleted. Nothing here knows a user, a path of an
//! object, or the database. The conformance suite in `conformance` holds for every provider and decorator.

pub mod local;
pub mod metered;

#[cfg(test)]
pub(crate) mod conformance;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::Timestamp;
use crate::body::ByteStream;
use crate::errors::{Cause, StorageError};
use crate::file::{BlobKey, Sha256};

/// A provider of blobs.
#[async_trait]
pub trait StorageBackend: Send + Sync + 'static {
    /// The provider's name, as segments record it.
    fn provider(&self) -> &Arc<str>;

    /// Stores a blob under a fresh key. When it answers `Ok`, the blob is wholly there and durable; when it
    /// fails, or its future is dropped, nothing of it stays visible, and what is left is found by
    /// [`StorageBackend::recover`].
    ///
    /// # Errors
    /// [`BackendError::Body`] with the body's own error, [`BackendError::DiskFull`], [`BackendError::Io`].
    async fn write(
        &self,
        key: &BlobKey,
        body: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<BlobWritten, BackendError>;

    /// Says that the blob's metadata is committed (`kept`) or that it is not wanted: in the second case it is
    /// deleted. Until then a crash leaves a mark by which [`StorageBackend::recover`] finds the blob.
    async fn settle(&self, key: &BlobKey, kept: bool);

    /// Reads a blob, or a range of it: `start..end`, both within the blob.
    ///
    /// # Errors
    /// [`BackendError::NotFound`], [`BackendError::Io`].
    async fn read(
        &self,
        key: &BlobKey,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<ByteStream, BackendError>;

    /// Makes a second blob of the same bytes, durable when it answers, and to be settled as after a write.
    ///
    /// # Errors
    /// As [`StorageBackend::read`] and [`StorageBackend::write`].
    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError>;

    /// Deletes a blob; one that is not there counts as deleted.
    ///
    /// # Errors
    /// [`BackendError::Io`].
    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError>;

    /// Whether the blob is there.
    ///
    /// # Errors
    /// [`BackendError::Io`].
    async fn exists(&self, key: &BlobKey) -> Result<bool, BackendError> {
        Ok(self.size(key).await?.is_some())
    }

    /// The blob's length in bytes; `None` where there is no such blob.
    ///
    /// # Errors
    /// [`BackendError::Io`].
    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError>;

    /// All blobs, in no particular order, for the orphan job. Names that are not ours are passed over.
    fn list(&self) -> BoxStream<'static, Result<BlobInfo, BackendError>>;

    /// Blobs whose writing a crash interrupted, or that were never settled. Called at start-up, before anything
    /// is written; half-written ones are removed on the way. Cost follows their number, not the blobs'.
    ///
    /// # Errors
    /// [`BackendError::Io`].
    async fn recover(&self) -> Result<Vec<BlobKey>, BackendError>;

    /// Writes, reads and deletes a small blob.
    ///
    /// # Errors
    /// What the first failing step says.
    async fn probe(&self) -> Result<(), BackendError>;
}

/// What a finished write knows about its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobWritten {
    /// Length, in bytes.
    pub size: u64,
    /// SHA-256 of the bytes, computed on their way through.
    pub sha256: Sha256,
}

/// A blob as a provider lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name.
    pub key: BlobKey,
    /// Its length, in bytes.
    pub size: u64,
    /// When it was written, by the provider's clock.
    pub modified: Timestamp,
}

/// What can go wrong with a provider.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// There is no such blob.
    #[error("blob not found")]
    NotFound,
    /// The provider has no room.
    #[error("no space left")]
    DiskFull,
    /// The body that was to be written failed: its own error, not the provider's.
    #[error("the body failed: {0}")]
    Body(Box<StorageError>),
    /// The provider failed.
    #[error("{operation} failed: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system says.
        source: Cause,
    },
}

impl BackendError {
    /// Folds a provider's error into the domain's: the only place where that happens.
    pub fn into_storage_error(self, provider: &Arc<str>) -> StorageError {
        match self {
            Self::Body(error) => *error,
            Self::DiskFull => StorageError::DiskFull { provider: provider.clone() },
            Self::NotFound => StorageError::Io {
                provider: provider.clone(),
                operation: "read",
                source: Arc::new(Self::NotFound),
            },
            Self::Io { operation, source } => {
                StorageError::Io { provider: provider.clone(), operation, source }
            }
        }
    }
}
