//! A blob of a file that is on the same machine already: the file itself under a second name, or a clone that shares its bytes,
//! where the file system can. Else there is none, and who asks writes it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{Access, AtFlags, CWD, accessat, linkat, statat};
use rustix::process::geteuid;

use super::publish::{Unsettled, publish};
use super::stage::{Staged, Tally};
use super::{Inner, LocalBackend, error};
use crate::backend::originals::{Adopter, Held, OpenedFile, Original, Originals};
use crate::backend::{BackendError, BlobWritten};
use crate::file::BlobKey;

/// How long a file must have been left alone to become a blob itself. Somebody who still writes to it would write to the blob.
const AT_REST: Duration = Duration::from_secs(60);

/// Bytes that are hashed in one step.
const STEP: u64 = 8 << 20;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

#[async_trait]
impl Adopter for LocalBackend {
    fn originals(&self, _path: &str) -> Option<Arc<dyn Originals>> {
        None
    }

    async fn take(
        &self,
        key: &BlobKey,
        original: &Original,
        moves: bool,
    ) -> Result<Option<BlobWritten>, BackendError> {
        match &original.held {
            Held::File(file) => take(&self.inner, key, file, moves).await,
            Held::Object(_) => Ok(None),
        }
    }
}

async fn take(
    inner: &Arc<Inner>,
    key: &BlobKey,
    file: &Arc<OpenedFile>,
    moves: bool,
) -> Result<Option<BlobWritten>, BackendError> {
    let (this, name, source) = (inner.clone(), key.clone(), file.clone());
    let stage = move || match moves.then(|| link(&this, &name, &source)).transpose() {
        Ok(Some(Some(staged))) => Ok(Some(staged)),
        Ok(_) => clone(&this, &name, &source),
        Err(error) => Err(error),
    };
    let staged = inner.for_writing("adopt", move || stage().map_err(error::io("adopt"))).await?;
    let Some(staged) = staged else { return Ok(None) };
    // Dropped from here on, what is staged goes, and the original stays.
    let mut tally = Tally::new();
    let mut at = 0;
    while at < file.stamp.size {
        let (source, until) = (staged.file.try_clone().map_err(error::io("adopt"))?, at.saturating_add(STEP));
        let hash = move || hash(&source, tally, at, until).map_err(error::io("adopt"));
        let before = at;
        (tally, at) = inner.for_writing("adopt", hash).await?;
        if at == before {
            break;
        }
    }
    let source = file.clone();
    let published = inner.for_writing("adopt", move || {
        source.check().map_err(|changed| BackendError::Body(Box::new(changed)))?;
        publish(staged).map_err(error::io("adopt"))
    });
    published.await?.keep();
    Ok(Some(tally.finish()))
}

/// The file under a second name, if nobody else is likely to write to it: it is ours, has one name, and has been at rest. Its first
/// name goes when the blob has its row; until then, whatever happens, it is the original. `None` where that can't be.
fn link(inner: &Arc<Inner>, key: &BlobKey, source: &OpenedFile) -> io::Result<Option<Staged>> {
    let modified = SystemTime::from(source.stamp.modified());
    let is_at_rest = SystemTime::now().duration_since(modified).is_ok_and(|age| age >= AT_REST);
    if source.links != 1 || source.uid != geteuid().as_raw() || !is_at_rest {
        return Ok(None);
    }
    // One that could not be removed would stay a second name of the blob.
    let removable = accessat(&source.parent, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
    if removable.is_err() {
        return Ok(None);
    }
    inner.failpoints.hit("local.adopt.link")?;
    let path = inner.staged(key);
    // Another file system, one without links, or rules against them: then it is copied.
    if linkat(&source.parent, source.name.as_slice(), CWD, &path, AtFlags::empty()).is_err() {
        return Ok(None);
    }
    let trace = Unsettled::staged(inner, key);
    let linked = statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW)?;
    if (linked.st_dev, linked.st_ino) != (source.stamp.device, source.stamp.inode) {
        // Somebody has put another file in its place.
        trace.discard();
        return Ok(None);
    }
    Ok(Some(Staged::of(source.file.try_clone()?, trace)))
}

/// A file of its own that shares the bytes of this one until either is changed. `None` where the file system has no such thing.
#[cfg(target_os = "linux")]
fn clone(inner: &Arc<Inner>, key: &BlobKey, source: &OpenedFile) -> io::Result<Option<Staged>> {
    let staged = Staged::create(inner, key)?;
    match rustix::fs::ioctl_ficlone(&staged.file, &source.file) {
        Ok(()) => Ok(Some(staged)),
        Err(_) => {
            staged.trace.discard();
            Ok(None)
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn clone(_inner: &Arc<Inner>, _key: &BlobKey, _source: &OpenedFile) -> io::Result<Option<Staged>> {
    Ok(None)
}

/// Adds bytes of a file up to a place, or to its end; gives how far that is.
fn hash(file: &File, mut tally: Tally, mut at: u64, until: u64) -> io::Result<(Tally, u64)> {
    while at < until {
        let wanted = usize::try_from(until.saturating_sub(at)).unwrap_or(CHUNK).min(CHUNK);
        let mut chunk = vec![0; wanted];
        let count = file.read_at(&mut chunk, at)?;
        if count == 0 {
            break;
        }
        chunk.truncate(count);
        tally = tally.and(&[Bytes::from(chunk)]);
        at = at.saturating_add(count as u64);
    }
    Ok((tally, at))
}
