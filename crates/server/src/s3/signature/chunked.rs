//! Bodies in chunks of AWS's own (`aws-chunked`), whose chunks and trailers may be signed.

use aws_lc_rs::digest::{Context, SHA256, digest};
use bytes::{Buf, Bytes, BytesMut};
use file_storage::StorageError;
use file_storage::body::ByteStream;
use futures_util::{StreamExt, stream};

use super::key::Key;
use crate::s3::payload::Trailers;

/// Longest line between chunks.
const MAX_LINE: usize = 1024;
/// Most bytes of all trailers.
const MAX_TRAILERS: usize = 8 * 1024;

/// What signs chunks: each one the one before it.
pub(in crate::s3) struct Signing {
    key: Key,
    time: String,
    place: String,
    previous: String,
}

impl Signing {
    pub(in crate::s3) fn new(key: Key, time: &str, place: &str, first: &str) -> Self {
        Self { key, time: time.to_owned(), place: place.to_owned(), previous: first.to_owned() }
    }

    fn check(&mut self, kind: &str, hashed: &str, signature: &str) -> Result<(), StorageError> {
        let empty = if kind == "PAYLOAD" {
            format!("\n{}", hex::encode(digest(&SHA256, b"")))
        } else {
            String::new()
        };
        let text = format!(
            "AWS4-HMAC-SHA256-{kind}\n{}\n{}\n{}{empty}\n{hashed}",
            self.time, self.place, self.previous
        );
        if !self.key.verifies(&text, signature) {
            return Err(StorageError::InvalidSignature { reason: "a chunk's signature does not fit" });
        }
        self.previous = signature.to_owned();
        Ok(())
    }
}

/// Takes a body out of its chunks.
pub(in crate::s3) fn decoded(
    body: ByteStream,
    length: Option<u64>,
    signing: Option<Signing>,
    trailers: Option<Trailers>,
) -> ByteStream {
    let decoder = Decoder { body, buffer: BytesMut::new(), length, seen: 0, signing, trailers, chunk: None };
    stream::try_unfold(decoder, |mut decoder| async move {
        Ok(decoder.next().await?.map(|bytes| (bytes, decoder)))
    })
    .boxed()
}

/// A chunk of which not all has come.
struct Chunk {
    left: u64,
    signature: Option<String>,
    hash: Option<Context>,
}

struct Decoder {
    body: ByteStream,
    buffer: BytesMut,
    /// How long the body is once it is decoded, as announced.
    length: Option<u64>,
    seen: u64,
    signing: Option<Signing>,
    trailers: Option<Trailers>,
    chunk: Option<Chunk>,
}

