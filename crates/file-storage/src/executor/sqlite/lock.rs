//! Who has a database open, by `flock` on a file beside it: servers share the lock, who moves the metadata away has it
//! alone. The kernel lets go of it however a process ends. It is a file of its own because SQLite's own locks on the
//! database end when any descriptor of it is closed.
//!
//! The file is empty, or says where the metadata was moved to. Then no server opens the database any more: of two that
//! keep the same blobs by different metadata, each would take the other's for orphans.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::errors::StorageError;
use crate::ownership;

/// Longest word that is read: an address fits well.
const MAX_WORD: u64 = 4096;

/// How long a start waits for another one that just looks whether it is alone.
const STARTS: Duration = Duration::from_millis(200);

/// How long a hold on blobs waits for servers that just look whether there is one.
const LOOKS: Duration = Duration::from_secs(2);

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    held: File,
    path: PathBuf,
    /// Whether nobody else had the database open when this one was taken.
    is_sole: bool,
    /// See [`BlobHold`].
    hold: PathBuf,
}

impl Lock {
    /// For a server: beside others, unless the metadata was moved away or is being moved.
    pub(super) fn serve(database: &Path) -> Result<Self, StorageError> {
        let until = Instant::now() + STARTS;
        let mut lock = loop {
            if let Some(alone) = Self::alone(database)? {
                break alone.share()?;
            }
            match Self::take(database, FlockOperation::NonBlockingLockShared)? {
                Some(beside) => break beside,
                None if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                None => {
                    let context =
                        format!("the database {} is being moved to another engine", database.display());
                    return Err(StorageError::internal(context));
                }
            }
        };
        refuse_word(database, &lock.path, &mut lock.held)?;
        Ok(lock)
    }

    /// Lets others in who serve the database, too; remembers that nobody was there.
    fn share(self) -> Result<Self, StorageError> {
        flock(&self.held, FlockOperation::NonBlockingLockShared)
            .map_err(|error| failed(&self.path, io::Error::from(error)))?;
        Ok(Self { is_sole: true, ..self })
    }

    /// Whether nobody else had the database open when this one began to serve it: what others left in it is over.
    pub(super) fn is_sole(&self) -> bool {
        self.is_sole
    }

    /// Refuses a database whose metadata was moved away. Takes no lock, and makes no file.
    pub(super) fn refuse_moved(database: &Path) -> Result<(), StorageError> {
        let path = beside(database, "-lock");
        match File::open(&path) {
            Ok(file) => refuse_word(database, &path, file),
            // What is wrong with the directory is said by who needs it.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(())
            }
            Err(error) => Err(failed(&path, error)),
        }
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

    /// Whether somebody holds the blobs that rows let go of. Who deletes them asks this after it has read which ones are
    /// queued: see [`BlobHold`].
    pub(super) fn blobs_are_held(&self) -> Result<bool, StorageError> {
        let look = || match File::open(&self.hold) {
            // Shared, so that servers that look at the same time are not in each other's way.
            Ok(file) => match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => Ok(false),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
                Err(error) => Err(io::Error::from(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        look().map_err(|source| failed(&self.hold, source))
    }

    fn take(database: &Path, how: FlockOperation) -> Result<Option<Self>, StorageError> {
        let path = beside(database, "-lock");
        let take = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = ownership::no_link(&mut options).open(&path)?;
            // Where that is not allowed it is as it was: who can't open it says so at its start.
            let _ = ownership::hand_over(&file, like(database));
            match flock(&file, how) {
                Ok(()) => Ok(Some(file)),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
                Err(error) => Err(io::Error::from(error)),
            }
        };
        let held = take().map_err(|source| failed(&path, source))?;
        Ok(held.map(|held| Self { held, path, is_sole: false, hold: beside(database, "-hold") }))
    }
}

/// While this lives, no server deletes a blob that rows let go of since: it is there for whoever copies what rows named
/// when the hold began. The kernel lets go of it however a process ends.
///
/// IMPORTANT: it is taken before rows are read, and servers look for it after they have read which blobs are queued. So
/// a blob that is deleted all the same was queued before the hold began, and no row named it.
#[derive(Debug)]
pub(in crate::executor) struct BlobHold {
    _held: File,
}

impl BlobHold {
    /// Takes it; `None` where somebody else has it. Blocks, for a moment.
    pub(in crate::executor) fn take(database: &Path) -> Result<Option<Self>, StorageError> {
        let path = beside(database, "-hold");
        let take = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = ownership::no_link(&mut options).open(&path)?;
            refuse_foreign(&file, database, &path)?;
            let until = Instant::now() + LOOKS;
            loop {
                match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => return Ok(Some(Self { _held: file })),
                    Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() >= until => return Ok(None),
                    Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(10)),
                    Err(error) => return Err(io::Error::from(error)),
                }
            }
        };
        take().map_err(|source| failed(&path, source))
    }
}

/// Refuses what says that the metadata is elsewhere.
fn refuse_word(database: &Path, path: &Path, file: impl Read) -> Result<(), StorageError> {
    let mut word = String::new();
    file.take(MAX_WORD).read_to_string(&mut word).map_err(|source| failed(path, source))?;
    if word.trim().is_empty() {
        return Ok(());
    }
    Err(StorageError::internal(format!(
        "the metadata of {} was moved to {}: serve it from there. Whoever wants to go back, and lose what was changed \
         there, deletes {}",
        database.display(),
        word.trim(),
        path.display()
    )))
}

/// Gives the file of a hold to the servers' user, or else takes it away again: a server that can't open it can't tell whether its
/// blobs are held, and would delete none any more, for good.
fn refuse_foreign(file: &File, database: &Path, path: &Path) -> io::Result<()> {
    let servers = fs::metadata(like(database))?.uid();
    let given = ownership::hand_over(file, like(database));
    let refused = match given {
        Ok(()) if rustix::process::geteuid().is_root() || file.metadata()?.uid() == servers => return Ok(()),
        Ok(()) => io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("the database is user {servers}'s: run this as that user, or as root"),
        ),
        Err(error) => error,
    };
    fs::remove_file(path)?;
    Err(refused)
}

/// Whose files beside a database are: whose the database is; where there is none yet, whose the directory is.
fn like(database: &Path) -> &Path {
    match database.parent() {
        _ if database.exists() => database,
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// A file beside the database.
fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

fn failed(path: &Path, source: io::Error) -> StorageError {
    let context = format!("the database's lock {}", path.display());
    StorageError::Internal { context, source: Some(Arc::new(source)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_that_root_takes_can_be_seen_by_the_databases_owner() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("metadata.sqlite");
        File::create(&database).unwrap();
        // Only root can have a database that is another user's.
        let _ = std::os::unix::fs::chown(&database, Some(12_345), Some(12_345));
        let owner = fs::metadata(&database).unwrap().uid();
        let hold = BlobHold::take(&database).unwrap().unwrap();
        let lock = Lock::serve(&database).unwrap();
        assert!(lock.blobs_are_held().unwrap());
        for ending in ["-hold", "-lock"] {
            assert_eq!(fs::metadata(beside(&database, ending)).unwrap().uid(), owner, "{ending}");
        }
        drop(hold);
        assert!(!lock.blobs_are_held().unwrap());
    }
}
