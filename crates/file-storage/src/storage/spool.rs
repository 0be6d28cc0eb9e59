//! How full the spool is: what waits there, as the queue's worker saw it last, and what this process has put there since.

use std::sync::{Arc, Mutex, PoisonError};

/// The spool's load, in bytes. In a cluster, others fill the spool too: the worker sees theirs.
#[derive(Debug, Default)]
pub(crate) struct SpoolLoad {
    bytes: Arc<Mutex<Load>>,
}

#[derive(Debug, Default)]
struct Load {
    /// What waited when the worker looked.
    seen: u64,
    /// All that this process ever put there.
    kept: u64,
    /// How much of that it was when the worker looked.
    kept_then: u64,
    /// What is on its way there.
    coming: u64,
}

impl Load {
    fn total(&self) -> u64 {
        let since = self.kept.saturating_sub(self.kept_then);
        self.seen.saturating_add(since).saturating_add(self.coming)
    }
}

/// Room on the spool, until it is dropped.
#[must_use]
#[derive(Debug)]
pub(super) struct SpoolShare {
    load: Arc<Mutex<Load>>,
    bytes: u64,
}

impl SpoolLoad {
    /// Room for some bytes, if there is; of a body whose length nobody knows, for none yet.
    pub(super) fn share(&self, bytes: u64, limit: u64) -> Option<SpoolShare> {
        let mut load = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if load.total() >= limit || bytes > limit - load.total() {
            return None;
        }
        load.coming = load.coming.saturating_add(bytes);
        drop(load);
        Some(SpoolShare { load: self.bytes.clone(), bytes })
    }

    /// To be asked for before the worker looks.
    pub(crate) fn kept(&self) -> u64 {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).kept
    }

    /// Says what waits, after having looked.
    pub(crate) fn saw(&self, seen: u64, kept_then: u64) {
        let mut load = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        load.seen = seen;
        load.kept_then = kept_then;
    }
}

impl SpoolShare {
    /// As much as it turned out to be.
    pub(super) fn of(mut self, bytes: u64) -> Self {
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        load.coming = load.coming.saturating_sub(self.bytes).saturating_add(bytes);
        drop(load);
        self.bytes = bytes;
        self
    }

    /// The bytes stay there until they are brought home.
    pub(super) fn keep(self) {
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        load.kept = load.kept.saturating_add(self.bytes);
    }
}

impl Drop for SpoolShare {
    fn drop(&mut self) {
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        load.coming = load.coming.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_while_bytes_come_and_until_they_are_seen_to_be_gone() {
        let spool = SpoolLoad::default();
        let (first, second) = (spool.share(60, 100).unwrap(), spool.share(30, 100).unwrap());
        assert!(spool.share(11, 100).is_none());
        // One does not come after all, the other one is longer than it was said to be.
        drop(second);
        first.of(100).keep();
        assert!(spool.share(0, 100).is_none());
        let look = spool.kept();
        spool.share(0, 200).unwrap().of(50).keep();
        spool.saw(20, look);
        assert!(spool.share(31, 100).is_none());
        drop(spool.share(30, 100).unwrap());
        spool.saw(0, spool.kept());
        drop(spool.share(100, 100).unwrap());
        assert!(spool.share(101, 100).is_none());
    }
}
