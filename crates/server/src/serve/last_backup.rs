//! Which backup was the last that was made of a data directory's server. It is written down there, so that somebody who looks can say how
//! long that is ago. Nothing else depends on it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use file_storage::backup::Manifest;
use file_storage::ownership;
use serde::{Deserialize, Serialize};

const FILE: &str = "last-backup.json";

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastBackup {
    /// The instant that it is of.
    pub(crate) created_at: DateTime<Utc>,
    /// The directory that it went to.
    pub(crate) to: PathBuf,
    /// Blobs that it lacks, as they were lost before.
    pub(crate) lost_blobs: u64,
}

impl LastBackup {
    pub(crate) fn of(manifest: &Manifest, to: &Path) -> Self {
        let to = to.canonicalize().unwrap_or_else(|_| to.to_owned());
        Self { created_at: manifest.created_at, to, lost_blobs: manifest.lost.count }
    }

    /// Writes it down, in place of the one before: wholly or not at all.
    pub(crate) fn write(&self, data_dir: &Path) -> io::Result<()> {
        let new = data_dir.join(format!(".{FILE}.{}", uuid::Uuid::new_v4()));
        let written = File::create_new(&new).and_then(|mut file| {
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            // The server says when it was, too.
            ownership::hand_over(&file, data_dir)?;
            file.sync_all()?;
            fs::rename(&new, data_dir.join(FILE))?;
            File::open(data_dir)?.sync_all()
        });
        written.inspect_err(|_| drop(fs::remove_file(&new)))
    }

    /// Reads it; `None` where none was made.
    pub(crate) fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(data_dir.join(FILE)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_read_back_and_takes_the_place_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(LastBackup::read(folder.path()).unwrap(), None);
        for lost_blobs in [1, 2] {
            let last = LastBackup { created_at: Utc::now(), to: "/backup".into(), lost_blobs };
            last.write(folder.path()).unwrap();
            assert_eq!(LastBackup::read(folder.path()).unwrap(), Some(last));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else stays");
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(LastBackup::read(folder.path()).is_err());
    }
}
