//! Restoring a backup: blobs first, then all metadata in one transaction.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, TryStreamExt, stream};
use zeroize::Zeroizing;

use super::blobs::{Copied, CopyFault, KnownBlobs, copy, open};
use super::manifest::{Losses, Manifest, TableEntry};
use super::place::Place;
use super::{BackupError, Progress, Watch, blocking, lines};
use crate::backend::registry::Providers;
use crate::backend::{BackendError, StorageBackend};
use crate::executor::snapshot::{self, Database, Fill, NamedBlob, TableName};
use crate::failpoint::Scope;

/// From where to where.
pub struct Restore {
    /// The backup.
    pub from: PathBuf,
    /// An empty database.
    pub database: Database,
    /// The providers; the active one gets all blobs, and must have none but those of this backup. The others must be empty.
    pub providers: Providers,
    /// Blobs that are copied at once.
    pub concurrency: usize,
    /// Whether to restore the rest where blobs are missing in the backup, or damaged.
    pub despite_losses: bool,
    /// Where failpoints are armed.
    pub failpoints: Scope,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// The provider that has all blobs.
    pub provider: Arc<str>,
    /// Blobs that were copied: the others were there.
    pub copied_blobs: u64,
    /// Blobs that the backup should have, and has not as they were stored. Their files can't be read.
    pub damaged: Losses,
}

/// Blobs that were not copied.
#[derive(Default)]
struct Left {
    /// Missing ones that may have been lost before the backup was made.
    before: AtomicU64,
    damaged: Mutex<Losses>,
}

/// The manifest of a backup, and the secrets that were kept in it.
///
/// # Errors
/// [`BackupError`].
pub async fn read_secrets(from: &Path) -> Result<(Manifest, Zeroizing<Vec<u8>>), BackupError> {
    let root = from.to_owned();
    blocking(move || {
        let place = Place::open(&root)?;
        let manifest = place.manifest()?;
        let secrets = Zeroizing::new(place.secrets(&manifest)?);
        Ok((manifest, secrets))
    })
    .await
}

