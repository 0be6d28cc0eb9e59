//! Writing a blob: its bytes are hashed on their way, collected into parts, and sent. What ends before the threshold is one
//! request; beyond it, parts go up side by side, and what is in memory is never more than those under way and the one
//! that is being filled.
//!
//! Nothing is deleted here when an attempt fails: the next one writes the same name, and a deletion that came late would
//! take its bytes. Whoever made the last attempt says that the blob is not wanted.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use tokio::time::{sleep, timeout};

use super::fault::{self, Fault};
use super::parts::Upload;
use super::{Inner, read};
use crate::backend::{BackendError, BlobWritten};
use crate::body::ByteStream;
use crate::file::{BlobKey, Sha256};

/// Most parts of an upload, of any store.
const MAX_PARTS: u64 = 10_000;

/// After that many parts of a blob whose size nobody announced, parts are twice as large.
const GROWTH: usize = 2_500;

/// Largest blob that S3 copies in one request.
pub(super) const MAX_COPY: u64 = 5 << 30;

/// Time between two looks at a copy that a store makes behind our back.
const COPY_PAUSE: Duration = Duration::from_millis(250);

/// See [`crate::backend::StorageBackend::write`].
pub(super) async fn write(
    inner: &Arc<Inner>,
    key: &BlobKey,
    body: ByteStream,
    size_hint: Option<u64>,
) -> Result<BlobWritten, BackendError> {
    let mut source = Source::new(body);
    // One byte more than a single request may have tells which way it goes.
    let threshold = inner.options.stream_threshold;
    let head = source.take(threshold.saturating_add(1)).await?.unwrap_or_default();
    if head.content_length() <= threshold {
        put(inner, key, head).await?;
        return Ok(source.written());
    }
    source.put_back(head);
    let chunk_size = chunk_size(inner.options.chunk_size, size_hint);
    let mut upload = Upload::begin(inner, key).await?;
    while let Some(part) = source.take(grown(chunk_size, upload.count())).await? {
        upload.put(part).await?;
    }
    let written = source.written();
    upload.complete(written.size).await?;
    Ok(written)
}

/// Bytes of a part, so that a blob of the announced size has not too many of them.
fn chunk_size(configured: usize, announced: Option<u64>) -> usize {
    let least = announced.filter(|size| *size < 1 << 44).map_or(0, |size| size.div_ceil(MAX_PARTS - 1));
    configured.max(usize::try_from(least).unwrap_or(configured)).max(1)
}

fn grown(chunk_size: usize, parts: usize) -> usize {
    chunk_size.saturating_mul(1 << (parts / GROWTH).min(6))
}

async fn put(inner: &Inner, key: &BlobKey, bytes: PutPayload) -> Result<(), BackendError> {
    inner.client.put(&inner.path(key), bytes).await.map_err(fault::during("write")).map(drop)
}

/// See [`crate::backend::StorageBackend::copy`]. The store does it by itself, as far as it can.
pub(super) async fn copy(inner: &Arc<Inner>, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
    let size = inner.size(from).await?.ok_or(BackendError::NotFound)?;
    if size > MAX_COPY {
        let body = read::read(inner, from, None, Some(inner.attempts.about(from))).await?;
        return write(inner, to, body, Some(size)).await.map(drop);
    }
    copy_within(inner, &inner.path(from), to, size).await
}

/// Has the store make a blob of what is at a path of its own, and is so many bytes.
pub(super) async fn copy_within(
    inner: &Arc<Inner>,
    from: &Path,
    to: &BlobKey,
    size: u64,
) -> Result<(), BackendError> {
    let copied = inner.client.copy(from, &inner.path(to)).await;
    match copied.map_err(fault::during("copy")) {
        Err(error) if is_pending(&error) => {}
        outcome => return outcome,
    }
    loop {
        sleep(COPY_PAUSE).await;
        match inner.size(to).await {
            Err(error) if is_pending(&error) => {}
            Ok(Some(copied)) if copied == size => return Ok(()),
            Ok(_) => return Err(fault::wrong_answer("copy", "the copy did not come about")),
            Err(error) => return Err(error),
        }
    }
}

fn is_pending(error: &BackendError) -> bool {
    match error {
        BackendError::Unavailable { source, .. } => {
            matches!(source.downcast_ref::<Fault>(), Some(Fault::Pending))
        }
        _ => false,
    }
}

/// Sends a part, and gives up where that takes too long.
pub(super) async fn within<T>(
    limit: Duration,
    sent: impl Future<Output = object_store::Result<T>>,
) -> Result<T, BackendError> {
    match timeout(limit, sent).await {
        Ok(outcome) => outcome.map_err(fault::during("write")),
        Err(_) => Err(fault::of("write", Fault::Stalled(limit))),
    }
}

/// A body that is taken in pieces of a wanted size.
struct Source {
    body: ByteStream,
    /// What came, and does not belong to the last piece any more.
    rest: Vec<Bytes>,
    hash: digest::Context,
    size: u64,
    has_ended: bool,
}

impl Source {
    fn new(body: ByteStream) -> Self {
        let hash = digest::Context::new(&digest::SHA256);
        Self { body, rest: Vec::new(), hash, size: 0, has_ended: false }
    }

    /// The next so many bytes; fewer at the end, `None` after it.
    async fn take(&mut self, wanted: usize) -> Result<Option<PutPayload>, BackendError> {
        let (mut piece, mut missing) = (Vec::new(), wanted);
        while missing > 0 {
            let mut chunk = match self.rest.pop() {
                Some(chunk) => chunk,
                None if self.has_ended => break,
                None => match self.body.next().await {
                    Some(chunk) => {
                        let chunk = chunk.map_err(|error| BackendError::Body(Box::new(error)))?;
                        self.hash.update(&chunk);
                        self.size = self.size.saturating_add(chunk.len() as u64);
                        chunk
                    }
                    None => {
                        self.has_ended = true;
                        break;
                    }
                },
            };
            if chunk.len() > missing {
                self.rest.push(chunk.split_off(missing));
            }
            missing -= chunk.len();
            if !chunk.is_empty() {
                piece.push(chunk);
            }
        }
        Ok((!piece.is_empty()).then(|| piece.into_iter().collect()))
    }

    /// Gives back bytes that were taken, to be taken in other pieces.
    fn put_back(&mut self, bytes: PutPayload) {
        let mut bytes: Vec<Bytes> = bytes.into_iter().collect();
        bytes.reverse();
        self.rest.append(&mut bytes);
    }

    fn written(&self) -> BlobWritten {
        BlobWritten { size: self.size, sha256: Sha256::from_digest(&self.hash.clone().finish()) }
    }
}
