//! The end of an upload, after its metadata is committed or refused.
//!
//! Removing a mark is what a committed upload still owes, and nobody needs to wait for it: a mark that
//! survives a crash only makes recovery ask about a blob that is known. Marks are removed in turns, many at a time.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Inner, error};
use crate::file::BlobKey;

/// Blobs whose marks are to be removed.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Vec<BlobKey>,
    /// Whether a thread is at it.
    busy: bool,
}

impl Queue {
    /// Adds a key, and says whether somebody must start working the queue.
    fn add(&self, key: BlobKey) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.keys.push(key);
        !mem::replace(&mut state.busy, true)
    }

    /// Everything that waits; with nothing left, the worker is free to go.
    fn take(&self) -> Option<Vec<BlobKey>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.busy = !state.keys.is_empty();
        state.busy.then(|| mem::take(&mut state.keys))
    }
}

/// See [`crate::backend::StorageBackend::settle`].
pub(super) async fn settle(inner: &Arc<Inner>, key: &BlobKey, kept: bool) {
    if kept {
        if inner.settled.add(key.clone()) {
            let worker = inner.clone();
            inner.tasks.spawn_blocking(move || unmark_all(&worker));
        }
        return;
    }
    let (this, gone) = (inner.clone(), key.clone());
    let deleted = inner.for_writing("settle", move || {
        this.delete(&gone).map_err(error::io("settle"))?;
        this.forget(&gone);
        Ok(())
    });
    if let Err(error) = deleted.await {
        tracing::warn!(%key, %error, "an unwanted blob could not be removed");
    }
}

fn unmark_all(inner: &Inner) {
    while let Some(keys) = inner.settled.take() {
        for key in keys {
            match inner.unmark(&key) {
                Ok(()) => inner.forget(&key),
                Err(error) => tracing::warn!(%key, %error, "the mark of a settled blob could not be removed"),
            }
        }
    }
}

impl Inner {
    /// A blob that a recovery found is settled.
    fn forget(&self, key: &BlobKey) {
        self.recovered.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
