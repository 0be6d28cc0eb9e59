//! Forgets events that are old, or too many.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{EventRetention, UpkeepOptions};
use crate::Timestamp;
use crate::errors::StorageError;
use crate::storage::FileStorage;

/// Events of one transaction.
const BATCH: u32 = 1000;

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(60);

/// Forgets what is due until it is told to stop; at once where another retention is given.
pub(super) async fn run(
    storage: FileStorage,
    mut options: watch::Receiver<UpkeepOptions>,
    stop: CancellationToken,
) {
    loop {
        let retention = options.borrow_and_update().events;
        match run_round(&storage, retention).await {
            Ok(true) if !stop.is_cancelled() => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(
                error = error.with_causes(),
                "old events were not deleted; it will be tried again"
            ),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            // Nobody is left who could change them: upkeep was dropped without being stopped.
            changed = options.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Deletes one batch; says whether there may be more.
pub(super) async fn run_round(
    storage: &FileStorage,
    retention: EventRetention,
) -> Result<bool, StorageError> {
    let access = storage.maintain("delete old events")?;
    let age = chrono::TimeDelta::from_std(retention.age).unwrap_or(chrono::TimeDelta::MAX);
    let before = chrono::Utc::now().checked_sub_signed(age).unwrap_or(Timestamp::UNIX_EPOCH);
    let gone = storage.executor().expire_events(&access, before, retention.most, BATCH).await?;
    if gone > 0 {
        tracing::debug!(gone, "deleted old events");
    }
    Ok(gone >= u64::from(BATCH))
}
