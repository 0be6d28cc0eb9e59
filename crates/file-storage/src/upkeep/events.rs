//! Forgets events that are old, or too many.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::EventRetention;
use crate::Timestamp;
use crate::errors::StorageError;
use crate::storage::FileStorage;

/// Events of one transaction.
const BATCH: u32 = 1000;

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(60);

/// Forgets what is due until it is told to stop.
pub(super) async fn run(storage: FileStorage, retention: EventRetention, stop: CancellationToken) {
    loop {
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
