//! A walk over all blobs, for the orphan job.

use std::fs::{self, DirEntry, FileType};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;

use super::{Inner, error};
use crate::Timestamp;
use crate::backend::{BackendError, BlobInfo};
use crate::file::BlobKey;

/// How many blobs the walk may be ahead of its reader.
const AHEAD: usize = 256;

type Found = mpsc::Sender<Result<BlobInfo, BackendError>>;

/// All blobs, folder by folder. The walk starts when the stream is first polled, and ends when it is dropped.
pub(super) fn list(inner: Arc<Inner>) -> BoxStream<'static, Result<BlobInfo, BackendError>> {
    stream::once(async move {
        let (found, receiver) = mpsc::channel(AHEAD);
        let tasks = inner.tasks.clone();
        tasks.spawn_blocking(move || {
            if let Err(error) = walk(&inner, &found) {
                // Nobody to tell: the reader has gone.
                let _ = found.blocking_send(Err(error::io("list")(error)));
            }
        });
        stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
    })
    .flatten()
    .boxed()
}

fn walk(inner: &Inner, found: &Found) -> io::Result<()> {
    for bucket in entries(inner.layout.blobs(), FileType::is_dir)? {
        for folder in entries(&bucket?.path(), FileType::is_dir)? {
            for blob in entries(&folder?.path(), FileType::is_file)? {
                let Some(info) = describe(inner.layout.blobs(), &blob?)? else { continue };
                if found.blocking_send(Ok(info)).is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// The entries of one kind in a folder; none where it has gone meanwhile.
fn entries(
    folder: &Path,
    kind: fn(&FileType) -> bool,
) -> io::Result<impl Iterator<Item = io::Result<DirEntry>> + use<>> {
    let entries = error::found(fs::read_dir(folder))?.into_iter().flatten();
    Ok(entries.filter(move |entry| match entry {
        Ok(entry) => entry.file_type().is_ok_and(|it| kind(&it)),
        Err(_) => true,
    }))
}

/// The blob that an entry is; `None` where it is no blob of ours, or has been deleted meanwhile.
fn describe(blobs: &Path, entry: &DirEntry) -> io::Result<Option<BlobInfo>> {
    let path = entry.path();
    let name = path.strip_prefix(blobs).ok().and_then(Path::to_str);
    let Some(key) = name.and_then(BlobKey::from_stored) else { return Ok(None) };
    let Some(metadata) = error::found(entry.metadata())? else { return Ok(None) };
    // When the name was given, which is later than when the bytes were written: a copy shares the file of its
    // source, and would look as old as that, long past the grace that protects an upload in flight.
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
    let modified = Timestamp::from_timestamp(metadata.ctime(), nanoseconds).unwrap_or_default();
    Ok(Some(BlobInfo { key, size: metadata.len(), modified: Some(modified), begun: None }))
}
