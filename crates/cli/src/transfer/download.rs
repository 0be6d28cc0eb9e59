//! One object down: into a partial file, resumed where an earlier try broke off, named when whole.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::Context as _;
use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::partial::{Origin, Partial};
use super::progress::Meter;
use crate::address::Remote;
use crate::client::{Client, transfer::Download};
use crate::failure::Failure;

/// Chunks that may wait for the disk.
const AHEAD: usize = 8;

/// Downloads `from` to the file `to`; gives back its size.
pub(super) async fn fetch(client: &Client, from: &Remote, to: &Path, meter: &Meter) -> Result<u64, Failure> {
    let target = to.to_owned();
    let mut partial = blocking(move || Partial::open(&target)).await?;
    match fill(client, from, &mut partial, meter).await {
        Ok(size) => {
            blocking(move || partial.commit()).await?;
            Ok(size)
        }
        Err(failure) => {
            partial.abandon()?;
            Err(failure)
        }
    }
}

/// Brings the partial file to its whole length, from where it stands.
async fn fill(client: &Client, from: &Remote, partial: &mut Partial, meter: &Meter) -> Result<u64, Failure> {
    let source = format!("{}{from}", client.base());
    let (download, offset) = begin(client, from, partial.resume_point(&source)?).await?;
    if offset > 0 {
        partial.resume(offset)?;
        meter.add(offset);
    } else {
        let origin = match (&download.etag, download.size) {
            (Some(etag), Some(size)) => Some(Origin { source, etag: etag.clone(), size }),
            (None, _) | (_, None) => None,
        };
        partial.restart(origin)?;
    }
    let expected = download.size;
    let size = offset + receive(download, partial.file.try_clone()?, meter).await?;
    if let Some(expected) = expected.filter(|expected| *expected != size) {
        let reason = format!("the connection ended after {size} of {expected} bytes");
        return Err(Failure::Unreachable { url: client.base().to_string(), reason });
    }
    if offset > 0 && !is_intact(client, from, partial).await? {
        // What an earlier run left is damaged (a power cut loses unsynced bytes): nothing of it may stay.
        partial.restart(None)?;
        let reason = "the resumed file is not what the server has; starting over".to_owned();
        return Err(Failure::Unreachable { url: client.base().to_string(), reason });
    }
    Ok(size)
}

/// Starts the download, and says from where it really goes on.
async fn begin(
    client: &Client,
    from: &Remote,
    resume: Option<(u64, String)>,
) -> Result<(Download, u64), Failure> {
    let Some((offset, etag)) = resume else { return Ok((client.download(from, None).await?, 0)) };
    match client.download(from, Some((offset, &etag))).await {
        // NOTE: a server that ignores If-Range would mix two versions; its own tag must say they are one.
        Ok(download) if download.start == offset && download.etag.as_deref() == Some(&etag) => {
            Ok((download, offset))
        }
        Ok(download) if download.start == 0 => Ok((download, 0)),
        Ok(_) => Ok((client.download(from, None).await?, 0)),
        Err(failure) if failure.status() == Some(416) => Ok((client.download(from, None).await?, 0)),
        Err(failure) => Err(failure),
    }
}

/// Moves the body to the file on a thread that may block; gives back the number of bytes.
async fn receive(download: Download, mut file: File, meter: &Meter) -> Result<u64, Failure> {
    let (chunks, mut queue) = mpsc::channel::<Bytes>(AHEAD);
    let writer = spawn_blocking(move || -> std::io::Result<()> {
        while let Some(chunk) = queue.blocking_recv() {
            file.write_all(&chunk)?;
        }
        Ok(())
    });
    let mut stream = download.into_stream();
    let mut received: u64 = 0;
    let mut broken = None;
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => {
                let length = chunk.len() as u64;
                // The writer has failed; it says why below.
                if chunks.send(chunk).await.is_err() {
                    break;
                }
                received += length;
                meter.add(length);
            }
            Err(failure) => broken = Some(failure),
        }
    }
    drop(chunks);
    writer.await.map_err(anyhow::Error::from)?.context("cannot write the download")?;
    broken.map_or(Ok(received), Err)
}

/// Whether the file is what the server has, as far as the server says what that is.
async fn is_intact(client: &Client, from: &Remote, partial: &Partial) -> Result<bool, Failure> {
    let Some(expected) = client.info(from).await?.checksum else { return Ok(true) };
    let file = partial.file.try_clone()?;
    let actual = blocking(move || sha256(file)).await?;
    Ok(actual.eq_ignore_ascii_case(&expected))
}

fn sha256(mut file: File) -> anyhow::Result<String> {
    file.rewind()?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(context.finish()));
        }
        context.update(buffer.get(..read).unwrap_or_default());
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    Ok(spawn_blocking(work).await.map_err(anyhow::Error::from)??)
}
