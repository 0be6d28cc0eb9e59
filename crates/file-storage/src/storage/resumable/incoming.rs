//! The body of a request that appends: read in runs, until it ends, breaks off, or the request is stopped.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, stream};
use tokio::sync::Mutex as AsyncMutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::body::ByteStream;
use crate::errors::StorageError;

/// A body. All clones are one.
#[derive(Clone)]
pub(super) struct Incoming {
    body: Arc<AsyncMutex<ByteStream>>,
    end: Arc<Mutex<Option<End>>>,
    stop: CancellationToken,
    upload: Uuid,
}

/// How a body ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// All of it is there.
    Whole,
    /// It can't go on: why.
    Broken(StorageError),
}

impl Incoming {
    pub(super) fn new(body: ByteStream, stop: CancellationToken, upload: Uuid) -> Self {
        Self { body: Arc::new(AsyncMutex::new(body)), end: Arc::default(), stop, upload }
    }

    /// How it ended, if it did.
    pub(super) fn end(&self) -> Option<End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next bytes, at least `most` where there are so many, as a stream that never fails: where the body breaks off, it
    /// ends, and [`Incoming::end`] says why.
    pub(super) fn run(&self, most: u64) -> ByteStream {
        let incoming = self.clone();
        stream::unfold((incoming, most), |(incoming, left)| async move {
            if left == 0 || incoming.end().is_some() {
                return None;
            }
            let chunk = {
                let mut body = incoming.body.lock().await;
                tokio::select! {
                    biased;
                    () = incoming.stop.cancelled() => {
                        Some(Err(StorageError::UploadTakenOver { upload: incoming.upload }))
                    }
                    chunk = body.next() => chunk,
                }
            };
            let end = match chunk {
                Some(Ok(chunk)) => {
                    let left = left.saturating_sub(chunk.len() as u64);
                    return Some((Ok(chunk), (incoming, left)));
                }
                Some(Err(error)) => End::Broken(error),
                None => End::Whole,
            };
            *incoming.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
            None
        })
        // Who has read the end of it may ask again.
        .fuse()
        .boxed()
    }
}
