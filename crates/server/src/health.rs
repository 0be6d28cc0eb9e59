//! Whether the server lives, and whether it can do its work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use file_storage::{FileStorage, StorageError};
use tokio::sync::Mutex;

/// How long an answer stands. However often it is asked, database and disk are probed no more often than that.
const VALID: Duration = Duration::from_secs(1);
/// How long a probe may take before the server counts as not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether database and provider answer. What is wrong with them goes to the log, not to whoever asks.
pub struct Readiness {
    storage: FileStorage,
    last: Mutex<Option<(Instant, bool)>>,
    /// Whether the server is about to stop.
    is_ending: AtomicBool,
}

impl Readiness {
    /// Of this storage.
    pub fn new(storage: FileStorage) -> Self {
        Self { storage, last: Mutex::new(None), is_ending: AtomicBool::new(false) }
    }

    /// From now on it is not ready, however well it is: it is about to stop.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
    }

    /// Whether it is about to stop.
    pub fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// Whether the server can do its work, as of now or of a second ago. Those who ask meanwhile share one probe.
    pub async fn check(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, ready)) = *last
            && at.elapsed() < VALID
        {
            return ready;
        }
        let was = last.is_none_or(|(_, ready)| ready);
        let ready = match self.probe().await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(error = error.with_causes(), "not ready");
                false
            }
        };
        if ready && !was {
            tracing::warn!("ready again");
        }
        *last = Some((Instant::now(), ready));
        ready
    }

    /// Asks the database now, and the disk where new bytes go there. Of a remote provider, the last look at it tells: nobody
    /// waits for it here.
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
