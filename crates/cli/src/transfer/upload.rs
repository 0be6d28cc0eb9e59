//! One file up: small ones in one piece, the others as a stream.

use std::path::Path;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use reqwest::Body;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::Options;
use super::progress::Meter;
use crate::address::Remote;
use crate::client::{Client, transfer::Upload};
use crate::failure::Failure;

/// How much of a file is read at a time; a file that fits is sent in one piece.
pub(super) const CHUNK: usize = 256 * 1024;

/// Uploads `from`; gives back its size.
pub(super) async fn send(
    client: &Client,
    from: &Path,
    to: &Remote,
    options: &Options,
    meter: &Meter,
) -> Result<u64, Failure> {
    let mut file = tokio::fs::File::open(from).await?;
    let size = file.metadata().await?.len();
    let body = if size <= CHUNK as u64 {
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        // A file that grows meanwhile is sent as it was when its size was read.
        file.take(size).read_to_end(&mut content).await?;
        meter.add(size);
        Body::from(Bytes::from(content))
    } else {
        file.set_max_buf_size(CHUNK);
        let meter = meter.clone();
        let chunks = ReaderStream::with_capacity(file.take(size), CHUNK);
        Body::wrap_stream(chunks.inspect_ok(move |chunk| meter.add(chunk.len() as u64)))
    };
    let upload = Upload {
        content_type: content_type(options, to),
        cache_control: options.cache_control.as_deref(),
        size: Some(size),
        overwrite: options.overwrite,
    };
    client.upload(to, body, &upload).await?;
    Ok(size)
}

/// As asked for, else by the name's extension.
pub(super) fn content_type<'a>(options: &'a Options, to: &Remote) -> &'a str {
    match &options.content_type {
        Some(given) => given,
        None => mime_guess::from_path(&to.path).first_raw().unwrap_or("application/octet-stream"),
    }
}
