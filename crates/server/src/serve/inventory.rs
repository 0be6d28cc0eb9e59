//! What providers keep, looked at once after a start: it takes the database a while where there is much.

use std::collections::BTreeSet;

use file_storage::executor::ProviderUsage;
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

/// What it means that a provider is not configured of which rows speak.
fn told(usage: &ProviderUsage) -> &'static str {
    match usage {
        ProviderUsage { blobs: 0, copies: 0, .. } => {
            "a provider is not configured any more: what waits for its deletion there waits until it is"
        }
        ProviderUsage { blobs: 0, .. } => {
            "a provider is not configured any more that copies are kept on: files are read without them"
        }
        ProviderUsage { .. } => {
            "a provider is not configured any more that files are kept on: those without a copy elsewhere can't be read until it is"
        }
    }
}

async fn take(storage: &FileStorage) -> Result<(), StorageError> {
    let context = RlsContext::system("inventory");
    let known: BTreeSet<_> = storage.provider_statuses().into_iter().map(|status| status.provider).collect();
    for usage in storage.provider_usage(&context).await? {
        if known.contains(&usage.provider) {
            continue;
        }
        let ProviderUsage { provider, blobs, bytes, copies, pending_deletions, .. } = &usage;
        tracing::warn!(%provider, blobs, bytes, copies, pending_deletions, "{}", told(&usage));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_are_kept_there_can_t_be_read() {
        let usage = |blobs, copies| ProviderUsage {
            provider: "old".into(),
            blobs,
            bytes: 0,
            segments: blobs,
            copies,
            copy_bytes: 0,
            pending_deletions: 1,
        };
        for (blobs, copies, expected) in [(1, 1, true), (1, 0, true), (0, 1, false), (0, 0, false)] {
            assert_eq!(told(&usage(blobs, copies)).contains("can't be read"), expected, "{blobs} {copies}");
        }
    }
}
