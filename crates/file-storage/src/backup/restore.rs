//! Restoring a backup: blobs first, then all metadata in one transaction.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use zeroize::Zeroizing;

use super::blobs::{Copied, CopyFault, KnownBlobs, copy, open};
use super::manifest::{Manifest, TableEntry};
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
    /// The providers; the active one gets all blobs, and must have none but those of this backup.
    pub providers: Providers,
    /// Blobs that are copied at once.
    pub concurrency: usize,
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
        self.prepare(to, &known).await?;
        let copied = self.copy_blobs(&place, &manifest, &tables, watch).await?;
        to.drain().await;
        self.hit("restore.blobs").await?;
        let fills = tables.iter().filter(|(table, _)| table.is_restored()).map(|(table, entry)| {
            watch(Progress { step: table.name(), done: 0, total: 0 });
            fill(&place, &manifest, *table, entry)
        });
        database.run(stream::iter(fills)).await?;
        self.hit("restore.metadata").await?;
        Ok(Restored { manifest, provider: to.provider().clone(), copied_blobs: copied })
    }

    /// The provider must have nothing but what an earlier try brought. Anything else there would be some other server's: two
    /// that keep the same blobs by different metadata take each other's for orphans.
    async fn prepare(&self, to: &Arc<dyn StorageBackend>, known: &KnownBlobs) -> Result<(), BackupError> {
        let failed = |error: BackendError| BackupError::from(error.into_storage_error(to.provider()));
        for key in to.recover().await.map_err(failed)? {
            to.settle(&key, known.has(&key)).await;
        }
        let mut list = to.list();
        while let Some(blob) = list.next().await.transpose().map_err(failed)? {
            if !known.has(&blob.key) {
                let (provider, blob) = (to.provider().to_string(), blob.key.to_string());
                return Err(BackupError::NotEmpty { provider, blob });
            }
        }
        Ok(())
    }

    async fn copy_blobs(
        &self,
        place: &Arc<Place>,
        manifest: &Manifest,
        tables: &[(TableName, TableEntry)],
        watch: Watch<'_>,
    ) -> Result<u64, BackupError> {
        let (copied, seen) = (AtomicU64::new(0), AtomicU64::new(0));
        for (table, entry) in tables.iter().filter(|(table, _)| table.names_blobs()) {
            let named = lines::read_blobs(place, manifest.id, *table, entry);
            let named = stream::unfold(named, async |mut named| named.recv().await.map(|blob| (blob, named)));
            let put = named.try_for_each_concurrent(self.concurrency.max(1), async |blob| {
                if self.put_blob(place, manifest, &blob).await? == Copied::Came {
                    copied.fetch_add(1, Ordering::Relaxed);
                }
                let done = seen.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                watch(Progress { step: "blobs", done, total: manifest.blobs });
                Ok::<_, BackupError>(())
            });
            put.await?;
        }
        Ok(copied.into_inner())
    }

    async fn put_blob(
        &self,
        place: &Place,
        manifest: &Manifest,
        blob: &NamedBlob,
    ) -> Result<Copied, BackupError> {
        self.hit("restore.blob").await?;
        let to = self.providers.active().backend();
        match copy(blob, to, open(place, &blob.key)).await {
            Ok(copied) => Ok(copied),
            Err(CopyFault::Failed(error)) => Err(error),
            // It was lost when the backup was made, which was made all the same.
            Err(CopyFault::Gone) if manifest.lost.count > 0 => Ok(Copied::Was),
            Err(CopyFault::Gone) => Err(BackupError::Damaged(format!("the blob {} is missing", blob.key))),
            Err(CopyFault::Differs) => {
                Err(BackupError::Damaged(format!("the blob {} is not what was stored", blob.key)))
            }
        }
    }

    async fn hit(&self, point: &'static str) -> Result<(), BackupError> {
        let hit = self.failpoints.hit_async(point).await;
        hit.map_err(|source| BackupError::Io { path: self.from.clone(), source })
    }
}

fn fill(place: &Arc<Place>, manifest: &Manifest, table: TableName, entry: &TableEntry) -> Fill {
    let lines = lines::read_for_database(place, manifest.id, entry);
    Fill { table, lines, rows: entry.rows, next: entry.next }
}
