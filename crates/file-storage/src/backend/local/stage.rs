//! A blob that is being written: a file in this process's staging folder.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::publish::Unsettled;
use super::{Durability, Inner, layout};
use crate::backend::BlobWritten;
use crate::file::{BlobKey, Sha256};
use crate::ownership;

/// How many chunks go to the system in one call (`IOV_MAX`).
const CHUNKS_PER_CALL: usize = 1024;

/// How many bytes a large file is ahead of the device before they are sent there, while more are received: so
/// that little is left for the sync at the end (measured: 100 MB in 90 instead of 110 ms).
const AHEAD_OF_DEVICE: u64 = 16 * 1024 * 1024;

/// A file that is being written. Dropped, it is removed.
pub(super) struct Staged {
    pub(super) file: File,
    pub(super) trace: Unsettled,
    /// Bytes written since the last flush began.
    unflushed: u64,
    flush: Option<JoinHandle<io::Result<()>>>,
}

impl Staged {
    /// Starts a file. May block.
    pub(super) fn create(inner: &Arc<Inner>, key: &BlobKey) -> io::Result<Self> {
        inner.failpoints.hit("local.stage.create")?;
        let path = inner.instance.folder().join(layout::staged_name(key));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        // A backup that root restores into a server's directory is for that server to read.
        let _ = ownership::hand_over(&file, inner.instance.folder());
        Ok(Self { file, trace: Unsettled::staged(inner, key), unflushed: 0, flush: None })
    }

    /// A file that has its bytes, and its name in the staging folder.
    pub(super) fn of(file: File, trace: Unsettled) -> Self {
        Self { file, trace, unflushed: 0, flush: None }
    }

    /// Appends chunks. May block.
    pub(super) fn append(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        self.trace.inner().failpoints.hit("local.stage.write")?;
        for some in chunks.chunks(CHUNKS_PER_CALL) {
            let mut slices: Vec<IoSlice<'_>> = some.iter().map(|chunk| IoSlice::new(chunk)).collect();
            write_all(&mut self.file, &mut slices)?;
        }
        let written: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        self.unflushed = self.unflushed.saturating_add(written);
        self.start_flush()
    }

    /// Starts to send a large file to the device, unless that goes on already or too many others do it.
    fn start_flush(&mut self) -> io::Result<()> {
        let inner = self.trace.inner().clone();
        let due = inner.durability == Durability::Full && self.unflushed >= AHEAD_OF_DEVICE;
        if due
            && self.flush.is_none()
            && let Ok(turn) = inner.flushes.clone().try_acquire_owned()
        {
            let file = self.file.try_clone()?;
            self.unflushed = 0;
            self.flush = Some(inner.tasks.clone().spawn_blocking(move || {
                let _turn = turn;
                inner.failpoints.hit("local.stage.flush")?;
                file.sync_data()
            }));
        }
        Ok(())
    }

    /// Waits for a flush, where one goes on or has ended.
    ///
    /// IMPORTANT: each one's outcome must be looked at. The system reports a failed write-back to one sync only,
    /// so that the sync at the end may succeed where this one has failed.
    pub(super) async fn flushed(&mut self, only_if_done: bool) -> io::Result<()> {
        match &mut self.flush {
            Some(flush) if !only_if_done || flush.is_finished() => {
                let flushed = flush.await;
                self.flush = None;
                flushed.map_err(io::Error::other)?
            }
            _ => Ok(()),
        }
    }
}

fn write_all(file: &mut File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Length and digest of what went by.
pub(super) struct Tally {
    size: u64,
    hasher: digest::Context,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { size: 0, hasher: digest::Context::new(&digest::SHA256) }
    }

    pub(super) fn and(mut self, chunks: &[Bytes]) -> Self {
        for chunk in chunks {
            self.size = self.size.saturating_add(chunk.len() as u64);
            self.hasher.update(chunk);
        }
        self
    }

    pub(super) fn finish(self) -> BlobWritten {
        BlobWritten { size: self.size, sha256: Sha256::from_digest(&self.hasher.finish()) }
    }
}
