//! Looking whether a backup is what was written: all of it is read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::blobs::{CopyFault, open};
use super::manifest::{Losses, Manifest};
use super::place::Place;
use super::{BackupError, Progress, Watch, blocking, lines};
use crate::executor::snapshot::NamedBlob;
use crate::file::Sha256;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// Blobs that are there, and are what was stored.
    pub blobs: u64,
    /// Blobs that are not, but for those that were lost before.
    pub damaged: Losses,
}

/// Reads everything in the backup. Writes nothing, and asks no server.
///
/// # Errors
/// [`BackupError`] where there is no backup, and where its metadata is damaged: damaged blobs are told in the answer.
pub async fn verify(from: &Path, concurrency: usize, watch: Watch<'_>) -> Result<Verified, BackupError> {
    let root = from.to_owned();
    let opened = blocking(move || {
        let place = Place::open(&root)?;
        let manifest = place.manifest()?;
        place.secrets(&manifest)?;
        Ok((Arc::new(place), manifest))
    });
    let (place, manifest) = opened.await?;
    let tables = manifest.tables()?;
    for (table, entry) in &tables {
        watch(Progress { step: table.name(), done: 0, total: 0 });
        lines::check(&place, manifest.id, entry).await?;
    }
    let (whole, damaged) = (AtomicU64::new(0), Mutex::new(Losses::default()));
    for (table, entry) in tables.iter().filter(|(table, _)| table.names_blobs()) {
        let named = lines::read_blobs(&place, manifest.id, *table, entry);
        let named = stream::unfold(named, async |mut named| named.recv().await.map(|blob| (blob, named)));
        let look = named.try_for_each_concurrent(concurrency.max(1), async |blob| {
            if is_whole(&place, &blob).await? {
                let done = whole.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                watch(Progress { step: "blobs", done, total: manifest.blobs });
            } else {
                damaged.lock().unwrap_or_else(PoisonError::into_inner).add(blob.key.to_string());
            }
            Ok::<_, BackupError>(())
        });
        look.await?;
    }
    let mut damaged = damaged.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Those that were lost already were never there.
    damaged.named.retain(|key| !manifest.lost.named.iter().any(|lost| lost.ends_with(key.as_str())));
    damaged.count = damaged.count.saturating_sub(manifest.lost.count);
    Ok(Verified { manifest, blobs: whole.into_inner(), damaged })
}

async fn is_whole(place: &Place, blob: &NamedBlob) -> Result<bool, BackupError> {
    let mut bytes = match open(place, &blob.key).await {
        Ok(bytes) => bytes,
        Err(CopyFault::Gone | CopyFault::Differs | CopyFault::Broke(_)) => return Ok(false),
        Err(CopyFault::Unread(error) | CopyFault::Failed(error)) => return Err(error),
    };
    let (mut size, mut digest) = (0_u64, Context::new(&SHA256));
    while let Some(chunk) = bytes.next().await {
        // A block that can't be read is damage like any other.
        let Ok(chunk) = chunk else { return Ok(false) };
        size = size.saturating_add(chunk.len() as u64);
        digest.update(&chunk);
    }
    Ok((size, Sha256::from_digest(&digest.finish())) == (blob.size, blob.sha256))
}
