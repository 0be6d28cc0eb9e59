//! Which directory a provider is: a file in its root says so, and comes along wherever the directory is mounted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use uuid::Uuid;

use super::{error, folder, layout};
use crate::Timestamp;
use crate::backend::BackendError;
use crate::backend::place::{Place, WORD as FILE, said};
use crate::file::BlobKey;
use crate::ownership;

/// A directory that is to be a provider, before anything is opened in it. What is not of [`Place`] blocks: it is for start-up.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The directory of this path, which need not be there.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that says which one it is.
    pub fn file(&self) -> PathBuf {
        self.root.join(FILE)
    }

    /// Which one it is; `None` where nobody has said so.
    ///
    /// # Errors
    /// Those of the file system; `InvalidData` where the file says something else.
    pub fn identity(&self) -> io::Result<Option<Uuid>> {
        match fs::read_to_string(self.file()) {
            Ok(text) => said(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Which one it is, and since when its file is there: as of blobs, the time at which it came to this directory.
    ///
    /// # Errors
    /// As [`Directory::identity`].
    pub fn identified(&self) -> io::Result<Option<(Uuid, Timestamp)>> {
        let Some(identity) = self.identity()? else { return Ok(None) };
        let metadata = fs::metadata(self.file())?;
        let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
        Ok(Timestamp::from_timestamp(metadata.ctime(), nanoseconds).map(|since| (identity, since)))
    }

    /// Says which one it is, unless that was said before; gives the identity that it then has.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn identify(&self, identity: Uuid) -> io::Result<Uuid> {
        let written = self.written(identity)?;
        // A link, unlike a rename, never replaces what is there.
        match fs::hard_link(&written.0, self.file()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // A file system without links: of two servers that start at this moment, the later one counts.
            Err(_) if self.identity()?.is_none() => fs::rename(&written.0, self.file())?,
            Err(_) => {}
        }
        folder::sync(&self.root)?;
        Ok(self.identity()?.unwrap_or(identity))
    }

    /// Says which one it is, whatever was said before.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn identify_anew(&self, identity: Uuid) -> io::Result<()> {
        let written = self.written(identity)?;
        fs::rename(&written.0, self.file())?;
        folder::sync(&self.root)
    }

    /// Takes back what was said, if it is this.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn withdraw(&self, identity: Uuid) -> io::Result<()> {
        if self.identity()? == Some(identity) {
            fs::remove_file(self.file())?;
            folder::sync(&self.root)?;
        }
        Ok(())
    }

    /// Whether any of these blobs is in it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn has_any<'a>(&self, keys: impl IntoIterator<Item = &'a BlobKey>) -> io::Result<bool> {
        for key in keys {
            if layout::blob_below(&self.root, key).try_exists()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BackendError> {
        let directory = self.clone();
        let done = tokio::task::spawn_blocking(move || step(&directory)).await;
        done.map_err(error::other("identify"))?.map_err(error::io("identify"))
    }

    /// The file under another name, durably.
    fn written(&self, identity: Uuid) -> io::Result<Temporary> {
        layout::make_directories(&self.root)?;
        let temporary = Temporary(self.root.join(format!(".{FILE}.{}", Uuid::new_v4())));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary.0)?;
        // Where root may not give it away, a server of another user says that it can't read it.
        let _ = ownership::hand_over(&file, &self.root);
        writeln!(file, "{identity}").and_then(|()| File::sync_all(&file))?;
        Ok(temporary)
    }
}

#[async_trait]
impl Place for Directory {
    fn shown(&self) -> String {
        format!("in {}", self.root.display())
    }

    fn word(&self) -> String {
        self.file().display().to_string()
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn identity(&self) -> Result<Option<Uuid>, BackendError> {
        self.blocking(Self::identity).await
    }

    async fn identified(&self) -> Result<Option<(Uuid, Timestamp)>, BackendError> {
        self.blocking(Self::identified).await
    }

    async fn identify(&self, identity: Uuid) -> Result<Uuid, BackendError> {
        self.blocking(move |directory| directory.identify(identity)).await
    }

    async fn identify_anew(&self, identity: Uuid) -> Result<(), BackendError> {
        self.blocking(move |directory| directory.identify_anew(identity)).await
    }

    async fn withdraw(&self, identity: Uuid) -> Result<(), BackendError> {
        self.blocking(move |directory| directory.withdraw(identity)).await
    }

    async fn has_any(&self, keys: &[BlobKey]) -> Result<bool, BackendError> {
        let keys = keys.to_vec();
        self.blocking(move |directory| directory.has_any(&keys)).await
    }
}

/// A file that goes when its maker does.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It was renamed, or can't be removed: there is nothing to do about either.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_to_say_which_directory_it_is_counts() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::new(folder.path().join("not/there/yet"));
        assert_eq!(directory.identity().unwrap(), None);
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
        assert_eq!(directory.identify(first).unwrap(), first);
        assert_eq!(directory.identify(second).unwrap(), first);
        assert_eq!(directory.identity().unwrap(), Some(first));
        directory.identify_anew(second).unwrap();
        assert_eq!(directory.identity().unwrap(), Some(second));
        assert_eq!(directory.identified().unwrap().map(|(said, _)| said), Some(second));
        // Nothing else is left there.
        assert_eq!(fs::read_dir(directory.root()).unwrap().count(), 1);
        directory.withdraw(first).unwrap();
        assert_eq!(directory.identity().unwrap(), Some(second), "it says another one");
        directory.withdraw(second).unwrap();
        assert_eq!(directory.identity().unwrap(), None);
        fs::write(directory.file(), "some words").unwrap();
        assert_eq!(directory.identity().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