impl Decoder {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        loop {
            let Some(chunk) = &mut self.chunk else {
                let chunk = self.head().await?;
                if chunk.left == 0 {
                    self.end_of_chunk(chunk)?;
                    self.end().await?;
                    return Ok(None);
                }
                self.chunk = Some(chunk);
                continue;
            };
            if chunk.left == 0 {
                if let Some(chunk) = self.chunk.take() {
                    self.end_of_chunk(chunk)?;
                }
                if !self.line().await?.is_empty() {
                    return Err(malformed("a chunk is longer than it says"));
                }
                continue;
            }
            if self.buffer.is_empty() {
                self.more().await?;
                continue;
            }
            let size = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(self.buffer.len());
            let bytes = self.buffer.split_to(size).freeze();
            chunk.left = chunk.left.saturating_sub(size as u64);
            if let Some(hash) = &mut chunk.hash {
                hash.update(&bytes);
            }
            self.seen = self.seen.saturating_add(size as u64);
            if self.length.is_some_and(|length| self.seen > length) {
                return Err(malformed("the body is longer than x-amz-decoded-content-length"));
            }
            return Ok(Some(bytes));
        }
    }

    /// Reads the line before a chunk: its size, and perhaps its signature.
    async fn head(&mut self) -> Result<Chunk, StorageError> {
        let line = self.line().await?;
        let (size, extension) = line.split_once(';').unwrap_or((&line, ""));
        let digits = size.trim();
        let sound = !digits.is_empty() && digits.len() <= 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let left = u64::from_str_radix(digits, 16).ok().filter(|_| sound);
        let left = left.ok_or_else(|| malformed("a chunk does not begin with its size"))?;
        let signature = extension.trim().strip_prefix("chunk-signature=").map(str::to_owned);
        if self.signing.is_some() && signature.is_none() {
            return Err(StorageError::InvalidSignature { reason: "a chunk is not signed" });
        }
        let hash = self.signing.is_some().then(|| Context::new(&SHA256));
        Ok(Chunk { left, signature, hash })
    }

    fn end_of_chunk(&mut self, chunk: Chunk) -> Result<(), StorageError> {
        match (&mut self.signing, chunk.hash, chunk.signature) {
            (Some(signing), Some(hash), Some(signature)) => {
                signing.check("PAYLOAD", &hex::encode(hash.finish()), &signature)
            }
            _ => Ok(()),
        }
    }

    /// Reads what follows the last chunk.
    async fn end(&mut self) -> Result<(), StorageError> {
        let (mut size, mut found, mut signature) = (0, Vec::new(), None);
        loop {
            let line = match self.line().await {
                Ok(line) => line,
                // Some clients leave out the empty line at the very end.
                Err(StorageError::BodyInterrupted { .. }) if self.buffer.is_empty() => String::new(),
                Err(error) => return Err(error),
            };
            if line.is_empty() {
                // What follows an empty line of clients who send one more, is nobody's.
                break;
            }
            size += line.len();
            if size > MAX_TRAILERS {
                return Err(malformed("the trailers are too long"));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("a trailer has no colon"))?;
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
            match name.as_str() {
                "x-amz-trailer-signature" => signature = Some(value),
                _ => found.push((name, value)),
            }
        }
        if self.length.is_some_and(|length| self.seen != length) {
            return Err(interrupted("the body is shorter than x-amz-decoded-content-length"));
        }
        let Some(trailers) = &self.trailers else { return Ok(()) };
        if let Some(signing) = &mut self.signing {
            let signature =
                signature.ok_or(StorageError::InvalidSignature { reason: "the trailers are not signed" })?;
            let text: String = found.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
            signing.check("TRAILER", &hex::encode(digest(&SHA256, text.as_bytes())), &signature)?;
        }
        trailers.found(&found)
    }

    /// The next line, without its end. How long it may be does not depend on how much of the body came at once.
    async fn line(&mut self) -> Result<String, StorageError> {
        let too_long = || malformed("a line between chunks is too long");
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                if end > MAX_LINE {
                    return Err(too_long());
                }
                let line = self.buffer.split_to(end);
                self.buffer.advance(2);
                return String::from_utf8(line.to_vec()).map_err(|_| malformed("a line is no text"));
            }
            // One byte more may be the first of the line's end.
            if self.buffer.len() > MAX_LINE + 1 {
                return Err(too_long());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), StorageError> {
        match self.body.next().await.transpose()? {
            Some(bytes) if self.buffer.is_empty() => self.buffer = BytesMut::from(bytes),
            Some(bytes) => self.buffer.extend_from_slice(&bytes),
            None => return Err(interrupted("the body ends within a chunk")),
        }
        Ok(())
    }
}

fn malformed(what: &str) -> StorageError {
    StorageError::InvalidRequest { message: format!("The aws-chunked body is malformed: {what}") }
}

fn interrupted(what: &str) -> StorageError {
    StorageError::BodyInterrupted { reason: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Decodes a body that comes in pieces of this size.
    fn decode(body: &[u8], size: usize) -> Result<Vec<u8>, &'static str> {
        let pieces: Vec<_> = body.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let chunks = decoded(stream::iter(pieces).boxed(), None, None, None).collect::<Vec<_>>();
        let chunks = chunks.now_or_never().unwrap().into_iter().collect::<Result<Vec<_>, _>>();
        chunks.map(|chunks| chunks.concat()).map_err(|error| error.code())
    }

    #[test]
    fn what_is_taken_does_not_depend_on_where_the_network_cuts() {
        let with_line = |length: usize| {
            let extension = "x".repeat(length - 2);
            format!("5;{extension}\r\nhello\r\n0\r\n\r\n").into_bytes()
        };
        for size in [1, 7, MAX_LINE + 1, 1 << 20] {
            assert_eq!(decode(&with_line(MAX_LINE), size), Ok(b"hello".to_vec()), "{size}");
            for length in [MAX_LINE + 1, MAX_LINE + 2, 2 * MAX_LINE] {
                assert_eq!(decode(&with_line(length), size), Err("INVALID_REQUEST"), "{length} in {size}");
            }
        }
    }
}
