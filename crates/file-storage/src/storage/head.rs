//! The beginning of a body, by which it is decided whether its bytes go into the database or to a provider.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::body::ByteStream;
use crate::errors::StorageError;

/// The first bytes of a body: all of a small one.
pub(super) struct Head {
    pub(super) bytes: Bytes,
    pub(super) is_whole: bool,
}

impl Head {
    /// Reads until the body ends or is larger than `threshold` bytes.
    pub(super) async fn read(
        body: &mut ByteStream,
        threshold: usize,
        content_length: Option<u64>,
    ) -> Result<Self, StorageError> {
        let Some(first) = body.next().await else {
            return Ok(Self { bytes: Bytes::new(), is_whole: true });
        };
        let first = first?;
        if first.len() > threshold {
            return Ok(Self { bytes: first, is_whole: false });
        }
        let mut second = body.next().await.transpose()?;
        if second.is_none() {
            return Ok(Self { bytes: first, is_whole: true });
        }
        let announced = content_length.unwrap_or(0).min(threshold as u64 + 1);
        let mut bytes = BytesMut::with_capacity(first.len().max(usize::try_from(announced).unwrap_or(0)));
        bytes.extend_from_slice(&first);
        while let Some(chunk) = second {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > threshold {
                return Ok(Self { bytes: bytes.freeze(), is_whole: false });
            }
            second = body.next().await.transpose()?;
        }
        Ok(Self { bytes: bytes.freeze(), is_whole: true })
    }
}
