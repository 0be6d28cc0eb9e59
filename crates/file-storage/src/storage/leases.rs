//! Who is still reading which blobs: a blob that was deleted or replaced is unlinked only after its last reader
//! in this process has gone (SPEC 5, atomicity). Also knows the blobs that are being written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{RwLock, RwLockReadGuard};

use crate::file::BlobKey;

/// The blobs of this process that must not be deleted.
#[derive(Default)]
pub(crate) struct Leases {
    /// Held for reading from before a row is looked up until its blobs are leased: see [`Leases::barrier`].
    lookups: RwLock<()>,
    held: Arc<Mutex<HashMap<BlobKey, usize>>>,
}

/// Keeps blobs from being deleted until it is dropped.
#[must_use]
pub(crate) struct Lease {
    keys: Vec<BlobKey>,
    held: Arc<Mutex<HashMap<BlobKey, usize>>>,
}

impl Lease {
    /// Keeps another blob as well.
    pub(crate) fn extend(&mut self, key: BlobKey) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held.entry(key.clone()).or_default() += 1;
        drop(held);
        self.keys.push(key);
    }
}

impl Leases {
    /// To be held while a row is looked up and its blobs are leased.
    pub(crate) async fn begin_lookup(&self) -> RwLockReadGuard<'_, ()> {
        self.lookups.read().await
    }

    /// Leases blobs.
    pub(crate) fn hold(&self, keys: Vec<BlobKey>) -> Lease {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &keys {
            *held.entry(key.clone()).or_default() += 1;
        }
        Lease { keys, held: self.held.clone() }
    }

    /// Waits until every lookup that began before has leased what it found. A blob that was queued for deletion
    /// before the barrier, and is not leased after it, will never be leased.
    pub(crate) async fn barrier(&self) {
        drop(self.lookups.write().await);
    }

    /// Whether somebody holds the blob.
    pub(crate) fn is_held(&self, key: &BlobKey) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// Number of blobs that are held.
    pub(crate) fn count(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some(count) = held.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    held.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blob_is_held_until_its_last_reader_has_gone() {
        let leases = Leases::default();
        let key = BlobKey::new(uuid::Uuid::nil());
        let first = leases.hold(vec![key.clone()]);
        let second = leases.hold(vec![key.clone()]);
        drop(first);
        assert!(leases.is_held(&key));
        drop(second);
        assert!(!leases.is_held(&key));
        assert_eq!(leases.count(), 0);
    }

    #[tokio::test]
    async fn the_barrier_waits_for_lookups_that_began_before_it() {
        let leases = Arc::new(Leases::default());
        let lookup = leases.begin_lookup().await;
        let waiting = tokio::spawn({
            let leases = leases.clone();
            async move { leases.barrier().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(lookup);
        waiting.await.unwrap();
    }
}
