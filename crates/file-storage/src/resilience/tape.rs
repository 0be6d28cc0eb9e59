//! A body that can be sent again, as long as it is small: what an attempt takes of it is recorded, and the next attempt
//! begins with that.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::body::ByteStream;
use crate::errors::StorageError;

/// A body, and what was taken of it.
pub(crate) struct Tape {
    reel: Arc<Mutex<Reel>>,
}

struct Reel {
    rest: ByteStream,
    recorded: Vec<Bytes>,
    size: usize,
    limit: usize,
    /// Whether more was taken than is kept: then nothing is, and it can't be played again.
    is_cut: bool,
    /// Whether the body has ended, or failed.
    is_over: bool,
}

impl Tape {
    /// Keeps up to `limit` bytes of a body.
    pub(crate) fn new(body: ByteStream, limit: usize) -> Self {
        let reel = Reel { rest: body, recorded: Vec::new(), size: 0, limit, is_cut: false, is_over: false };
        Self { reel: Arc::new(Mutex::new(reel)) }
    }

    /// The body from its beginning. One attempt at a time: the one before must have been dropped, or have ended.
    pub(crate) fn play(&self) -> ByteStream {
        Play { reel: self.reel.clone(), at: 0 }.boxed()
    }

    /// Whether the body can be played from its beginning once more.
    pub(crate) fn is_whole(&self) -> bool {
        !self.reel.lock().unwrap_or_else(PoisonError::into_inner).is_cut
    }
}

struct Play {
    reel: Arc<Mutex<Reel>>,
    /// Chunks that were played.
    at: usize,
}

impl Stream for Play {
    type Item = Result<Bytes, StorageError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let reel = self.reel.clone();
        let mut reel = reel.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chunk) = reel.recorded.get(self.at) {
            self.at += 1;
            return Poll::Ready(Some(Ok(chunk.clone())));
        }
        if reel.is_over {
            return Poll::Ready(None);
        }
        let chunk = ready!(reel.rest.as_mut().poll_next(context));
        match &chunk {
            Some(Ok(chunk)) if !reel.is_cut => {
                reel.size = reel.size.saturating_add(chunk.len());
                if reel.size > reel.limit {
                    reel.is_cut = true;
                    reel.recorded = Vec::new();
                } else {
                    reel.recorded.push(chunk.clone());
                    self.at += 1;
                }
            }
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                // The client's body failed: there is nothing to be sent again.
                reel.is_cut = true;
                reel.is_over = true;
            }
            None => reel.is_over = true,
        }
        Poll::Ready(chunk)
    }
}
