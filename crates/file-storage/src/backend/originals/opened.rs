//! A file of this machine that somebody has hold of: by its descriptor, so that it stays the same one whatever becomes of its name.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;
use futures_util::{StreamExt, stream};
use rustix::fs::{AtFlags, Mode, fchmod, statat, unlinkat};

use super::{CHANGED, unusable};
use crate::Timestamp;
use crate::body::ByteStream;
use crate::errors::StorageError;

/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;

/// A file, and how it was when it was opened.
pub(in crate::backend) struct OpenedFile {
    /// The directory that it is in, and its name there.
    pub(in crate::backend) parent: OwnedFd,
    pub(in crate::backend) name: Vec<u8>,
    pub(in crate::backend) file: File,
    pub(in crate::backend) stamp: Stamp,
    /// Whose it is.
    pub(in crate::backend) uid: u32,
    /// How many names it has.
    pub(in crate::backend) links: u64,
}

/// What tells whether a file is the same, and was not written to. The time of its last change of any kind is no part of it: that
/// also tells of new names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) struct Stamp {
    pub(in crate::backend) device: u64,
    pub(in crate::backend) inode: u64,
    pub(in crate::backend) size: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(in crate::backend) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    pub(in crate::backend) fn modified(&self) -> Timestamp {
        let nanos = u32::try_from(self.modified.1).unwrap_or_default();
        DateTime::from_timestamp(self.modified.0, nanos).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

impl OpenedFile {
    /// Fails where it is not as it was. May block.
    pub(in crate::backend) fn check(&self) -> Result<(), StorageError> {
        match self.file.metadata() {
            Ok(now) if Stamp::of(&now) == self.stamp => Ok(()),
            Ok(_) => Err(unusable(CHANGED)),
            Err(error) => Err(failed(&error)),
        }
    }

    pub(super) async fn remove(self: Arc<Self>) -> Result<(), StorageError> {
        blocking(move || self.remove_now()).await
    }

    fn remove_now(&self) -> Result<(), StorageError> {
        self.check()?;
        let name = self.name.as_slice();
        let named = statat(&self.parent, name, AtFlags::SYMLINK_NOFOLLOW);
        let is_this = named.is_ok_and(|it| (it.st_dev, it.st_ino) == (self.stamp.device, self.stamp.inode));
        if !is_this {
            return Err(unusable(CHANGED));
        }
        // It may be a blob's file from now on: nobody else's to read. Somebody else's file was copied.
        let _ = fchmod(&self.file, Mode::RUSR | Mode::WUSR);
        unlinkat(&self.parent, name, AtFlags::empty()).map_err(|error| {
            tracing::warn!(%error, "an original was adopted and can't be removed");
            unusable("it was adopted, and the server may not remove it")
        })
    }
}

/// All bytes of a file, and at their end whether it was written to meanwhile.
pub(super) fn body(file: Arc<OpenedFile>) -> ByteStream {
    stream::unfold(Some((file, 0_u64)), |at| async move {
        let (file, offset) = at?;
        let reader = file.clone();
        match blocking(move || read(&reader, offset)).await {
            Ok(Some(chunk)) => {
                let next = offset.saturating_add(chunk.len() as u64);
                Some((Ok(chunk), Some((file, next))))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

fn read(opened: &OpenedFile, offset: u64) -> Result<Option<Bytes>, StorageError> {
    let left = usize::try_from(opened.stamp.size.saturating_sub(offset)).unwrap_or(usize::MAX);
    if left == 0 {
        return opened.check().map(|()| None);
    }
    let mut chunk = vec![0; left.min(CHUNK)];
    let count = opened.file.read_at(&mut chunk, offset).map_err(|error| failed(&error))?;
    if count == 0 {
        return Err(unusable(CHANGED));
    }
    chunk.truncate(count);
    Ok(Some(chunk.into()))
}

/// What a file system says of a file that can't be read.
fn failed(error: &io::Error) -> StorageError {
    tracing::warn!(%error, "an original can't be read");
    unusable("reading it failed")
}

/// Runs a step where blocking is allowed.
pub(super) async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let done = tokio::task::spawn_blocking(step).await;
    done.map_err(|error| StorageError::internal(format!("reading originals: {error}")))?
}
