//! Streams of bytes, as they come from a caller and go to one. Everything is a stream: memory per transfer is
//! bounded by a few chunks.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use crate::errors::StorageError;

/// Bytes on their way, in chunks. An error ends the stream.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, StorageError>> + Send>>;

/// A stream of bytes that are all at hand.
pub fn from_bytes(bytes: Bytes) -> ByteStream {
    if bytes.is_empty() { stream::empty().boxed() } else { stream::iter([Ok(bytes)]).boxed() }
}

/// Passes a body on until it exceeds `limit` bytes, and then fails it.
pub fn limited(body: ByteStream, limit: u64) -> ByteStream {
    let mut seen: u64 = 0;
    body.map(move |chunk| {
        let chunk = chunk?;
        seen = seen.saturating_add(chunk.len() as u64);
        if seen > limit { Err(StorageError::PayloadTooLarge { limit }) } else { Ok(chunk) }
    })
    .boxed()
}
