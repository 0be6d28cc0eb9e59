//! The mark of a data directory that a backup is being restored into: no server starts on it before all of it is there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::ServerError;

const FILE: &str = "restore-unfinished";

/// What may lie in a directory that counts as empty.
const HARMLESS: [&str; 3] = ["storage.yml", "lost+found", FILE];

/// Refuses a data directory that a restore has not finished.
pub(super) fn refuse(data_dir: &Path) -> Result<(), ServerError> {
    match data_dir.join(FILE).try_exists() {
        Ok(true) => Err(ServerError::RestoreUnfinished(data_dir.to_owned())),
        // What is wrong with the directory is said by who needs it.
        Ok(false) | Err(_) => Ok(()),
    }
}

/// The mark, while it stands: locked until it is dropped, so that one restore at a time works on a directory. The kernel lets go of
/// the lock however a process ends; the mark stays.
pub(super) struct Mark {
    data_dir: PathBuf,
    _held: File,
    /// Whether an earlier try of the same left it.
    pub(super) was_there: bool,
}

/// What came of setting a mark.
enum Setting {
    /// It is set, and locked.
    Set { held: File, was_there: bool },
    /// Something is there already, which is not ours.
    Occupied(PathBuf),
    /// Another process restores into the directory.
    Busy,
}

impl Mark {
    /// Marks a directory, which must be empty, or bear the same mark. `what` says what is restored, and where to. Where there is no
    /// mark yet, nor may there be the database's file: the next try would take it for what this one left.
    pub(super) fn set(data_dir: &Path, database: Option<&Path>, what: &str) -> Result<Self, ServerError> {
        let failed = |source| ServerError::RestorePlace { path: data_dir.to_owned(), source };
        match set(data_dir, database, what).map_err(failed)? {
            Setting::Set { held, was_there } => {
                Ok(Self { data_dir: data_dir.to_owned(), _held: held, was_there })
            }
            Setting::Occupied(place) => Err(ServerError::NotEmpty(place)),
            Setting::Busy => Err(ServerError::RestoreRuns(data_dir.to_owned())),
        }
    }

    /// Takes it off: everything is there.
    pub(super) fn remove(self) -> Result<(), ServerError> {
        let mark = self.data_dir.join(FILE);
        let done = fs::remove_file(&mark).and_then(|()| File::open(&self.data_dir)?.sync_all());
        done.map_err(|source| ServerError::MarkStays { path: mark, source })
    }
}

fn set(data_dir: &Path, database: Option<&Path>, what: &str) -> io::Result<Setting> {
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let mark = data_dir.join(FILE);
    // A server's directory is not marked, not even for a moment.
    if !mark.try_exists()?
        && let Some(place) = occupied(data_dir, database)?
    {
        return Ok(Setting::Occupied(place));
    }
    let mut held =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&mark)?;
    match flock(&held, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Setting::Busy),
        Err(error) => return Err(io::Error::from(error)),
    }
    // Another restore may have ended, and deleted the file, before it was locked here.
    let (ours, there) = (held.metadata()?, fs::metadata(&mark));
    if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
        return Ok(Setting::Busy);
    }
    let mut found = Vec::new();
    held.read_to_end(&mut found)?;
    if found == what.as_bytes() {
        return Ok(Setting::Set { held, was_there: true });
    }
    // One that was not written wholly is as good as none: nothing was restored before it was.
    if !what.as_bytes().starts_with(&found) {
        return Ok(Setting::Occupied(data_dir.to_owned()));
    }
    if let Some(place) = occupied(data_dir, database)? {
        fs::remove_file(&mark)?;
        return Ok(Setting::Occupied(place));
    }
    held.set_len(0)?;
    held.seek(SeekFrom::Start(0))?;
    held.write_all(what.as_bytes())?;
    held.sync_all()?;
    File::open(data_dir)?.sync_all()?;
    Ok(Setting::Set { held, was_there: false })
}

/// What is in the way of a first try.
fn occupied(data_dir: &Path, database: Option<&Path>) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(data_dir)? {
        let name = entry?.file_name();
        if HARMLESS.iter().all(|harmless| name != *harmless) {
            return Ok(Some(data_dir.to_owned()));
        }
    }
    match database {
        Some(database) if database.try_exists()? => Ok(Some(database.to_owned())),
        Some(_) | None => Ok(None),
    }
}

/// Takes away what an earlier try left of a database's file.
pub(super) fn remove_database(path: &Path) -> Result<(), ServerError> {
    for ending in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(ending);
        let file = PathBuf::from(file);
        match fs::remove_file(&file) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(ServerError::RestorePlace { path: file, source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
