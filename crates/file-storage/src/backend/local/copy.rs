//! A second blob of the same bytes: a second name of the same file where that is possible.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;

use super::publish::{Unsettled, no_links, publish};
use super::stage::Staged;
use super::{Inner, error};
use crate::backend::BackendError;
use crate::file::BlobKey;

/// See [`crate::backend::StorageBackend::copy`].
pub(super) async fn copy(inner: &Arc<Inner>, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
    let (this, from, to) = (inner.clone(), from.clone(), to.clone());
    let copied = inner.for_writing("copy", move || {
        match link(&this, &from, &to) {
            Err(error) if no_links(&error) => duplicate(&this, &from, &to),
            linked => linked,
        }
        .map_err(error::blob("copy"))
    });
    copied.await?.keep();
    Ok(())
}

/// Blobs never change, so that two keys can share a file; it is gone when both are.
fn link(inner: &Arc<Inner>, from: &BlobKey, to: &BlobKey) -> io::Result<Unsettled> {
    inner.failpoints.hit("local.copy.link")?;
    fs::hard_link(inner.layout.blob(from), inner.staged(to))?;
    Unsettled::staged(inner, to).publish()
}

/// For file systems without links, and files that have as many as they may.
fn duplicate(inner: &Arc<Inner>, from: &BlobKey, to: &BlobKey) -> io::Result<Unsettled> {
    let mut source = File::open(inner.layout.blob(from))?;
    let mut staged = Staged::create(inner, to)?;
    inner.failpoints.hit("local.copy.bytes")?;
    match io::copy(&mut source, &mut staged.file) {
        Ok(_) => publish(staged),
        Err(error) => {
            staged.trace.discard();
            Err(error)
        }
    }
}
