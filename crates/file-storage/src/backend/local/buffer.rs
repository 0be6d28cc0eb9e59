//! Buffers for reading: used again and again, so that none is zeroed or faulted in for each chunk.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The size of a buffer, and so of most chunks that a download is made of.
pub(super) const SIZE: usize = 256 * 1024;

/// Below this, a buffer of the right size is made on the spot: cheaper than holding a large one.
const SMALL: usize = 32 * 1024;

/// How many buffers wait for use (64 MiB); the rest is given back to the allocator.
///
/// NOTE: enough for 64 downloads from a cold disk. A buffer that is made on one thread of the blocking pool and dropped on
/// another stays with the first one's heap: with 32, hundreds of threads kept 300 MB that nobody used.
const IDLE: usize = 256;

/// Buffers that wait for use. The one used last is used next: it is still in the processor's cache.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// A buffer for up to `wanted` bytes, of at most [`SIZE`].
    pub(super) fn lend(self: &Arc<Self>, wanted: u64) -> Buffer {
        let wanted = usize::try_from(wanted).unwrap_or(SIZE).min(SIZE);
        if wanted <= SMALL {
            return Buffer { bytes: vec![0; wanted], len: wanted, pool: None };
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = idle.unwrap_or_else(|| vec![0; SIZE]);
        Buffer { bytes, len: wanted, pool: Some(self.clone()) }
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(buffer);
        }
    }
}

/// A buffer on loan.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    pool: Option<Arc<Pool>>,
}

impl Buffer {
    /// Where to read to.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    /// The first `filled` bytes. The buffer goes back when the last reference to them is dropped.
    pub(super) fn into_bytes(mut self, filled: usize) -> Bytes {
        self.len = self.len.min(filled);
        if self.pool.is_some() {
            return Bytes::from_owner(self);
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(self.len);
        bytes.into()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.give_back(std::mem::take(&mut self.bytes));
        }
    }
}