impl Restore {
    /// Restores it. The metadata is there wholly or not at all; blobs that were copied need not be copied again by another try.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn run(&self, watch: Watch<'_>) -> Result<Restored, BackupError> {
        let root = self.from.clone();
        let opened = blocking(move || {
            let place = Place::open(&root)?;
            let manifest = place.manifest()?;
            Ok((Arc::new(place), manifest))
        });
        let (place, manifest) = opened.await?;
        let tables = manifest.tables()?;
        // Damaged metadata is found before anything is written.
        for (_, entry) in &tables {
            lines::check(&place, manifest.id, entry).await?;
        }
        let known = KnownBlobs::of(&place, manifest.id, &tables).await?;
        let to = self.providers.active().backend();
        let database = snapshot::Restore::new(self.database.clone(), to.provider().clone());
        database.survey().await?;
        self.prepare(&known).await?;
        let (copied, damaged) = self.copy_blobs(&place, &manifest, &tables, watch).await?;
        to.drain().await;
        self.hit("restore.blobs").await?;
        let fills = tables.iter().filter(|(table, _)| table.is_restored()).map(|(table, entry)| {
            watch(Progress { step: table.name(), done: 0, total: 0 });
            fill(&place, &manifest, *table, entry)
        });
        database.run(stream::iter(fills)).await?;
        self.hit("restore.metadata").await?;
        Ok(Restored { manifest, provider: to.provider().clone(), copied_blobs: copied, damaged })
    }

    /// The active provider must have nothing but what an earlier try brought, the others nothing at all. Anything else there would
    /// be some other server's: two that keep the same blobs by different metadata take each other's for orphans. A name tells them
    /// apart on no other provider: the server that was backed up has blobs of the same names there. What a crash interrupted is settled
    /// last, so that nothing of another database's is.
    async fn prepare(&self, known: &KnownBlobs) -> Result<(), BackupError> {
        let active = self.providers.active();
        let to = active.backend();
        for provider in self.providers.all() {
            let (backend, is_active) = (provider.backend(), provider.name() == active.name());
            let mut list = backend.list();
            while let Some(blob) = list.next().await.transpose().map_err(|error| unlisted(backend, error))? {
                if !(is_active && known.has(&blob.key)) {
                    let (provider, blob) = (provider.name().to_string(), blob.key.to_string());
                    return Err(BackupError::NotEmpty { provider, blob });
                }
            }
        }
        for key in to.recover().await.map_err(|error| unlisted(to, error))? {
            to.settle(&key, known.has(&key)).await;
        }
        Ok(())
    }

    async fn copy_blobs(
        &self,
        place: &Arc<Place>,
        manifest: &Manifest,
        tables: &[(TableName, TableEntry)],
        watch: Watch<'_>,
    ) -> Result<(u64, Losses), BackupError> {
        let (copied, seen, left) = (AtomicU64::new(0), AtomicU64::new(0), Left::default());
        for (table, entry) in tables.iter().filter(|(table, _)| table.names_blobs()) {
            let named = lines::read_blobs(place, manifest.id, *table, entry);
            let named = stream::unfold(named, async |mut named| named.recv().await.map(|blob| (blob, named)));
            let put = named.try_for_each_concurrent(self.concurrency.max(1), async |blob| {
                if self.put_blob(place, manifest, &blob, &left).await? == Copied::Came {
                    copied.fetch_add(1, Ordering::Relaxed);
                }
                let done = seen.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                watch(Progress { step: "blobs", done, total: manifest.blobs });
                Ok::<_, BackupError>(())
            });
            put.await?;
        }
        Ok((copied.into_inner(), left.damaged.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    async fn put_blob(
        &self,
        place: &Place,
        manifest: &Manifest,
        blob: &NamedBlob,
        left: &Left,
    ) -> Result<Copied, BackupError> {
        self.hit("restore.blob").await?;
        let to = self.providers.active().backend();
        match copy(blob, to, open(place, &blob.key)).await {
            Ok(copied) => Ok(copied),
            Err(CopyFault::Unread(error) | CopyFault::Failed(error)) => Err(error),
            Err(CopyFault::Broke(error)) => Err(error.into()),
            // It was lost when the backup was made, which was made all the same.
            Err(CopyFault::Gone) if manifest.lost.has(blob, &left.before) => Ok(Copied::Was),
            Err(CopyFault::Gone) => self.leave(blob, "is missing", left),
            Err(CopyFault::Differs) => self.leave(blob, "is not what was stored", left),
        }
    }

    /// Goes on without a blob, where that is wanted.
    fn leave(&self, blob: &NamedBlob, what: &str, left: &Left) -> Result<Copied, BackupError> {
        if !self.despite_losses {
            return Err(BackupError::Damaged(format!(
                "the blob {} {what}; `--despite-losses` restores the rest",
                blob.key
            )));
        }
        left.damaged.lock().unwrap_or_else(PoisonError::into_inner).add(blob.key.to_string());
        Ok(Copied::Was)
    }

    async fn hit(&self, point: &'static str) -> Result<(), BackupError> {
        let hit = self.failpoints.hit_async(point).await;
        hit.map_err(|source| BackupError::Io { path: self.from.clone(), source })
    }
}

/// Whether a provider is empty is not to be had of it.
fn unlisted(backend: &Arc<dyn StorageBackend>, source: BackendError) -> BackupError {
    BackupError::Unlisted { provider: backend.provider().to_string(), source }
}

fn fill(place: &Arc<Place>, manifest: &Manifest, table: TableName, entry: &TableEntry) -> Fill {
    let lines = lines::read_for_database(place, manifest.id, entry);
    Fill { table, lines, rows: entry.rows, next: entry.next }
}
