//! A blob that is being written: a file in this process's staging folder, hashed as it grows.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;

use super::publish::Unsettled;
use super::{Inner, layout};
use crate::backend::BlobWritten;
use crate::file::{BlobKey, Sha256};

/// How many chunks go to the system in one call (`IOV_MAX`).
const CHUNKS_PER_CALL: usize = 1024;

/// A file that is being written. Dropped, it is removed.
pub(super) struct Staged {
    pub(super) file: File,
    pub(super) trace: Unsettled,
}

impl Staged {
    /// Starts a file. May block.
    pub(super) fn create(inner: &Arc<Inner>, key: &BlobKey) -> io::Result<Self> {
        inner.failpoints.hit("local.stage.create")?;
        let path = inner.instance.folder().join(layout::staged_name(key));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { file, trace: Unsettled::staged(inner, key) })
    }

    /// Appends chunks. May block.
    pub(super) fn append(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        self.trace.inner().failpoints.hit("local.stage.write")?;
        for some in chunks.chunks(CHUNKS_PER_CALL) {
            let mut slices: Vec<IoSlice<'_>> = some.iter().map(|chunk| IoSlice::new(chunk)).collect();
            write_all(&mut self.file, &mut slices)?;
        }
        Ok(())
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

    pub(super) fn add(&mut self, chunks: &[Bytes]) {
        for chunk in chunks {
            self.size = self.size.saturating_add(chunk.len() as u64);
            self.hasher.update(chunk);
        }
    }

    pub(super) fn finish(self) -> BlobWritten {
        BlobWritten { size: self.size, sha256: Sha256::from_digest(&self.hasher.finish()) }
    }
}
