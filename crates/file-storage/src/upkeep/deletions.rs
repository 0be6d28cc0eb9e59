//! Deletes the blobs that rows have let go of, once nobody in this process reads them any more.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::errors::StorageError;
use crate::executor::QueuedBlob;
use crate::storage::FileStorage;

/// Blobs of one round.
const BATCH: u32 = 500;

/// Deletions at once: of remote blobs, each is a request.
const CONCURRENT: usize = 8;

/// How long to wait for the next round where nothing rang: for what failed, or was still read, before.
const PAUSE: Duration = Duration::from_secs(10);

/// Deletes queued blobs until it is told to stop.
pub(super) async fn run(storage: FileStorage, grace: Duration, stop: CancellationToken) {
    loop {
        let emptied = match run_round(&storage, grace, &stop).await {
            Ok(more) => !more,
            Err(error) => {
                tracing::warn!(
                    error = error.with_causes(),
                    "deletion of queued blobs failed; it will run again"
                );
                true
            }
        };
        if stop.is_cancelled() {
            return;
        }
        if emptied {
            tokio::select! {
                () = stop.cancelled() => return,
                () = storage.deletions_queued() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

/// Deletes one batch, or what of it has begun when it is told to stop; says whether there may be more that can go now.
async fn run_round(
    storage: &FileStorage,
    grace: Duration,
    stop: &CancellationToken,
) -> Result<bool, StorageError> {
    let access = storage.maintain("delete queued blobs")?;
    // Blobs that are still read stay in the queue: the batch must reach past them.
    let limit = BATCH.saturating_add(u32::try_from(storage.leases().count()).unwrap_or(u32::MAX));
    let due = storage.executor().due_deletions(&access, grace, limit).await?;
    if due.is_empty() {
        return Ok(false);
    }
    let full = due.len() >= limit as usize;
    // After this, whoever still finds one of these blobs in a row has leased it.
    storage.leases().barrier().await;
    let free = due.into_iter().filter(|blob| !storage.leases().is_held(&blob.key));
    let is_away = |blob: &QueuedBlob| storage.providers().get(&blob.provider).is_some_and(|it| it.is_away());
    let (away, free): (Vec<QueuedBlob>, Vec<QueuedBlob>) = free.partition(is_away);
    if let Some(first) = away.first() {
        tracing::warn!(provider = %first.provider, blobs = away.len(), "blobs not deleted: their provider does not answer");
    }
    // Not asked, so that others need not wait; and counted, so that they come behind these.
    let mut failed: Vec<_> = away.into_iter().map(|blob| blob.key).collect();
    let mut deleted = Vec::new();
    // What is not begun stays queued as it was.
    let free = free.into_iter().take_while(|_| !stop.is_cancelled());
    let mut deletions = stream::iter(free)
        .map(|blob| async move { (delete(storage, &blob).await, blob) })
        .buffer_unordered(CONCURRENT);
    while let Some((outcome, blob)) = deletions.next().await {
        match outcome {
            Ok(()) => deleted.push(blob.key),
            Err(error) => {
                tracing::warn!(blob = %blob.key, attempts = blob.attempts, error = error.with_causes(), "blob not deleted");
                failed.push(blob.key);
            }
        }
    }
    storage.executor().finish_deletions(&access, &deleted, &failed).await?;
    Ok(full && !deleted.is_empty())
}

/// Deletes a blob where it is.
async fn delete(storage: &FileStorage, blob: &QueuedBlob) -> Result<(), StorageError> {
    let provider = storage.providers().named(&blob.provider, "delete")?;
    provider.delete(&blob.key).await.map_err(|error| error.into_storage_error(provider.provider()))
}
