//! Gives up unfinished uploads whose time is over: their parts' blobs go the way of all that are not used any more. And has
//! providers that answer again forget what they were asked to forget in vain.

use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::errors::StorageError;
use crate::storage::FileStorage;

/// Uploads of one transaction. One may have ten thousand parts.
const BATCH: u32 = 10;

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(60);

/// Gives up what is due until it is told to stop.
pub(super) async fn run(storage: FileStorage, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        loop {
            match run_round(&storage).await {
                Ok(true) if !stop.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(
                        error = error.with_causes(),
                        "uploads whose time is over were not given up; it will be tried again"
                    );
                    break;
                }
            }
        }
        // Cut off by the end of the process, it is left to the next start.
        tokio::select! {
            () = stop.cancelled() => return,
            () = give_up_leftovers(&storage) => {}
        }
    }
}

/// Asks each provider that is not known to be away; one that takes its time does not keep the others from theirs.
async fn give_up_leftovers(storage: &FileStorage) {
    let asked = storage.providers().all().filter(|provider| provider.is_remote() && !provider.is_away());
    join_all(asked.map(|provider| provider.backend().give_up_leftovers())).await;
}

/// Gives up one batch; says whether there may be more.
pub(super) async fn run_round(storage: &FileStorage) -> Result<bool, StorageError> {
    let access = storage.maintain("give up uploads whose time is over")?;
    let given_up = storage.executor().expire_uploads(&access, BATCH).await?.len() as u64;
    if given_up > 0 {
        tracing::info!(given_up, "gave up unfinished uploads whose time is over");
        storage.ring_deletions();
    }
    Ok(given_up >= u64::from(BATCH))
}
