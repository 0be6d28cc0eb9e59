//! What a protocol makes of the bytes that pass by: digests of its own, and a refusal where they are not those that were
//! announced.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use serde_json::{Map, Value};

use crate::body::ByteStream;
use crate::errors::StorageError;

/// Looks at bytes on their way to their place, and says what is kept of them. One that refuses at the end has nothing
/// kept.
pub trait Seal: Send {
    /// The next bytes.
    fn update(&mut self, chunk: &[u8]);

    /// Says what they were.
    ///
    /// # Errors
    /// Whatever the caller shall be told: [`StorageError::WrongChecksum`], mostly.
    fn finish(self: Box<Self>) -> Result<Sealed, StorageError>;
}

/// What is kept of bytes beside them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sealed {
    /// The entity tag, without quotes: an MD5 in hexadecimal for S3. `None` takes the SHA-256.
    pub etag: Option<String>,
    /// Further checksums, given back as they are.
    pub checksums: Map<String, Value>,
}

/// A seal that is shared with the stream of the bytes.
#[derive(Clone, Default)]
pub(in crate::storage) struct Tap(Arc<Mutex<Option<Box<dyn Seal>>>>);

impl Tap {
    /// For what a protocol wants to see; nothing, where it does not.
    pub(in crate::storage) fn new(seal: Option<Box<dyn Seal>>) -> Self {
        Self(Arc::new(Mutex::new(seal)))
    }

    /// Shows the seal what passes.
    pub(in crate::storage) fn on(&self, body: ByteStream) -> ByteStream {
        let seal = self.0.clone();
        body.inspect(move |chunk| {
            if let (Ok(chunk), Some(seal)) =
                (chunk, seal.lock().unwrap_or_else(PoisonError::into_inner).as_mut())
            {
                seal.update(chunk);
            }
        })
        .boxed()
    }

    /// What is kept, once all has passed.
    pub(in crate::storage) fn finish(self) -> Result<Sealed, StorageError> {
        let seal = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        seal.map_or_else(|| Ok(Sealed::default()), Seal::finish)
    }
}
