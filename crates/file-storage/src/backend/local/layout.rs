//! Which names things have under the root.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::syncfs;

use super::folder;
use crate::file::BlobKey;
use crate::ownership;

/// The directory of the blobs.
const BLOBS: &str = "blobs";

/// Ends the name of a mark that is a file of its own (see [`super::publish`]).
const MARK: &str = ".mark";

/// The paths of one root.
pub(super) struct Layout {
    root: PathBuf,
    blobs: PathBuf,
    staging: PathBuf,
}

impl Layout {
    /// Makes what is missing of the root's directories, for their owner alone.
    pub(super) fn make(root: &Path) -> io::Result<Self> {
        make_directories(root).map_err(named(root))?;
        let root = root.canonicalize().map_err(named(root))?;
        let (blobs, staging) = (root.join(BLOBS), root.join("staging"));
        make_directories(&blobs).map_err(named(&blobs))?;
        make_directories(&staging).map_err(named(&staging))?;
        if fs::metadata(&blobs)?.dev() != fs::metadata(&staging)?.dev() {
            let message = "blobs and staging must lie on one file system";
            return Err(io::Error::new(io::ErrorKind::CrossesDevices, message));
        }
        folder::sync(&root).map_err(named(&root))?;
        if let Some(parent) = root.parent() {
            sync_name(&root, parent).map_err(named(parent))?;
        }
        Ok(Self { root, blobs, staging })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn blobs(&self) -> &Path {
        &self.blobs
    }

    pub(super) fn staging(&self) -> &Path {
        &self.staging
    }

    /// Where a blob is.
    pub(super) fn blob(&self, key: &BlobKey) -> PathBuf {
        self.blobs.join(key.as_str())
    }
}

/// Makes the root's own name durable. What is above it may be passed and not read by the server's user: then it can't be synced alone,
/// and the whole file system is.
fn sync_name(root: &Path, parent: &Path) -> io::Result<()> {
    match folder::sync(parent) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(syncfs(File::open(root)?)?),
        synced => synced,
    }
}

/// An error that says where it happened.
fn named(path: &Path) -> impl FnOnce(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Where a blob is below a root that is not opened.
pub(crate) fn blob_below(root: &Path, key: &BlobKey) -> PathBuf {
    root.join(BLOBS).join(key.as_str())
}

/// Makes a directory for its owner alone, and those above it where they are missing. What root makes belongs to the owner of what it is in.
pub(in crate::backend) fn make_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> = path.ancestors().take_while(|place| !place.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for made in missing.into_iter().rev() {
        if let Some(parent) = made.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // Where root may not give it away, whoever is to write there says so.
            let _ = ownership::hand_over_path(made, parent);
        }
    }
    Ok(())
}

/// The name, inside an instance's folder, of a file that is being written or is not settled.
pub(super) fn staged_name(key: &BlobKey) -> String {
    key.as_str().replace('/', "~")
}

/// The name of a mark that is a file of its own.
pub(super) fn mark_name(key: &BlobKey) -> String {
    staged_name(key) + MARK
}

/// The key that a name in an instance's folder stands for; `None` where it is no name of ours.
pub(super) fn key_of(name: &str) -> Option<BlobKey> {
    BlobKey::from_stored(&name.strip_suffix(MARK).unwrap_or(name).replace('~', "/"))
}
