//! Buffers for reading: used again and again, so that none is zeroed or faulted in for each chunk, and so few that
//! all downloads together stay within bounds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The size of a buffer, and so of most chunks that a download is made of.
pub(super) const SIZE: usize = 256 * 1024;

/// Up to this, a buffer of the right size is made on the spot: cheaper than holding a large one. It is also what a
/// download gets for a chunk while no buffer is left.
const SMALL: usize = 32 * 1024;

/// How many buffers there are at most (32 MiB): two for each of 64 downloads, of which one is sent and one is read.
const MOST: usize = 128;

/// The buffers. They are made when they are first needed, and kept.
///
/// NOTE: never given back to the allocator. A buffer that is made on one thread of the blocking pool and dropped on
/// another stays with the first one's heap: hundreds of threads kept 300 MB that nobody used.
#[derive(Default)]
pub(super) struct Pool {
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    /// Those that wait for use. The one used last is used next: it is still in the processor's cache.
    idle: Vec<Vec<u8>>,
    /// How many were made, those on loan among them.
    made: usize,
}

impl Pool {
    /// A buffer for up to `wanted` bytes: of at most [`SIZE`], or [`SMALL`] while all others are on loan.
    pub(super) fn lend(self: &Arc<Self>, wanted: u64) -> Buffer {
        let wanted = usize::try_from(wanted).unwrap_or(SIZE).min(SIZE);
        if wanted > SMALL
            && let Some(bytes) = self.take()
        {
            return Buffer { bytes, len: wanted, pool: Some(self.clone()) };
        }
        let len = wanted.min(SMALL);
        Buffer { bytes: vec![0; len], len, pool: None }
    }

    /// A whole buffer, as long as there are any.
    fn take(&self) -> Option<Vec<u8>> {
        let mut shelf = self.shelf();
        if let Some(buffer) = shelf.idle.pop() {
            return Some(buffer);
        }
        if shelf.made >= MOST {
            return None;
        }
        shelf.made = shelf.made.saturating_add(1);
        drop(shelf);
        Some(vec![0; SIZE])
    }

    fn give_back(&self, buffer: Vec<u8>) {
        self.shelf().idle.push(buffer);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
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
