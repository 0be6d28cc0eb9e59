//! Bytes: the trait of a provider that keeps blobs, and the providers.
//!
//! Blobs are immutable: written once under a fresh key, read, deleted. Nothing here knows a user, a path of an
//! object, or the database. The conformance suite in `conformance` holds for every provider and decorator.

pub mod local;
pub mod metered;
pub mod originals;
pub mod place;
pub mod provider;
pub mod registry;
pub mod remote;

#[cfg(test)]
pub(crate) mod conformance;

use std::sync::Arc;
use std::time::Duration;

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
    /// [`BackendError::Body`] with the body's own error, [`BackendError::DiskFull`], and what is wrong with the
    /// provider.
    async fn write(
        &self,
        key: &BlobKey,
        body: ByteStream,
        size_hint: Option<u64>,
    ) -> Result<BlobWritten, BackendError>;

    /// Says that the blob's metadata is committed (`kept`) or that it is not wanted: in the second case it is
    /// deleted. Until then a crash leaves a mark by which [`StorageBackend::recover`] finds the blob; or, where a mark
    /// would be a request for each upload, leaves a blob that [`StorageBackend::list`] shows to the orphan job.
    async fn settle(&self, key: &BlobKey, kept: bool);

    /// Reads a blob, or a range of it: `start..end`, both within the blob.
    ///
    /// # Errors
    /// [`BackendError::NotFound`], and what is wrong with the provider or with the range.
    async fn read(
        &self,
        key: &BlobKey,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<ByteStream, BackendError>;

    /// The same in one attempt, also in the body's midst: for who has another place to turn to. What tries nothing again by itself
    /// reads as always.
    ///
    /// # Errors
    /// As [`StorageBackend::read`].
    async fn read_once(
        &self,
        key: &BlobKey,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<ByteStream, BackendError> {
        self.read(key, range).await
    }

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

    /// Whether [`StorageBackend::list`] goes in the byte order of names, and costs less than asking for each: then upkeep
    /// compares rows with a list, and asks for those that it does not find there.
    fn lists_in_order(&self) -> bool {
        false
    }

    /// What makes blobs of files that were there before; `None` where they are written as any other. Decorators hand it on.
    fn adopter(&self) -> Option<Arc<dyn originals::Adopter>> {
        None
    }

    /// Blobs whose writing a crash interrupted, or that were never settled. Called at start-up, before anything
    /// is written; half-written ones are removed on the way. Cost follows their number, not the blobs'. A provider
    /// that can't be reached answers with none, and is asked again at the next start.
    ///
    /// # Errors
    /// [`BackendError::Io`].
    async fn recover(&self) -> Result<Vec<BlobKey>, BackendError>;

    /// Does what was tried in vain before and is no blob: has a store forget parts of uploads that it was asked to forget while it did
    /// not answer. Called again and again while a provider is not known to be away; touches nothing that is under way, and costs the
    /// provider no request where nothing is left. What fails is tried at the next call. Decorators hand it on.
    async fn give_up_leftovers(&self) {}

    /// Writes, reads and deletes a small blob.
    ///
    /// # Errors
    /// What the first failing step says.
    async fn probe(&self) -> Result<(), BackendError>;

    /// Waits until everything is done that goes on behind finished and dropped calls. For an orderly shutdown.
    async fn drain(&self);
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
    /// When it was there in full, by the provider's clock; `None` where the provider tells another time, as S3 does
    /// of a blob that was written in parts: when its writing began.
    pub modified: Option<Timestamp>,
    /// When its writing began, or later, by the provider's clock: it was there in full at some time after that.
    pub begun: Option<Timestamp>,
}

impl BlobInfo {
    /// Before when it was not there, by the provider's clock, as far as that can be told.
    pub(crate) fn earliest(&self) -> Option<Timestamp> {
        self.modified.or(self.begun)
    }
}

/// What can go wrong with a provider. No text of it has a secret or a signed URL in it.
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
    /// The provider failed, and would again.
    #[error("{operation} failed: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system says.
        source: Cause,
    },
    /// The provider refuses, and will again: credentials, rights, a bucket that is not there.
    #[error("{operation} was refused: {source}")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// What the provider says.
        source: Cause,
    },
    /// The provider did not answer, broke off, or says that it can't just now. The same may work in a moment.
    #[error("{operation} failed for now: {source}")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// When the provider wants to be asked again, where it says.
        retry_after: Option<Duration>,
        /// What the provider, or the network, says.
        source: Cause,
    },
    /// The provider took longer than the operation may.
    #[error("{operation} took longer than {limit:?}")]
    TimedOut {
        /// What was tried.
        operation: &'static str,
        /// How long it may take.
        limit: Duration,
    },
    /// The provider failed too often, and is left alone for a while: it was not asked.
    #[error("{operation} was not tried: the provider failed too often")]
    CircuitOpen {
        /// What was to be tried.
        operation: &'static str,
        /// When it is asked again.
        retry_after: Duration,
    },
    /// Too many calls wait for the provider already: it was not asked.
    #[error("{operation} was not tried: too many wait already")]
    Overloaded {
        /// What was to be tried.
        operation: &'static str,
        /// When to come back.
        retry_after: Duration,
    },
}

impl BackendError {
    /// Whether another attempt may succeed: after network errors, answers of the kind 5xx and 429, and timeouts.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::TimedOut { .. } => true,
            Self::NotFound
            | Self::DiskFull
            | Self::Body(_)
            | Self::Io { .. }
            | Self::Refused { .. }
            | Self::CircuitOpen { .. }
            | Self::Overloaded { .. } => false,
        }
    }

    /// How long the provider wants to be left alone, where it says.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            Self::CircuitOpen { retry_after, .. } | Self::Overloaded { retry_after, .. } => {
                Some(*retry_after)
            }
            Self::NotFound
            | Self::DiskFull
            | Self::Body(_)
            | Self::Io { .. }
            | Self::Refused { .. }
            | Self::TimedOut { .. } => None,
        }
    }

    /// Whether an error of the domain says that a provider does not have a blob.
    pub(crate) fn is_missing_blob(error: &StorageError) -> bool {
        match error {
            StorageError::Io { source, .. } => matches!(source.downcast_ref(), Some(Self::NotFound)),
            _ => false,
        }
    }

    /// Folds a provider's error into the domain's: the only place where that happens.
    pub fn into_storage_error(self, provider: &Arc<str>) -> StorageError {
        let provider = provider.clone();
        match self {
            Self::Body(error) => *error,
            Self::DiskFull => StorageError::DiskFull { provider },
            Self::NotFound => {
                StorageError::Io { provider, operation: "read", source: Arc::new(Self::NotFound) }
            }
            Self::Io { operation, source } | Self::Refused { operation, source } => {
                StorageError::Io { provider, operation, source }
            }
            Self::Unavailable { operation, retry_after: None, source } => {
                StorageError::ProviderUnavailable { provider, operation, source: Some(source) }
            }
            Self::Unavailable { operation, retry_after: Some(retry_after), source } => {
                StorageError::ProviderThrottled { provider, operation, retry_after, source }
            }
            Self::TimedOut { operation, .. } => StorageError::ProviderTimeout { provider, operation },
            Self::CircuitOpen { operation, retry_after } => {
                StorageError::CircuitOpen { provider, operation, retry_after }
            }
            Self::Overloaded { operation, retry_after } => {
                StorageError::ProviderOverloaded { provider, operation, retry_after }
            }
        }
    }
}
