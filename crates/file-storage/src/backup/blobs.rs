//! Blobs on their way: from providers into a backup, and out of it to a provider.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::OnceCell;
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use super::place::Place;
use super::{BackupError, lines};
use crate::backend::{BackendError, StorageBackend};
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::executor::snapshot::{NamedBlob, NamedCopy, TableName};
use crate::file::BlobKey;

use super::manifest::TableEntry;

/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;

/// What became of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copied {
    /// It was there.
    Was,
    /// It came.
    Came,
}

/// Why a blob was not copied.
#[derive(Debug)]
pub(super) enum CopyFault {
    /// It is not where it should be.
    Gone,
    /// It is not what was stored.
    Differs,
    /// Its bytes broke off, as they say themselves.
    Broke(StorageError),
    /// It could not be asked for where it is.
    Unread(BackupError),
    /// It could not be written.
    Failed(BackupError),
}

/// Copies a blob to where it is not yet, and compares what was written with what the row says. One that is there with the right
/// length is left as it is: blobs never change, and none is there before it is whole.
pub(super) async fn copy(
    blob: &NamedBlob,
    to: &Arc<dyn StorageBackend>,
    from: impl Future<Output = Result<ByteStream, CopyFault>>,
) -> Result<Copied, CopyFault> {
    let failed = |error: BackendError| CopyFault::Failed(error.into_storage_error(to.provider()).into());
    match to.size(&blob.key).await.map_err(failed)? {
        Some(size) if size == blob.size => return Ok(Copied::Was),
        Some(_) => to.delete(&blob.key).await.map_err(failed)?,
        None => {}
    }
    match to.write(&blob.key, from.await?, Some(blob.size)).await {
        Ok(written) if (written.size, written.sha256) == (blob.size, blob.sha256) => {
            to.settle(&blob.key, true).await;
            Ok(Copied::Came)
        }
        Ok(_) => {
            to.settle(&blob.key, false).await;
            Err(CopyFault::Differs)
        }
        Err(BackendError::Body(error)) if BackendError::is_missing_blob(&error) => Err(CopyFault::Gone),
        Err(BackendError::Body(error)) => Err(CopyFault::Broke(*error)),
        Err(error) => Err(failed(error)),
    }
}

/// The bytes of a blob in a backup.
pub(super) async fn open(place: &Place, key: &BlobKey) -> Result<ByteStream, CopyFault> {
    let path = place.blob(key);
    let file = tokio::fs::File::open(&path).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CopyFault::Gone,
        _ => CopyFault::Unread(BackupError::of(&path)(error)),
    })?;
    let failed = move |source: io::Error| StorageError::Internal {
        context: format!("{} can't be read", path.display()),
        source: Some(Arc::new(source)),
    };
    Ok(ReaderStream::with_capacity(file, CHUNK).map(move |chunk| chunk.map_err(&failed)).boxed())
}

/// Which blobs a backup has: 16 bytes for each, as there may be many.
#[derive(Debug, Default)]
pub(super) struct KnownBlobs(HashSet<Uuid>);

impl KnownBlobs {
    pub(super) fn add(&mut self, key: &BlobKey) {
        self.0.extend(id_of(key));
    }

    pub(super) fn has(&self, key: &BlobKey) -> bool {
        id_of(key).is_some_and(|id| self.0.contains(&id))
    }

    /// Those that the metadata names.
    pub(super) async fn of(
        place: &Arc<Place>,
        id: Uuid,
        tables: &[(TableName, TableEntry)],
    ) -> Result<Self, BackupError> {
        let mut known = Self::default();
        for (table, entry) in tables.iter().filter(|(table, _)| table.names_blobs()) {
            let mut blobs = lines::read_blobs(place, id, *table, entry);
            while let Some(blob) = blobs.recv().await {
                known.add(&blob?.key);
            }
        }
        Ok(known)
    }
}

/// Where else blobs are, as a backup's metadata says. It is read when the first one is asked for: mostly none is, and there may be
/// many.
pub(super) struct Elsewhere {
    place: Arc<Place>,
    backup: Uuid,
    table: Option<(TableName, TableEntry)>,
    copies: OnceCell<HashMap<BlobKey, Vec<NamedCopy>>>,
}

impl Elsewhere {
    /// Of a backup whose metadata is written; `tables` are all, in their order.
    pub(super) fn new(place: &Arc<Place>, backup: Uuid, tables: &[TableEntry]) -> Self {
        let table = TableName::all().zip(tables).find(|(table, _)| table.names_copies());
        let table = table.map(|(table, entry)| (table, entry.clone()));
        Self { place: Arc::clone(place), backup, table, copies: OnceCell::new() }
    }

    /// The backup's name.
    pub(super) fn backup(&self) -> Uuid {
        self.backup
    }

    /// The copies of a blob.
    pub(super) async fn copies(&self, key: &BlobKey) -> Result<&[NamedCopy], BackupError> {
        let read = async {
            match &self.table {
                Some((table, entry)) => lines::read_copies(&self.place, self.backup, *table, entry).await,
                None => Ok(HashMap::new()),
            }
        };
        let copies = self.copies.get_or_try_init(|| read).await?;
        Ok(copies.get(key).map(Vec::as_slice).unwrap_or_default())
    }
}

/// A blob's own name, without its bucket's.
fn id_of(key: &BlobKey) -> Option<Uuid> {
    key.as_str().rsplit('/').next().and_then(|id| Uuid::try_parse(id).ok())
}
