//! What providers keep, looked at once after a start: it takes the database a while where there is much.

use std::collections::BTreeSet;

use file_storage::{FileStorage, RlsContext, StorageError};
use tokio_util::sync::CancellationToken;

/// Says what can't be read as its provider is not configured, and queues what lies where it does not belong.
pub(super) async fn look(storage: FileStorage, stop: CancellationToken) {
    let looked = tokio::select! {
        () = stop.cancelled() => return,
        looked = take(&storage) => looked,
    };
    if let Err(error) = looked {
        tracing::warn!(%error, "what providers keep could not be looked at; the next start does");
    }
}

async fn take(storage: &FileStorage) -> Result<(), StorageError> {
    let context = RlsContext::system("inventory");
    let known: BTreeSet<_> = storage.provider_statuses().into_iter().map(|status| status.provider).collect();
    for usage in storage.provider_usage(&context).await? {
        if !known.contains(&usage.provider) {
            tracing::warn!(
                provider = %usage.provider,
                blobs = usage.blobs,
                bytes = usage.bytes,
                pending_deletions = usage.pending_deletions,
                "a provider is not configured any more that files are kept on: they can't be read until it is"
            );
        }
    }
    for (provider, queued) in storage.queue_displaced(&context).await? {
        tracing::info!(
            %provider,
            entries = queued.entries,
            bytes = queued.bytes,
            "queued what was kept there while the active provider was not well"
        );
    }
    Ok(())
}
