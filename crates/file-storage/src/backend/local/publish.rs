//! How a staged file becomes a blob, and what of it is left until it is settled.
//!
//! The file gets its final name by a hard link, not by a rename, for three reasons. A link never replaces
//! anything. The staged name stays, and is the mark of a blob that is not settled, without another file or
//! sync. And there is no moment in which a crash leaves a blob without a mark. Where the file system has no
//! links, a mark file is made first and the staged file is renamed.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::stage::Staged;
use super::{Durability, Inner, error, folder, layout};
use crate::file::BlobKey;

/// The names of a blob that is not settled. Dropped unless [`Unsettled::keep`] was called, they are removed:
/// at a place where that may block.
pub(super) struct Unsettled {
    inner: Arc<Inner>,
    key: BlobKey,
    /// Whether the final name was given, by us: a blob that was there before is not ours to remove.
    named: bool,
    removed_on_drop: bool,
}

impl Unsettled {
    /// A file that stands in the staging folder.
    pub(super) fn staged(inner: &Arc<Inner>, key: &BlobKey) -> Self {
        Self { inner: inner.clone(), key: key.clone(), named: false, removed_on_drop: true }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Leaves the names as they are: the caller has been told of the blob, and settles it.
    pub(super) fn keep(mut self) {
        self.removed_on_drop = false;
    }

    /// Removes everything at once. May block.
    pub(super) fn discard(mut self) {
        self.removed_on_drop = false;
        self.inner.remove_or_log(&self.key, self.named);
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if !self.removed_on_drop {
            return;
        }
        let (inner, key, named) = (self.inner.clone(), self.key.clone(), self.named);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let tasks = inner.tasks.clone();
                tasks.spawn_blocking_on(move || inner.remove_or_log(&key, named), &runtime);
            }
            Err(_) => inner.remove_or_log(&key, named),
        }
    }
}

/// Makes the staged file durable and gives it its final name, durably. May block. After any failure the blob
/// is lost: what a failed sync has left in the page cache proves nothing, so that it is not tried again.
pub(super) fn publish(staged: Staged) -> io::Result<Unsettled> {
    let Staged { file, trace, .. } = staged;
    let synced =
        trace.inner.failpoints.hit("local.publish.sync").and_then(|()| match trace.inner.durability {
            Durability::Full => file.sync_data(),
            Durability::Relaxed => Ok(()),
        });
    // Closed before it may be removed.
    drop(file);
    match synced {
        Ok(()) => trace.publish(),
        Err(error) => {
            trace.discard();
            Err(error)
        }
    }
}

impl Unsettled {
    /// Gives what stands in the staging folder, and is synced, its final name, durably. May block.
    pub(super) fn publish(mut self) -> io::Result<Self> {
        match self.name() {
            Ok(()) => Ok(self),
            Err(error) => {
                self.discard();
                Err(error)
            }
        }
    }

    fn name(&mut self) -> io::Result<()> {
        let inner = &self.inner;
        let blob = inner.layout.blob(&self.key);
        let folder = blob.parent().unwrap_or(inner.layout.blobs());
        inner.failpoints.hit("local.publish.folder")?;
        // Two levels above a folder can be new: its bucket's folder, whose name stands in `blobs`.
        inner.folders.ensure(folder, 2, inner.durability)?;
        inner.failpoints.hit("local.publish.link")?;
        let linked = inner.failpoints.hit("local.publish.hard_link");
        match linked.and_then(|()| fs::hard_link(inner.staged(&self.key), &blob)) {
            Err(error) if no_links(&error) => inner.rename(&self.key, &blob)?,
            linked => linked?,
        }
        self.named = true;
        inner.failpoints.hit("local.publish.sync_folder")?;
        if inner.durability == Durability::Full {
            folder::sync(folder)?;
        }
        inner.failpoints.hit("local.publish.done")
    }
}

impl Inner {
    fn rename(&self, key: &BlobKey, blob: &Path) -> io::Result<()> {
        self.without_links.store(true, Relaxed);
        let mark = self.instance.folder().join(layout::mark_name(key));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(mark)?;
        self.failpoints.hit("local.publish.rename")?;
        let staged = self.staged(key);
        match renameat_with(CWD, &staged, CWD, blob, RenameFlags::NOREPLACE) {
            // Not every file system has this flag. Keys are fresh, so that nothing is replaced without it either.
            Err(Errno::INVAL | Errno::NOSYS) => fs::rename(&staged, blob),
            renamed => Ok(renamed?),
        }
    }

    /// The name under which a blob of this process is written, and marked afterwards.
    pub(super) fn staged(&self, key: &BlobKey) -> PathBuf {
        self.instance.folder().join(layout::staged_name(key))
    }

    /// Removes a blob and its mark, the mark last: as long as there is a blob, a crash leaves its mark.
    pub(super) fn delete(&self, key: &BlobKey) -> io::Result<()> {
        self.failpoints.hit("local.delete.blob")?;
        error::found(fs::remove_file(self.layout.blob(key)))?;
        self.unmark(key)
    }

    /// Removes the mark of a blob.
    pub(super) fn unmark(&self, key: &BlobKey) -> io::Result<()> {
        self.failpoints.hit("local.unmark")?;
        // A recovered mark may be of the other kind, from a process that found no links.
        let removed = error::found(fs::remove_file(self.staged(key)))?.is_some();
        if !removed || self.without_links.load(Relaxed) {
            error::found(fs::remove_file(self.instance.folder().join(layout::mark_name(key))))?;
        }
        Ok(())
    }

    /// Removes what an upload left, where nobody waits for the answer: what remains is found by the next recovery.
    fn remove_or_log(&self, key: &BlobKey, named: bool) {
        let removed = if named { self.delete(key) } else { self.unmark(key) };
        if let Err(error) = removed {
            tracing::warn!(%key, %error, "an unfinished blob could not be removed");
        }
    }
}

/// Whether the file system has no hard links (or not one more for this file).
pub(super) fn no_links(error: &io::Error) -> bool {
    let without = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::MLINK, Errno::NOSYS];
    Errno::from_io_error(error).is_some_and(|errno| without.contains(&errno))
}
