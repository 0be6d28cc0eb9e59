//! What providers keep, looked at once after a start: it takes the database a while where there is much.

use std::collections::BTreeSet;

use file_storage::{FileStorage, RlsContext, StorageError};
use tokio_util::sync::CancellationToken;

/// Says what can't be read as its provider is not configured, and what lies where it does not belong.
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
    for (provider, blobs) in storage.displaced(&context).await? {
        tracing::warn!(
            %provider,
            blobs,
            active_provider = %storage.provider(),
            "files are kept on a provider that only stands by, and nothing moves them: `aerostore migrate-provider` does"
        );
    }
    Ok(())
}
