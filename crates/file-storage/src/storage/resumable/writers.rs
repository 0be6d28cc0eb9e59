//! Which requests of this process append to which uploads: one at a time, and the newest. Among processes, the epoch in the
//! upload's row sees to the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::errors::StorageError;

/// The requests that append.
#[derive(Default)]
pub(in crate::storage) struct Writers(Arc<Mutex<HashMap<Uuid, Place>>>);

/// What is known of an upload's requests.
struct Place {
    /// Held by the one that appends.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Stops the newest one, which has the turn or waits for it.
    newest: CancellationToken,
    /// How many have it or wait for it.
    requests: usize,
}

/// Leave to append. Over when dropped.
pub(in crate::storage) struct Turn {
    /// Told when a newer request comes: what is there then is to be brought to an end.
    pub(super) stop: CancellationToken,
    held: Option<OwnedMutexGuard<()>>,
    _entry: Entry,
}

/// Takes a request out of the books when it goes, whether or not it got its turn.
struct Entry {
    upload: Uuid,
    writers: Arc<Mutex<HashMap<Uuid, Place>>>,
}

impl Writers {
    /// Stops whoever appends to an upload, waits until what they brought is kept, and has the turn then.
    ///
    /// # Errors
    /// [`StorageError::UploadTakenOver`] where a newer request came meanwhile.
    pub(in crate::storage) async fn take_over(&self, upload: Uuid) -> Result<Turn, StorageError> {
        let stop = CancellationToken::new();
        let (turn, before) = {
            let mut writers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let place = writers.entry(upload).or_insert_with(|| Place {
                turn: Arc::default(),
                newest: CancellationToken::new(),
                requests: 0,
            });
            place.requests += 1;
            (Arc::clone(&place.turn), std::mem::replace(&mut place.newest, stop.clone()))
        };
        before.cancel();
        let entry = Entry { upload, writers: Arc::clone(&self.0) };
        let held = turn.lock_owned().await;
        if stop.is_cancelled() {
            return Err(StorageError::UploadTakenOver { upload });
        }
        Ok(Turn { stop, held: Some(held), _entry: entry })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before the books are looked at.
        drop(self.held.take());
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = writers.get_mut(&self.upload) {
            place.requests -= 1;
            if place.requests == 0 {
                writers.remove(&self.upload);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_request_has_the_turn() {
        let writers = Arc::new(Writers::default());
        let upload = Uuid::now_v7();
        let first = writers.take_over(upload).await.unwrap();
        let take_over = || {
            let writers = Arc::clone(&writers);
            tokio::spawn(async move { writers.take_over(upload).await })
        };
        let second = take_over();
        first.stop.cancelled().await;
        let third = take_over();
        while writers.0.lock().unwrap()[&upload].requests < 3 {
            tokio::task::yield_now().await;
        }
        assert!(!second.is_finished() && !third.is_finished());
        drop(first);
        let overtaken = second.await.unwrap();
        assert!(matches!(overtaken, Err(StorageError::UploadTakenOver { .. })));
        let third = third.await.unwrap().unwrap();
        assert!(!third.stop.is_cancelled());
        drop(third);
        assert!(writers.0.lock().unwrap().is_empty());
    }
}
