//! Who has a database open, by `flock` on a file beside it: servers share the lock, who moves the metadata away has it
//! alone. The kernel lets go of it however a process ends. It is a file of its own because SQLite's own locks on the
//! database end when any descriptor of it is closed.
//!
//! The file is empty, or says where the metadata was moved to. Then no server opens the database any more: of two that
//! keep the same blobs by different metadata, each would take the other's for orphans.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use crate::errors::StorageError;

/// Longest word that is read: an address fits well.
const MAX_WORD: u64 = 4096;

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    held: File,
    path: PathBuf,
}

impl Lock {
    /// For a server: beside others, unless the metadata was moved away or is being moved.
    pub(super) fn serve(database: &Path) -> Result<Self, StorageError> {
        let Some(mut lock) = Self::take(database, FlockOperation::NonBlockingLockShared)? else {
            let context = format!("the database {} is being moved to another engine", database.display());
            return Err(StorageError::internal(context));
        };
        let mut word = String::new();
        let read = (&mut lock.held).take(MAX_WORD).read_to_string(&mut word);
        read.map_err(|source| failed(&lock.path, source))?;
        if word.trim().is_empty() {
            return Ok(lock);
        }
        Err(StorageError::internal(format!(
            "the metadata of {} was moved to {}: serve it from there. Whoever wants to go back, and lose what was changed \
             there, deletes {}",
            database.display(),
            word.trim(),
            lock.path.display()
        )))
    }

    /// For nobody else; `None` where somebody has the database open.
    pub(super) fn alone(database: &Path) -> Result<Option<Self>, StorageError> {
        Self::take(database, FlockOperation::NonBlockingLockExclusive)
    }

    /// Says where the metadata is now.
    pub(super) fn leave_word(&self, word: &str) -> Result<(), StorageError> {
        let write = || {
            let mut file = &self.held;
            file.seek(SeekFrom::Start(0))?;
            file.set_len(0)?;
            file.write_all(word.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| failed(&self.path, source))
    }

    fn take(database: &Path, how: FlockOperation) -> Result<Option<Self>, StorageError> {
        let mut path = database.as_os_str().to_owned();
        path.push("-lock");
        let path = PathBuf::from(path);
        let take = || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
            match flock(&file, how) {
                Ok(()) => Ok(Some(file)),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
                Err(error) => Err(io::Error::from(error)),
            }
        };
        let held = take().map_err(|source| failed(&path, source))?;
        Ok(held.map(|held| Self { held, path }))
    }
}

fn failed(path: &Path, source: io::Error) -> StorageError {
    let context = format!("the database's lock {}", path.display());
    StorageError::Internal { context, source: Some(Arc::new(source)) }
}
