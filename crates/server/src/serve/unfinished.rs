//! The mark of a data directory that a backup is being restored into: no server starts on it before all of it is there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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

/// The mark, while it stands.
pub(super) struct Mark {
    data_dir: PathBuf,
    /// Whether an earlier try of the same left it.
    pub(super) was_there: bool,
}

impl Mark {
    /// Marks a directory, which must be empty, or bear the same mark. `what` says what is restored, and where to.
    pub(super) fn set(data_dir: &Path, what: &str) -> Result<Self, ServerError> {
        let set = || -> io::Result<Option<bool>> {
            DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
            let mark = data_dir.join(FILE);
            match fs::read_to_string(&mark) {
                Ok(found) => return Ok((found == what).then_some(true)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            for entry in fs::read_dir(data_dir)? {
                if HARMLESS.iter().all(|name| entry.as_ref().is_ok_and(|entry| entry.file_name() != *name)) {
                    return Ok(None);
                }
            }
            let new = data_dir.join(format!(".{FILE}.new"));
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(what.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &mark)?;
            File::open(data_dir)?.sync_all()?;
            Ok(Some(false))
        };
        match set() {
            Ok(Some(was_there)) => Ok(Self { data_dir: data_dir.to_owned(), was_there }),
            Ok(None) => Err(ServerError::NotEmpty(data_dir.to_owned())),
            Err(source) => Err(ServerError::RestorePlace { path: data_dir.to_owned(), source }),
        }
    }

    /// Takes it off: everything is there.
    pub(super) fn remove(self) -> Result<(), ServerError> {
        let done =
            fs::remove_file(self.data_dir.join(FILE)).and_then(|()| File::open(&self.data_dir)?.sync_all());
        done.map_err(|source| ServerError::RestorePlace { path: self.data_dir, source })
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
