//! The file that a download fills before it gets its name, and what makes it resumable.
//!
//! Beside `NAME` lie `.NAME.aerostore-part` (the bytes) and, for files worth resuming,
//! `.NAME.aerostore-part.json` (which version of which object they are). The bytes are locked while
//! a process writes them. All functions block.

use std::collections::hash_map::DefaultHasher;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{Hash, Hasher};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

const SUFFIX: &str = ".aerostore-part";

/// Below this many bytes, starting over is cheaper than remembering.
const WORTH_RESUMING: u64 = 4 * 1024 * 1024;

/// The version of the object whose bytes lie in the partial file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The object's URL.
    pub(super) source: String,
    pub(super) etag: String,
    pub(super) size: u64,
}

/// A download under way.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) file: File,
    target: PathBuf,
    path: PathBuf,
    origin: Option<Origin>,
}

/// Whether a path is one of the files made here.
pub(super) fn is_partial(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && (name.ends_with(SUFFIX) || name.ends_with(&format!("{SUFFIX}.json")))
}

impl Partial {
    /// Opens the partial file of `target`, new or left by an earlier download.
    pub(super) fn open(target: &Path) -> anyhow::Result<Self> {
        let name = target.file_name().with_context(|| format!("{} names no file", target.display()))?;
        let directory = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let path = directory.join(partial_name(&name.to_string_lossy()));
        let file = loop {
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
            let file = file.with_context(|| format!("cannot write {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => bail!("another download to {} is running", target.display()),
                Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the partial file"),
            }
            // NOTE: whoever held the lock before may have renamed the file to its target; it is theirs then.
            let named = std::fs::metadata(&path);
            if named.is_ok_and(|named| file.metadata().is_ok_and(|ours| ours.ino() == named.ino())) {
                break file;
            }
        };
        let remembered = std::fs::read(sidecar(&path)).ok();
        let origin = remembered.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(Self { file, target: target.to_owned(), path, origin })
    }

    /// Where a download of `source` may go on, and the version it must still be.
    pub(super) fn resume_point(&self, source: &str) -> anyhow::Result<Option<(u64, String)>> {
        let Some(origin) = self.origin.as_ref().filter(|origin| origin.source == source) else {
            return Ok(None);
        };
        // One byte is always asked for again, so that a partial file that is whole needs no special case.
        let have = self.file.metadata()?.len().min(origin.size.saturating_sub(1));
        Ok((have > 0).then(|| (have, origin.etag.clone())))
    }

    /// Continues at `offset`.
    pub(super) fn resume(&mut self, offset: u64) -> anyhow::Result<()> {
        self.file.set_len(offset)?;
        self.file.seek(SeekFrom::Start(offset))?;
        Ok(())
    }

    /// Starts over; `origin` is remembered if the file is worth it.
    pub(super) fn restart(&mut self, origin: Option<Origin>) -> anyhow::Result<()> {
        // The old description goes first: a crash between the two must not leave it beside new bytes.
        remove(&sidecar(&self.path))?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.origin = origin.filter(|origin| origin.size >= WORTH_RESUMING);
        if let Some(origin) = &self.origin {
            std::fs::write(sidecar(&self.path), serde_json::to_vec(origin)?)?;
        }
        Ok(())
    }

    /// The bytes are whole: makes them durable and gives them their name.
    pub(super) fn commit(self) -> anyhow::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, &self.target)
            .with_context(|| format!("cannot put the download in place at {}", self.target.display()))?;
        remove(&sidecar(&self.path))?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    /// The download ends here: what can be resumed stays, the rest goes.
    pub(super) fn abandon(self) -> anyhow::Result<()> {
        if self.origin.is_some() { Ok(()) } else { remove(&self.path) }
    }
}

/// `.NAME.aerostore-part`; names that would become too long for a file system are shortened.
fn partial_name(name: &str) -> String {
    const LONGEST: usize = 200;
    if name.len() <= LONGEST {
        return format!(".{name}{SUFFIX}");
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    format!(".{:016x}{SUFFIX}", hasher.finish())
}

fn sidecar(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn origin(size: u64) -> Origin {
        Origin { source: "http://h/b/p".to_owned(), etag: "\"e\"".to_owned(), size }
    }

    #[test]
    fn a_large_download_is_remembered_until_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("sub/big.bin");
        let mut partial = Partial::open(&target).unwrap();
        assert_eq!(partial.resume_point("http://h/b/p").unwrap(), None);
        partial.restart(Some(origin(WORTH_RESUMING))).unwrap();
        partial.file.write_all(b"12345").unwrap();
        partial.abandon().unwrap();

        let mut partial = Partial::open(&target).unwrap();
        assert_eq!(partial.resume_point("http://h/b/other").unwrap(), None, "another object");
        assert_eq!(partial.resume_point("http://h/b/p").unwrap(), Some((5, "\"e\"".to_owned())));
        partial.resume(5).unwrap();
        partial.file.write_all(b"6").unwrap();
        partial.commit().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"123456");
        assert_eq!(std::fs::read_dir(target.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_small_download_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let mut partial = Partial::open(&directory.path().join("small")).unwrap();
        partial.restart(Some(origin(10))).unwrap();
        partial.abandon().unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_one_download_writes_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("x");
        let first = Partial::open(&target).unwrap();
        assert!(Partial::open(&target).unwrap_err().to_string().contains("another download"));
        first.commit().unwrap();
        assert!(Partial::open(&target).is_ok());
    }

    #[test]
    fn partial_files_are_known_by_their_names() {
        let check = |name: &str, expected: bool| assert_eq!(is_partial(Path::new(name)), expected, "{name}");
        check("d/.a.txt.aerostore-part", true);
        check(".a.txt.aerostore-part.json", true);
        check("a.txt", false);
        check(".profile", false);
        assert!(partial_name(&"ä".repeat(120)).len() < 60);
    }
}
