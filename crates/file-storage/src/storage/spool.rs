//! How full the spool is: what waits there, as the queue's worker saw it last, and what this process has put there since.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use crate::body::ByteStream;
use crate::errors::StorageError;

/// How long bodies of unknown length wait for the active provider, once one of them did not fit: it may come again.
const TURNED_AWAY: Duration = Duration::from_secs(60);

/// When a client is told to come again whose body did not fit.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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
    /// Until when no body is taken whose length nobody knows.
    only_known_until: Option<Instant>,
}

impl Load {
    fn total(&self) -> u64 {
        let since = self.kept.saturating_sub(self.kept_then);
        self.seen.saturating_add(since).saturating_add(self.coming)
    }
}

/// Room on the spool, until it is dropped. Clones are one share: a body takes more room as it comes.
#[must_use]
#[derive(Debug, Clone)]
pub(super) struct SpoolShare(Arc<Share>);

#[derive(Debug)]
struct Share {
    load: Arc<Mutex<Load>>,
    /// How much it is. Changed while the load is held.
    bytes: AtomicU64,
    limit: u64,
    /// There was no more.
    is_out: AtomicBool,
}

impl SpoolLoad {
    /// Room for some bytes, if there is; of a body whose length nobody knows, for none yet.
    pub(super) fn share(&self, bytes: Option<u64>, limit: u64) -> Option<SpoolShare> {
        let mut load = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_welcome = bytes.is_some() || load.only_known_until.is_none_or(|until| until <= Instant::now());
        let bytes = bytes.unwrap_or(0);
        if !is_welcome || load.total() >= limit || bytes > limit - load.total() {
            return None;
        }
        load.coming = load.coming.saturating_add(bytes);
        drop(load);
        let (load, bytes) = (self.bytes.clone(), AtomicU64::new(bytes));
        Some(SpoolShare(Arc::new(Share { load, bytes, limit, is_out: AtomicBool::new(false) })))
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
    /// A body that takes room as it comes, and fails where there is no more.
    pub(super) fn bounds(&self, body: ByteStream, spool: &Arc<str>) -> ByteStream {
        let (share, spool, mut seen) = (self.clone(), spool.clone(), 0_u64);
        body.map(move |chunk| {
            let chunk = chunk?;
            seen = seen.saturating_add(chunk.len() as u64);
            if share.grow(seen) {
                return Ok(chunk);
            }
            let (provider, operation, retry_after) = (spool.clone(), "write", RETRY_AFTER);
            Err(StorageError::ProviderOverloaded { provider, operation, retry_after })
        })
        .boxed()
    }

    /// Takes room for so many bytes in all, if there is.
    fn grow(&self, bytes: u64) -> bool {
        let mut load = self.0.load();
        let more = bytes.saturating_sub(self.0.bytes.load(Ordering::Relaxed));
        if more > self.0.limit.saturating_sub(load.total()) {
            load.only_known_until = Some(Instant::now() + TURNED_AWAY);
            self.0.is_out.store(true, Ordering::Relaxed);
            return false;
        }
        load.coming = load.coming.saturating_add(more);
        self.0.bytes.fetch_add(more, Ordering::Relaxed);
        true
    }

    /// Whether a body did not fit.
    pub(super) fn is_out(&self) -> bool {
        self.0.is_out.load(Ordering::Relaxed)
    }

    /// The bytes stay there until they are brought home.
    pub(super) fn keep(self) {
        let mut load = self.0.load();
        load.kept = load.kept.saturating_add(self.0.bytes.load(Ordering::Relaxed));
    }
}

impl Share {
    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut load = self.load();
        load.coming = load.coming.saturating_sub(self.bytes.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn room_is_taken_while_bytes_come_and_until_they_are_seen_to_be_gone() {
        let spool = SpoolLoad::default();
        let (first, second) = (spool.share(Some(60), 100).unwrap(), spool.share(Some(30), 100).unwrap());
        assert!(spool.share(Some(11), 100).is_none());
        // One does not come after all, the other one is longer than it was said to be.
        drop(second);
        assert!(first.grow(100) && !first.is_out());
        first.keep();
        assert!(spool.share(Some(0), 100).is_none());
        let look = spool.kept();
        let unknown = spool.share(None, 200).unwrap();
        assert!(unknown.grow(50));
        unknown.keep();
        spool.saw(20, look);
        assert!(spool.share(Some(31), 100).is_none());
        drop(spool.share(Some(30), 100).unwrap());
        spool.saw(0, spool.kept());
        drop(spool.share(Some(100), 100).unwrap());
        assert!(spool.share(Some(101), 100).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_of_unknown_length_share_the_room_and_are_turned_away_for_a_while() {
        let spool = SpoolLoad::default();
        let (one, other) = (spool.share(None, 100).unwrap(), spool.share(None, 100).unwrap());
        assert!(one.grow(40) && other.grow(60));
        assert!(!one.grow(41) && one.is_out() && !other.is_out());
        drop((one, other));
        // Room there is, but whoever did not fit may come again, and would not fit again.
        assert!(spool.share(None, 100).is_none());
        assert!(spool.share(Some(100), 100).is_some());
        tokio::time::sleep(TURNED_AWAY).await;
        assert!(spool.share(None, 100).is_some());
    }
}
