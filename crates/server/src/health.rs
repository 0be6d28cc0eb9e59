//! Whether the server lives, and whether it can do its work.

use std::time::{Duration, Instant};

use file_storage::{FileStorage, StorageError};
use tokio::sync::Mutex;

/// How long an answer stands. However often it is asked, the disk is probed no more often than that.
const VALID: Duration = Duration::from_secs(1);
/// The same of a good answer of a remote provider, which bills every probe.
const VALID_REMOTE: Duration = Duration::from_secs(60);
/// How long a probe may take before the server counts as not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether database and provider answer. What is wrong with them goes to the log, not to whoever asks.
pub struct Readiness {
    storage: FileStorage,
    /// How long it stands that the server is ready.
    valid: Duration,
    last: Mutex<Option<(Instant, bool)>>,
}

impl Readiness {
    /// Of this storage, whose bytes go to another machine or not.
    pub fn new(storage: FileStorage, is_remote: bool) -> Self {
        let valid = if is_remote { VALID_REMOTE } else { VALID };
        Self { storage, valid, last: Mutex::new(None) }
    }

    /// Whether the server can do its work, as of now or of a second ago. Those who ask meanwhile share one probe.
    pub async fn check(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, ready)) = *last
            && at.elapsed() < if ready { self.valid } else { VALID }
        {
            return ready;
        }
        let was = last.is_none_or(|(_, ready)| ready);
        let ready = match self.probe().await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, cause = std::error::Error::source(&error), "not ready");
                false
            }
        };
        if ready && !was {
            tracing::warn!("ready again");
        }
        *last = Some((Instant::now(), ready));
        ready
    }

    /// Asks database and provider now.
    ///
    /// # Errors
    /// What is wrong with them.
    pub async fn probe(&self) -> Result<(), StorageError> {
        match tokio::time::timeout(PATIENCE, self.storage.check_ready()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StorageError::OperationTimeout { operation: "probe" }),
        }
    }
}
