//! Reading a blob.
//!
//! What the page cache has is read in place, where the request runs: the way to another thread costs more than
//! the read. What would wait for the device (`EAGAIN`) is read on a blocking thread, one chunk ahead of its reader.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::{Inner, error};
use crate::backend::BackendError;
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::file::BlobKey;

/// See [`crate::backend::StorageBackend::read`].
pub(super) async fn read(
    inner: &Arc<Inner>,
    key: &BlobKey,
    range: Option<Range<u64>>,
) -> Result<ByteStream, BackendError> {
    let file = open(inner, inner.layout.blob(key)).await?;
    let size = file.metadata().map_err(error::io("read"))?.len();
    let range = range.unwrap_or(0..size);
    if range.start > range.end || range.end > size {
        let message = format!("bytes {}..{} of a blob of {size} bytes", range.start, range.end);
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, message);
        return Err(BackendError::Io { operation: "read", source: Arc::new(source) });
    }
    Ok(Box::pin(Reader {
        inner: inner.clone(),
        file: Arc::new(file),
        at: range.start,
        end: range.end,
        ahead: None,
    }))
}

/// Opens in place where every name on the way is in memory, else where it may block.
async fn open(inner: &Arc<Inner>, path: PathBuf) -> Result<File, BackendError> {
    inner.failpoints.hit_async("local.read.open").await.map_err(error::io("read"))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    match openat2(CWD, &path, flags, Mode::empty(), ResolveFlags::CACHED) {
        Ok(file) => Ok(file.into()),
        Err(Errno::NOENT) => Err(BackendError::NotFound),
        // EAGAIN: not in memory. Anything else is said better, or not at all, by an ordinary open.
        Err(_) => {
            let open = move || File::open(path).map_err(error::blob("read"));
            inner.for_reading("read", open).await
        }
    }
}

/// A chunk on its way.
type Fetched = BoxFuture<'static, Result<Bytes, BackendError>>;

/// The stream of a blob's bytes.
struct Reader {
    inner: Arc<Inner>,
    file: Arc<File>,
    /// The next byte to give out.
    at: u64,
    end: u64,
    /// The chunk that starts at `at`, on its way from the device. Once there is one, the blob counts as cold,
    /// and the next one is asked for before this one is given out.
    ahead: Option<Fetched>,
}

impl Stream for Reader {
    type Item = Result<Bytes, StorageError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.at >= self.end {
            return Poll::Ready(None);
        }
        let read = match &mut self.ahead {
            None => match self.read_cached() {
                Some(read) => read,
                None => {
                    self.ahead = self.fetch(self.at);
                    return self.poll_next(context);
                }
            },
            Some(ahead) => {
                let read = ready!(ahead.as_mut().poll(context));
                self.ahead = match &read {
                    Ok(chunk) => self.fetch(self.at.saturating_add(chunk.len() as u64)),
                    Err(_) => None,
                };
                read
            }
        };
        Poll::Ready(Some(match read {
            Ok(chunk) => {
                self.at = self.at.saturating_add(chunk.len() as u64);
                Ok(chunk)
            }
            Err(error) => {
                self.at = self.end;
                Err(error.into_storage_error(&self.inner.provider))
            }
        }))
    }
}

impl Reader {
    /// Reads what is in the page cache; `None` where that is nothing.
    fn read_cached(&self) -> Option<Result<Bytes, BackendError>> {
        let mut buffer = self.inner.buffers.lend(self.end.saturating_sub(self.at));
        let slices = &mut [IoSliceMut::new(buffer.space())];
        match preadv2(&self.file, slices, self.at, ReadWriteFlags::NOWAIT) {
            Ok(0) => Some(Err(shorter())),
            Ok(filled) => Some(Ok(buffer.into_bytes(filled))),
            // EAGAIN; or a kernel or file system without this call, where an ordinary read tells.
            Err(_) => None,
        }
    }

    /// Reads the chunk at `at` from the device, on a thread that may block; starts at once where there is one
    /// to spare. `None` at the end.
    fn fetch(&self, at: u64) -> Option<Fetched> {
        let wanted = self.end.checked_sub(at).filter(|wanted| *wanted > 0)?;
        let (inner, file) = (self.inner.clone(), self.file.clone());
        let step = move || {
            inner.failpoints.hit("local.read.chunk").map_err(error::io("read"))?;
            let mut buffer = inner.buffers.lend(wanted);
            let filled = read_full(&file, buffer.space(), at).map_err(error::io("read"))?;
            if filled == 0 { Err(shorter()) } else { Ok(buffer.into_bytes(filled)) }
        };
        Some(match self.inner.readers.clone().try_acquire_owned() {
            Ok(turn) => {
                let task = self.inner.spawn(turn, step);
                Box::pin(async move { task.await.map_err(error::other("read"))? })
            }
            Err(_) => {
                let inner = self.inner.clone();
                Box::pin(async move { inner.for_reading("read", step).await })
            }
        })
    }
}

/// Fills the space, as far as the file reaches.
fn read_full(file: &File, space: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = space.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A blob that ends before its end: never a shorter answer without a word.
fn shorter() -> BackendError {
    let source = io::Error::new(io::ErrorKind::UnexpectedEof, "the blob is shorter than it was");
    BackendError::Io { operation: "read", source: Arc::new(source) }
}
