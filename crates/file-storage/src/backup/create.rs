//! Making a backup.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::SubsecRound as _;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::blobs::{Copied, CopyFault, Elsewhere, KnownBlobs, copy};
use super::manifest::{FORMAT, Losses, Manifest, TableEntry};
use super::place::Place;
use super::{BackupError, Progress, Watch, blocking, lines};
use crate::backend::local::{LocalBackend, LocalOptions};
use crate::backend::registry::Providers;
use crate::backend::{BackendError, StorageBackend};
use crate::errors::StorageError;
use crate::executor::snapshot::{Database, NamedBlob, Snapshot, TableName};
use crate::failpoint::Scope;
use crate::file::BlobKey;

/// What the directory's blobs are called in errors.
const PROVIDER: &str = "backup";

/// Batches of lines that wait for their file.
const AHEAD: usize = 4;

/// What to back up, and where to.
pub struct Create {
    /// The metadata, which servers may be using.
    pub database: Database,
    /// All providers that its rows name.
    pub providers: Providers,
    /// What is kept beside: the server's secrets.
    pub secrets: Zeroizing<Vec<u8>>,
    /// The directory: empty, not there, or one of backups.
    pub to: PathBuf,
    /// Blobs that are copied at once.
    pub concurrency: usize,
    /// Whether to make a backup of the rest where blobs are missing or damaged.
    pub despite_losses: bool,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Blobs that were copied: the others were there.
    pub copied_blobs: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Blobs that only the backup before named, and that are gone now.
    pub removed_blobs: u64,
}

impl Create {
    /// Makes it. Until the end the directory has the backup that it had before, and after a failure or a crash, too; what was
    /// copied need not be copied again.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn run(&self, watch: Watch<'_>) -> Result<Created, BackupError> {
        let to = self.to.clone();
        let place = Arc::new(blocking(move || Place::claim(&to)).await?);
        let run =
            Run { asked: self, blobs: open_blobs(&place).await?, failpoints: Scope::new(&self.to), place };
        let previous = run.previous().await?;
        run.keep_only(previous).await?;
        let made = run.make(watch).await;
        // What failed after it was published is the backup now: its metadata stays. The next one would tidy as well.
        if made.is_err() && run.previous().await.is_ok_and(|now| now == previous) {
            let _ = run.keep_only(previous).await;
        }
        run.blobs.drain().await;
        made
    }
}

/// One backup on its way.
struct Run<'a> {
    asked: &'a Create,
    place: Arc<Place>,
    blobs: Arc<dyn StorageBackend>,
    failpoints: Scope,
}

/// What was copied.
#[derive(Default)]
struct Copies {
    blobs: AtomicU64,
    bytes: AtomicU64,
    copied_blobs: AtomicU64,
    copied_bytes: AtomicU64,
    known: Mutex<KnownBlobs>,
    lost: Mutex<Losses>,
}

