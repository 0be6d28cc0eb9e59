//! The directory of a backup. All of it blocks.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

use super::BackupError;
use super::manifest::{FORMAT, Manifest};
use crate::backend::local::blob_below;
use crate::file::{BlobKey, Sha256};

/// Says that a directory is one of backups.
const LOCK: &str = "aerostore-backup.lock";
const MANIFEST: &str = "manifest.json";
const METADATA: &str = "metadata";
const SECRETS: &str = "secrets.json";

/// A directory of backups, until dropped ours alone, or ours to read.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
    _lock: File,
}

impl Place {
    /// To write to: makes it where it is missing. A directory that holds anything else is refused, whatever it is: what no
    /// backup names is deleted in there.
    pub(super) fn claim(root: &Path) -> Result<Self, BackupError> {
        make_directory(root).map_err(BackupError::of(root))?;
        let lock = root.join(LOCK);
        let found = || -> io::Result<BTreeSet<_>> {
            fs::read_dir(root)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
        };
        let found = found().map_err(BackupError::of(root))?;
        let is_ours = found.iter().any(|name| name == LOCK);
        if !is_ours && found.iter().any(|name| name != "lost+found") {
            return Err(BackupError::Foreign(root.to_owned()));
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&lock);
        Self::locked(root, file, FlockOperation::NonBlockingLockExclusive)
    }

    /// To read from.
    pub(super) fn open(root: &Path) -> Result<Self, BackupError> {
        match File::open(root.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BackupError::Missing(root.to_owned()))
            }
            file => Self::locked(root, file, FlockOperation::NonBlockingLockShared),
        }
    }

    fn locked(root: &Path, file: io::Result<File>, how: FlockOperation) -> Result<Self, BackupError> {
        let lock = root.join(LOCK);
        let file = file.map_err(BackupError::of(&lock))?;
        match flock(&file, how) {
            Ok(()) => Ok(Self { root: root.to_owned(), _lock: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(BackupError::Busy(root.to_owned())),
            Err(error) => Err(BackupError::of(lock)(error.into())),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What is there.
    pub(super) fn manifest(&self) -> Result<Manifest, BackupError> {
        /// As much of any format as says which one it is.
        #[derive(serde::Deserialize)]
        struct Format {
            format: u32,
        }
        let path = self.root.join(MANIFEST);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::Missing(self.root.clone()));
            }
            text => text.map_err(BackupError::of(&path))?,
        };
        let damaged = |error: serde_json::Error| BackupError::Damaged(format!("{MANIFEST}: {error}"));
        let Format { format } = serde_json::from_str(&text).map_err(damaged)?;
        if format > FORMAT {
            return Err(BackupError::NewerFormat(format));
        }
        serde_json::from_str(&text).map_err(damaged)
    }

    /// Says what is there, from now on.
    pub(super) fn publish(&self, manifest: &Manifest) -> Result<(), BackupError> {
        let (path, new) = (self.root.join(MANIFEST), self.root.join(".manifest.json.new"));
        let text = serde_json::to_string_pretty(manifest)
            .map_err(|error| BackupError::of(&new)(io::Error::other(error)))?;
        write_private(&new, text.as_bytes()).map_err(BackupError::of(&new))?;
        let done = fs::rename(&new, &path).and_then(|()| sync(&self.root));
        done.map_err(BackupError::of(path))
    }

    /// Makes the directory of a backup's metadata.
    pub(super) fn begin_metadata(&self, id: Uuid) -> Result<(), BackupError> {
        let folder = self.metadata(id);
        make_directory(&folder).map_err(BackupError::of(&folder))
    }

    /// Makes what was written into it durable.
    pub(super) fn end_metadata(&self, id: Uuid) -> Result<(), BackupError> {
        let (all, folder) = (self.root.join(METADATA), self.metadata(id));
        sync(&folder).and_then(|()| sync(&all)).map_err(BackupError::of(folder))
    }

    /// The file of a table's lines.
    pub(super) fn table(&self, id: Uuid, name: &str) -> PathBuf {
        self.metadata(id).join(name).with_extension("jsonl")
    }

    pub(super) fn write_secrets(&self, id: Uuid, secrets: &[u8]) -> Result<String, BackupError> {
        let path = self.metadata(id).join(SECRETS);
        write_private(&path, secrets).map_err(BackupError::of(path))?;
        Ok(Sha256::of(secrets).to_hex())
    }

    pub(super) fn secrets(&self, manifest: &Manifest) -> Result<Vec<u8>, BackupError> {
        let path = self.metadata(manifest.id).join(SECRETS);
        let secrets = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BackupError::Damaged(format!("{SECRETS} is missing")),
            _ => BackupError::of(path)(error),
        })?;
        if Sha256::of(&secrets).to_hex() != manifest.secrets_sha256 {
            return Err(BackupError::Damaged(format!("{SECRETS} is not what was written")));
        }
        Ok(secrets)
    }

    /// The file of a blob.
    pub(super) fn blob(&self, key: &BlobKey) -> PathBuf {
        blob_below(&self.root, key)
    }

    /// Takes the metadata of all backups away but that one, of which there may be none yet.
    pub(super) fn remove_metadata_but(&self, kept: Option<Uuid>) -> Result<(), BackupError> {
        let all = self.root.join(METADATA);
        let remove = || -> io::Result<()> {
            for entry in fs::read_dir(&all)? {
                let entry = entry?;
                let name = entry.file_name();
                let id = name.to_str().and_then(|name| Uuid::try_parse(name).ok());
                if id.is_some_and(|id| Some(id) != kept) {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            Ok(())
        };
        match remove() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(BackupError::of(&all)),
        }
    }

    fn metadata(&self, id: Uuid) -> PathBuf {
        self.root.join(METADATA).join(id.to_string())
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
