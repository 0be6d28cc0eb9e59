//! One process's own folder under `staging`, and how others know whether it lives.
//!
//! `staging/{uuid}.lock` is held by `flock` for as long as the process runs; the kernel lets go of it however
//! the process ends. Only who holds the lock touches `staging/{uuid}/`, and only the holder removes the lock
//! file: so of two processes that find a dead folder, one takes it over.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use super::layout::make_directories;
use crate::ownership;

/// Ends the name of the file by which a process holds its folder.
const LOCK: &str = "lock";

/// How often a fresh name may be taken by another process between being made and being locked.
const ATTEMPTS: usize = 8;

/// A folder under `staging` that is ours, until dropped.
pub(in crate::backend) struct Instance {
    folder: PathBuf,
    lock: PathBuf,
    /// Held, never read.
    _held: File,
}

impl Instance {
    /// Makes a folder for this process.
    pub(in crate::backend) fn start(staging: &Path) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            if let Some(instance) = Self::take(&staging.join(Uuid::now_v7().to_string()))? {
                make_directories(&instance.folder)?;
                return Ok(instance);
            }
        }
        Err(io::Error::other("every staging folder was taken by another process"))
    }

    /// Takes a folder that nobody holds: a fresh one, or that of a dead process. `None` where its process
    /// lives, or another one was faster.
    pub(in crate::backend) fn take(folder: &Path) -> io::Result<Option<Self>> {
        let lock = folder.with_extension(LOCK);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let held = ownership::no_link(&mut options).open(&lock)?;
        // Another process could not take the folder over, else, if this one is killed.
        let _ = ownership::hand_over(&held, lock.parent().unwrap_or(folder));
        match flock(&held, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // A holder before us may have finished with it, and removed it, between our open and our lock.
        if held.metadata()?.nlink() == 0 {
            return Ok(None);
        }
        Ok(Some(Self { folder: folder.to_owned(), lock, _held: held }))
    }

    /// Every folder under `staging` that there is, or that a lock stands for.
    pub(in crate::backend) fn folders(staging: &Path) -> io::Result<BTreeSet<PathBuf>> {
        let mut folders = BTreeSet::new();
        for entry in fs::read_dir(staging)? {
            let folder = entry?.path().with_extension("");
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if Uuid::try_parse(name).is_ok() {
                folders.insert(folder);
            }
        }
        Ok(folders)
    }

    /// Where this process's unfinished files are.
    pub(in crate::backend) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Instance {
    /// Removes the folder if nothing is left in it. Whatever is left is found by the next recovery.
    fn drop(&mut self) {
        let gone = match fs::remove_dir(&self.folder) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if gone {
            let _ = fs::remove_file(&self.lock);
        }
    }
}