impl Run<'_> {
    /// The backup that is there, and stays until the new one is whole.
    async fn previous(&self) -> Result<Option<Uuid>, BackupError> {
        let place = Arc::clone(&self.place);
        match blocking(move || place.manifest()).await {
            Ok(manifest) => Ok(Some(manifest.id)),
            Err(BackupError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn keep_only(&self, id: Option<Uuid>) -> Result<(), BackupError> {
        let place = Arc::clone(&self.place);
        blocking(move || place.remove_metadata_but(id)).await
    }

    async fn make(&self, watch: Watch<'_>) -> Result<Created, BackupError> {
        let id = Uuid::now_v7();
        // IMPORTANT: before the first row is read.
        let hold = self.asked.database.hold_blobs().await?;
        let created_at = chrono::Utc::now().trunc_subsecs(6);
        let (tables, secrets_sha256) = self.write_metadata(id, watch).await?;
        self.hit("backup.metadata").await?;
        let copies = Copies::default();
        let elsewhere = Elsewhere::new(&self.place, id, &tables);
        let entries: Vec<_> =
            TableName::all().zip(&tables).filter(|(table, _)| table.names_blobs()).collect();
        let total = entries.iter().map(|(_, entry)| entry.rows).sum();
        for (table, entry) in entries {
            self.copy_blobs((table, entry), &elsewhere, &copies, total, watch).await?;
        }
        let lost = std::mem::take(&mut *copies.lost.lock().unwrap_or_else(PoisonError::into_inner));
        if lost.count > 0 && !self.asked.despite_losses {
            return Err(BackupError::Lost(lost));
        }
        let manifest = Manifest {
            format: FORMAT,
            id,
            created_at,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            engine: self.asked.database.engine().to_owned(),
            tables,
            blobs: copies.blobs.load(Ordering::Relaxed),
            bytes: copies.bytes.load(Ordering::Relaxed),
            secrets_sha256,
            lost,
        };
        self.hit("backup.before_manifest").await?;
        let (place, published) = (Arc::clone(&self.place), manifest.clone());
        blocking(move || place.publish(&published)).await?;
        drop(hold);
        self.hit("backup.published").await?;
        let known = copies.known.into_inner().unwrap_or_else(PoisonError::into_inner);
        let removed_blobs = self.remove_blobs_but(&known).await?;
        self.keep_only(Some(id)).await?;
        Ok(Created {
            manifest,
            copied_blobs: copies.copied_blobs.load(Ordering::Relaxed),
            copied_bytes: copies.copied_bytes.load(Ordering::Relaxed),
            removed_blobs,
        })
    }

    async fn write_metadata(
        &self,
        id: Uuid,
        watch: Watch<'_>,
    ) -> Result<(Vec<TableEntry>, String), BackupError> {
        let (place, secrets) = (Arc::clone(&self.place), self.asked.secrets.clone());
        let secrets = blocking(move || {
            place.begin_metadata(id)?;
            place.write_secrets(id, &secrets)
        });
        let secrets = secrets.await?;
        let snapshot = Snapshot::take(&self.asked.database).await?;
        self.hit("backup.snapshot").await?;
        let mut tables = Vec::new();
        for table in TableName::all() {
            let (send, rows) = mpsc::channel(AHEAD);
            let path = self.place.table(id, table.name());
            let write = blocking(move || lines::write(&path, rows, &|_| ()));
            let (read, written) = tokio::join!(snapshot.read(table, send), write);
            // A failed write closes the channel, which ends the reading.
            let written = written?;
            tables.push(TableEntry::new(table, read?, written));
            watch(Progress { step: table.name(), done: 0, total: 0 });
        }
        snapshot.close().await;
        let place = Arc::clone(&self.place);
        blocking(move || place.end_metadata(id)).await?;
        Ok((tables, secrets))
    }

    async fn copy_blobs(
        &self,
        (table, entry): (TableName, &TableEntry),
        elsewhere: &Elsewhere,
        copies: &Copies,
        total: u64,
        watch: Watch<'_>,
    ) -> Result<(), BackupError> {
        let named = lines::read_blobs(&self.place, elsewhere.backup(), table, entry);
        let named = stream::unfold(named, async |mut named| named.recv().await.map(|blob| (blob, named)));
        let copy = named.try_for_each_concurrent(self.asked.concurrency.max(1), async |blob| {
            self.copy_blob(&blob, elsewhere, copies).await?;
            let done = copies.blobs.load(Ordering::Relaxed);
            watch(Progress { step: "blobs", done, total });
            Ok(())
        });
        copy.await
    }

    async fn copy_blob(
        &self,
        blob: &NamedBlob,
        elsewhere: &Elsewhere,
        copies: &Copies,
    ) -> Result<(), BackupError> {
        self.hit("backup.blob").await?;
        let copied = match self.copy_from(blob, &blob.provider, &blob.key).await {
            Ok(copied) => Ok(copied),
            // The place of the backup fails, and would for a copy, too.
            Err(CopyFault::Failed(error)) => return Err(error),
            // What is wrong with the blob itself counts where no copy of it is better.
            Err(fault) => self.copy_from_elsewhere(blob, elsewhere).await?.ok_or(fault),
        };
        match copied {
            Ok(copied) => {
                if copied == Copied::Came {
                    copies.copied_blobs.fetch_add(1, Ordering::Relaxed);
                    copies.copied_bytes.fetch_add(blob.size, Ordering::Relaxed);
                }
                copies.blobs.fetch_add(1, Ordering::Relaxed);
                copies.bytes.fetch_add(blob.size, Ordering::Relaxed);
                copies.known.lock().unwrap_or_else(PoisonError::into_inner).add(&blob.key);
                Ok(())
            }
            Err(CopyFault::Broke(error)) if error.is_retryable() => Err(error.into()),
            // Bytes that can't be read for good are as lost as those that are not there.
            Err(CopyFault::Gone | CopyFault::Differs | CopyFault::Broke(_)) => {
                let name = format!("{}/{}", blob.provider, blob.key);
                copies.lost.lock().unwrap_or_else(PoisonError::into_inner).add(name);
                Ok(())
            }
            Err(CopyFault::Unread(error) | CopyFault::Failed(error)) => Err(error),
        }
    }

    /// Copies a blob from the first good copy of it; `None` where there is none.
    async fn copy_from_elsewhere(
        &self,
        blob: &NamedBlob,
        elsewhere: &Elsewhere,
    ) -> Result<Option<Copied>, BackupError> {
        for other in elsewhere.copies(&blob.key).await? {
            match self.copy_from(blob, &other.provider, &other.key).await {
                Ok(copied) => {
                    tracing::warn!(
                        provider = %blob.provider, key = %blob.key, copy_on = %other.provider,
                        "a blob was not to be had where it should be, and is backed up from a copy"
                    );
                    return Ok(Some(copied));
                }
                Err(CopyFault::Failed(error)) => return Err(error),
                Err(CopyFault::Gone | CopyFault::Differs | CopyFault::Broke(_) | CopyFault::Unread(_)) => {}
            }
        }
        Ok(None)
    }

    /// Copies a blob from one of the places that have it. In the backup it has its own name, wherever it comes from.
    async fn copy_from(&self, blob: &NamedBlob, provider: &str, key: &BlobKey) -> Result<Copied, CopyFault> {
        let body = async {
            let source = self.asked.providers.named(provider, "read");
            let source = source.map_err(|error| CopyFault::Unread(error.into()))?;
            source.read(key, None).await.map_err(|error| match error {
                BackendError::NotFound => CopyFault::Gone,
                error => CopyFault::Unread(error.into_storage_error(source.provider()).into()),
            })
        };
        copy(blob, &self.blobs, body).await
    }

    /// Takes away what no backup names any more.
    async fn remove_blobs_but(&self, known: &KnownBlobs) -> Result<u64, BackupError> {
        let failed = |error: BackendError| error.into_storage_error(&PROVIDER.into());
        let (mut removed, mut list) = (0_u64, self.blobs.list());
        while let Some(blob) = list.next().await.transpose().map_err(failed)? {
            if !known.has(&blob.key) {
                self.blobs.delete(&blob.key).await.map_err(failed)?;
                removed = removed.saturating_add(1);
            }
        }
        Ok(removed)
    }

    async fn hit(&self, point: &'static str) -> Result<(), BackupError> {
        let hit = self.failpoints.hit_async(point).await;
        hit.map_err(|source| BackupError::Io { path: self.place.root().to_owned(), source })
    }
}

/// The blobs of a backup, as a directory of blobs; what a crash left in there is settled: it is whole.
async fn open_blobs(place: &Arc<Place>) -> Result<Arc<dyn StorageBackend>, BackupError> {
    let failed = |error: BackendError| BackupError::from(error.into_storage_error(&PROVIDER.into()));
    let options = LocalOptions { provider: PROVIDER.into(), ..LocalOptions::new(place.root()) };
    let opened = tokio::task::spawn_blocking(move || LocalBackend::open(options)).await;
    let opened = opened.map_err(|_| StorageError::internal("opening the backup panicked"))?;
    let blobs: Arc<dyn StorageBackend> = Arc::new(opened.map_err(failed)?);
    for key in blobs.recover().await.map_err(failed)? {
        blobs.settle(&key, true).await;
    }
    Ok(blobs)
}
