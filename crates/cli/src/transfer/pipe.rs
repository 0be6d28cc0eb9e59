//! A copy from stdin or to stdout.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::Body;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

use super::progress::Progress;
use super::upload::{self, CHUNK};
use super::{Options, Summary};
use crate::address::Remote;
use crate::client::{Client, transfer::Upload};
use crate::failure::Failure;
use crate::output::Output;

/// Uploads what comes in, without knowing how much it will be. It cannot be tried again.
pub(crate) async fn from_stdin(
    client: &Client,
    to: &Remote,
    options: &Options,
    out: &Output,
) -> Result<Summary, Failure> {
    let started = Instant::now();
    let progress = Progress::new(out.shows_progress());
    let counted = Arc::new(AtomicU64::new(0));
    let (meter, counter) = (progress.meter(), counted.clone());
    let chunks = ReaderStream::with_capacity(stdin()?, CHUNK).inspect_ok(move |chunk| {
        meter.add(chunk.len() as u64);
        counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    });
    let upload = Upload {
        content_type: upload::content_type(options, to),
        cache_control: options.cache_control.as_deref(),
        size: None,
        overwrite: options.overwrite,
    };
    client.upload(to, Body::wrap_stream(chunks), &upload).await?;
    let bytes = counted.load(Ordering::Relaxed);
    Ok(Summary { copied: 1, bytes, elapsed: started.elapsed(), ..Summary::default() })
}

/// Writes an object to stdout.
pub(crate) async fn to_stdout(client: &Client, from: &Remote) -> Result<(), Failure> {
    let mut chunks = client.download(from, None).await?.into_stream();
    let mut stdout = stdout()?;
    while let Some(chunk) = chunks.next().await {
        let written = stdout.write_all(&chunk?).await;
        closed(written)?;
    }
    closed(stdout.flush().await)
}

/// The standard streams as files of their own, read and written where blocking is allowed.
fn stdin() -> io::Result<File> {
    Ok(File::from_std(fs::File::from(io::stdin().as_fd().try_clone_to_owned()?)))
}

fn stdout() -> io::Result<File> {
    Ok(File::from_std(fs::File::from(io::stdout().as_fd().try_clone_to_owned()?)))
}

fn closed(written: io::Result<()>) -> Result<(), Failure> {
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::PipeClosed,
        _ => error.into(),
    })
}
