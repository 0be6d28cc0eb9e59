//! A look at the store: a small blob is written, read and deleted. One that a failure leaves there is deleted by the next look
//! that succeeds, so that an outage is not seen in the store afterwards. What a crash leaves is an orphan.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::{RemoteBackend, fault};
use crate::backend::{BackendError, StorageBackend};
use crate::body;
use crate::file::BlobKey;

/// Most blobs that are remembered. Of a long outage all but the first few were never written.
pub(super) const MOST: usize = 8;

/// Blobs of looks that have ended, which may still be there.
pub(super) type Left = Mutex<Vec<BlobKey>>;

/// The blob of a look. Dropped before it is known to be gone, it is remembered.
struct Blob<'a> {
    key: BlobKey,
    is_gone: bool,
    left: &'a Left,
}

impl<'a> Blob<'a> {
    fn new(key: BlobKey, left: &'a Left) -> Self {
        Self { key, is_gone: false, left }
    }

    async fn delete(mut self, backend: &RemoteBackend) -> Result<(), BackendError> {
        backend.delete(&self.key).await?;
        self.is_gone = true;
        Ok(())
    }
}

impl Drop for Blob<'_> {
    fn drop(&mut self) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_gone && left.len() < MOST {
            left.push(self.key.clone());
        }
    }
}

/// Looks at the store.
pub(super) async fn probe(backend: &RemoteBackend) -> Result<(), BackendError> {
    let left = &backend.inner.probes;
    // Not one that others use: servers which share the store look at it at the same time.
    let blob = Blob::new(BlobKey::new(Uuid::now_v7()), left);
    let bytes = Bytes::copy_from_slice(blob.key.as_str().as_bytes());
    backend.write(&blob.key, body::from_bytes(bytes.clone()), Some(bytes.len() as u64)).await?;
    let read = async {
        let read = backend.read(&blob.key, None).await?.try_collect::<Vec<_>>().await;
        let read = read.map_err(|error| BackendError::Body(Box::new(error)))?;
        if read.concat() == bytes { Ok(()) } else { Err(fault::wrong_answer("probe", "other bytes")) }
    };
    let read = read.await;
    blob.delete(backend).await?;
    read?;
    let before = std::mem::take(&mut *left.lock().unwrap_or_else(PoisonError::into_inner));
    let before: Vec<Blob<'_>> = before.into_iter().map(|key| Blob::new(key, left)).collect();
    // The look itself has succeeded. Those that are still there are remembered again.
    for blob in before {
        if blob.delete(backend).await.is_err() {
            break;
        }
    }
    Ok(())
}
