//! Reading a blob. What is cut off goes on at its byte, as long as each attempt brings the reader further.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use tokio::time::timeout;

use super::Inner;
use super::fault::{self, Fault};
use crate::backend::BackendError;
use crate::body::{self, ByteStream};
use crate::file::BlobKey;
use crate::resilience::Attempts;

/// See [`crate::backend::StorageBackend::read`]. Without `attempts`, what is cut off ends there.
pub(super) async fn read(
    inner: &Arc<Inner>,
    key: &BlobKey,
    range: Option<Range<u64>>,
    attempts: Option<Attempts>,
) -> Result<ByteStream, BackendError> {
    if let Some(range) = range.as_ref().filter(|range| range.start >= range.end) {
        // No store has words for a range of nothing.
        return match inner.size(key).await? {
            None => Err(BackendError::NotFound),
            Some(size) if range.start == range.end && range.end <= size => Ok(body::from_bytes(Bytes::new())),
            Some(size) => Err(fault::outside(range, size)),
        };
    }
    read_at(inner, inner.path(key), range, attempts).await
}

/// As [`read`], of what is at a path.
pub(super) async fn read_at(
    inner: &Arc<Inner>,
    path: Path,
    range: Option<Range<u64>>,
    attempts: Option<Attempts>,
) -> Result<ByteStream, BackendError> {
    let opened = open(inner, &path, range.clone()).await?;
    let range = match range {
        Some(range) if range.end > opened.size => return Err(fault::outside(&range, opened.size)),
        Some(range) => range,
        None => 0..opened.size,
    };
    let reader = Reader {
        inner: inner.clone(),
        attempts,
        path,
        size: opened.size,
        at: range.start,
        end: range.end,
        chunks: Some(opened.chunks),
        failed: 0,
    };
    Ok(stream::unfold(reader, |mut reader| async move {
        let chunk = reader.next().await?;
        let provider = reader.inner.options.provider.clone();
        Some((chunk.map_err(|error| error.into_storage_error(&provider)), reader))
    })
    .boxed())
}

/// A blob that is read.
struct Opened {
    /// The whole blob's length, in bytes.
    size: u64,
    chunks: BoxStream<'static, object_store::Result<Bytes>>,
}

async fn open(inner: &Inner, path: &Path, range: Option<Range<u64>>) -> Result<Opened, BackendError> {
    let asked = range.clone();
    let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
    let answer = inner.client.get_opts(path, options).await.map_err(fault::during("read"));
    let answer = match (answer, &asked) {
        // Stores differ in what they say where a range starts behind the end: 416, or another refusal.
        (Err(refused @ BackendError::Refused { .. }), Some(range)) => {
            return match inner.client.head(path).await {
                Ok(found) if range.start >= found.size => Err(fault::outside(range, found.size)),
                _ => Err(refused),
            };
        }
        (answer, _) => answer?,
    };
    let size = answer.meta.size;
    let starts_right = asked.is_none_or(|asked| answer.range.start == asked.start);
    if !starts_right {
        return Err(fault::wrong_answer("read", "another range"));
    }
    Ok(Opened { size, chunks: answer.into_stream() })
}

/// The stream of a blob's bytes.
struct Reader {
    inner: Arc<Inner>,
    attempts: Option<Attempts>,
    path: Path,
    /// The whole blob's length: another one would be another blob.
    size: u64,
    /// The next byte to give out.
    at: u64,
    end: u64,
    /// What comes from the store; `None` after it broke off.
    chunks: Option<BoxStream<'static, object_store::Result<Bytes>>>,
    /// Attempts that failed since the last byte.
    failed: u32,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Bytes, BackendError>> {
        while self.at < self.end {
            let error = match self.step().await {
                Ok(chunk) if chunk.is_empty() => continue,
                Ok(mut chunk) => {
                    let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
                    chunk.truncate(left);
                    self.at = self.at.saturating_add(chunk.len() as u64);
                    self.failed = 0;
                    return Some(Ok(chunk));
                }
                Err(error) => error,
            };
            self.chunks = None;
            self.failed += 1;
            let attempts = self.attempts.as_ref();
            let Some(wait) = attempts.and_then(|attempts| attempts.next("read", self.failed, &error)) else {
                self.at = self.end;
                return Some(Err(error));
            };
            tokio::time::sleep(wait).await;
        }
        None
    }

    /// The next bytes, of an answer that is opened again where the last one broke off.
    async fn step(&mut self) -> Result<Bytes, BackendError> {
        let stall = self.inner.options.stall_timeout;
        let stalled = |_| fault::of("read", Fault::Stalled(stall));
        let chunks = match &mut self.chunks {
            Some(chunks) => chunks,
            None => {
                let range = self.at..self.end;
                let opened = timeout(stall, open(&self.inner, &self.path, Some(range)).boxed());
                let opened = opened.await.map_err(stalled)??;
                if opened.size != self.size {
                    return Err(fault::wrong_answer("read", "a blob of another length"));
                }
                self.chunks.insert(opened.chunks)
            }
        };
        match timeout(stall, chunks.next()).await.map_err(stalled)? {
            Some(chunk) => chunk.map_err(fault::during("read")),
            None => Err(fault::wrong_answer("read", "fewer bytes than announced")),
        }
    }
}
