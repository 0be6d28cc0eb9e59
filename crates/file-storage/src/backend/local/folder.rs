//! The folders that blobs lie in: made when needed, and durable before a blob in them is called stored.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Durability;
use super::layout::make_directories;

/// How many folders are remembered; beyond it, memory is cleared and each costs two syncs once more.
const REMEMBERED: usize = 16 * 1024;

/// Folders that this process knows to be durable. A folder that is there need not be durable: another writer,
/// or a process that has died, may have made it a moment ago. So each is synced into its parents once by
/// every process that uses it, and remembered.
#[derive(Default)]
pub(super) struct Folders {
    durable: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    /// Sees to it that the folder is there, and as durable as asked. `above` is how many of its parents may
    /// be as new as the folder itself.
    pub(super) fn ensure(&self, folder: &Path, above: usize, durability: Durability) -> io::Result<()> {
        if self.durable.lock().unwrap_or_else(PoisonError::into_inner).contains(folder) {
            return Ok(());
        }
        make_directories(folder)?;
        if durability == Durability::Full {
            for parent in folder.ancestors().skip(1).take(above) {
                sync(parent)?;
            }
        }
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.len() >= REMEMBERED {
            durable.clear();
        }
        durable.insert(folder.to_owned());
        Ok(())
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
