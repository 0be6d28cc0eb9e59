//! What processes that died have left under `staging`.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::PoisonError;

use super::instance::Instance;
use super::{Inner, error, layout};
use crate::file::BlobKey;

/// Takes over the staging folders of dead processes: half-written files go, marks of published blobs become
/// ours, and their keys are the answer, until they are settled. A crash on the way changes nothing: marks are
/// moved one by one, and each is in one folder or the other.
pub(super) fn recover(inner: &Inner) -> io::Result<Vec<BlobKey>> {
    for folder in Instance::folders(inner.layout.staging())? {
        // Our own is locked by ourselves, through another descriptor: it counts as alive.
        if let Some(dead) = Instance::take(&folder)? {
            inner.failpoints.hit("local.recover.taken")?;
            adopt(inner, dead.folder())?;
        }
    }
    Ok(inner.recovered.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect())
}

/// Empties a dead folder. Dropping its [`Instance`] removes it.
fn adopt(inner: &Inner, folder: &Path) -> io::Result<()> {
    let Some(entries) = error::found(fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(key) = name.to_str().and_then(layout::key_of) else {
            tracing::warn!(path = %entry.path().display(), "a file in the staging area is not ours");
            continue;
        };
        inner.failpoints.hit("local.recover.adopt")?;
        if inner.layout.blob(&key).try_exists()? {
            fs::rename(entry.path(), inner.instance.folder().join(&name))?;
            inner.recovered.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
