//! One attempt to bring a blob home, while its claim is kept alive; and what its end means for the entry.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Timestamp;
use crate::errors::StorageError;
use crate::executor::{AttemptEnd, ClaimedEntry, QueueEntry, QueueReason, QueueStatus};
use crate::permissions::Access;
use crate::storage::{CarryFault, FileStorage};

/// How long a claim holds.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// Time between two renewals of it.
const RENEWAL: Duration = Duration::from_secs(15);

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How long to wait for a provider that could not be asked, where nobody says.
const AWAY: Duration = Duration::from_secs(30);

/// The providers of an entry, as its user is told of them.
const THE_SOURCE: &str = "the storage provider that has the file";
const THE_TARGET: &str = "the storage provider";

/// How long a shutdown waits until an entry is given back.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// An entry, and who works on it.
pub(super) struct Attempt {
    pub(super) storage: FileStorage,
    pub(super) access: Access,
    pub(super) worker: Uuid,
    pub(super) claimed: ClaimedEntry,
    pub(super) stop: CancellationToken,
}

/// What an attempt leaves to do.
pub(super) enum Ended {
    /// Nothing.
    Done,
    /// Another attempt, then.
    Waits(Timestamp),
}

/// How an attempt came to its end.
enum Outcome {
    Moved,
    /// Its copy is where it was to be.
    Copied,
    Failed(CarryFault),
    /// The claim is somebody else's, or the entry's end was decided elsewhere.
    ClaimLost,
    Stopped,
}

impl Attempt {
    pub(super) async fn run(self) -> Ended {
        let outcome = tokio::select! {
            biased;
            () = self.stop.cancelled() => Outcome::Stopped,
            () = self.claim_lost() => Outcome::ClaimLost,
            carried = self.storage.carry(self.worker, &self.claimed) => match carried {
                Ok(()) if self.claimed.entry.reason == QueueReason::Copy => Outcome::Copied,
                Ok(()) => Outcome::Moved,
                Err(fault) => Outcome::Failed(fault),
            },
        };
        let ended = self.end(&outcome).await;
        let entry = &self.claimed.entry;
        let is_failed = ended.as_ref().is_some_and(|entry| entry.status == QueueStatus::Failed);
        let word = word(&outcome, is_failed);
        metrics::counter!("upload_queue_attempts_total", "outcome" => word).increment(1);
        match (outcome, ended) {
            (Outcome::Moved, _) => {
                metrics::counter!("upload_queue_completed_total").increment(1);
                tracing::info!(
                    entry = %entry.id,
                    file_name = %entry.path,
                    file_size_bytes = entry.size,
                    source_provider = %entry.source,
                    target_provider = %entry.target,
                    attempt_count = entry.attempts,
                    "Upload moved"
                );
                Ended::Done
            }
            (Outcome::Copied, _) => {
                metrics::counter!("upload_queue_completed_total").increment(1);
                tracing::debug!(
                    entry = %entry.id,
                    file_name = %entry.path,
                    file_size_bytes = entry.size,
                    source_provider = %entry.source,
                    target_provider = %entry.target,
                    "Copy made"
                );
                Ended::Done
            }
            (Outcome::Failed(fault), Some(ended)) if is_failed => {
                tracing::error!(entry = %ended.id, ?fault, "a queued upload's last attempt");
                was_given_up(&ended);
                Ended::Done
            }
            (Outcome::Failed(fault), Some(ended)) => {
                self.warn(&ended, &fault);
                Ended::Waits(ended.next_attempt_at)
            }
            // Its object went, or others decided: nothing that anybody waits for.
            (outcome, _) => {
                tracing::debug!(entry = %entry.id, outcome = word_of(&outcome), "queued upload left alone");
                Ended::Done
            }
        }
    }

    /// Ends when the claim is not this worker's any more. Until then it is kept alive.
    async fn claim_lost(&self) {
        let entries = [self.claimed.entry.id];
        let mut held_since = Instant::now();
        loop {
            sleep(RENEWAL).await;
            let asked = Instant::now();
            let executor = self.storage.executor();
            let renewal = executor.renew_claims(&self.access, self.worker, &entries, LEASE);
            match timeout(RENEWAL, renewal).await {
                Ok(Ok(still)) if still.contains(&self.claimed.entry.id) => held_since = asked,
                Ok(Ok(_)) => return,
                Ok(Err(error)) => tracing::warn!(%error, "a claim on a queued upload was not renewed"),
                Err(_) => tracing::warn!("a claim on a queued upload was not renewed in time"),
            }
            if held_since.elapsed() >= LEASE {
                return;
            }
        }
    }

    /// Gives the entry back where its blob is not home. The entry as it then is; `None` where it is not this worker's to say.
    async fn end(&self, outcome: &Outcome) -> Option<QueueEntry> {
        let end = match outcome {
            Outcome::Moved | Outcome::Copied | Outcome::ClaimLost => return None,
            Outcome::Stopped => AttemptEnd::NotTried { after: Duration::ZERO, error: None },
            Outcome::Failed(fault) => end_of(fault, self.claimed.entry.attempts)?,
        };
        let executor = self.storage.executor();
        let ending = executor.end_attempt(&self.access, self.worker, self.claimed.entry.id, &end);
        let limit = if matches!(outcome, Outcome::Stopped) { LAST_WORDS } else { LEASE };
        let error = match timeout(limit, ending).await {
            Ok(Ok(entry)) => return entry,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(entry = %self.claimed.entry.id, error, "a queued upload was not given back; its claim ends by itself");
        None
    }

    fn warn(&self, entry: &QueueEntry, fault: &CarryFault) {
        tracing::warn!(
            entry = %entry.id,
            user_id = entry.user_id.map(tracing::field::display),
            file_name = %entry.path,
            source_provider = %entry.source,
            target_provider = %entry.target,
            error_message = entry.error.as_deref(),
            attempt_count = entry.attempts,
            ?fault,
            "Upload failed; it is tried again"
        );
    }
}

/// Says of an entry that it is not tried any more.
pub(super) fn was_given_up(entry: &QueueEntry) {
    metrics::counter!("upload_queue_failed_total").increment(1);
    tracing::error!(
        entry = %entry.id,
        user_id = entry.user_id.map(tracing::field::display),
        file_name = %entry.path,
        source_provider = %entry.source,
        target_provider = %entry.target,
        error_message = entry.error.as_deref(),
        attempt_count = entry.attempts,
        "Upload failed"
    );
}

/// What an attempt is counted as.
fn word(outcome: &Outcome, is_failed: bool) -> &'static str {
    match outcome {
        Outcome::Failed(_) if is_failed => "given_up",
        outcome => word_of(outcome),
    }
}

fn word_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Moved => "moved",
        Outcome::Copied => "copied",
        Outcome::Failed(CarryFault::Overtaken) | Outcome::ClaimLost => "overtaken",
        Outcome::Failed(_) => "failed",
        Outcome::Stopped => "stopped",
    }
}

/// What a fault means for its entry, at its attempt of this number; `None` where there is nothing more to say.
fn end_of(fault: &CarryFault, attempt: u32) -> Option<AttemptEnd> {
    let again = |error: String, at_least: Option<Duration>| AttemptEnd::Again {
        after: backoff(attempt).max(at_least.unwrap_or_default()),
        error,
    };
    Some(match fault {
        CarryFault::Overtaken => return None,
        CarryFault::SourceDiffers => {
            AttemptEnd::GivenUp { error: "the stored bytes do not match their checksum".to_owned() }
        }
        CarryFault::SourceGone => again("the stored bytes are not there".to_owned(), None),
        CarryFault::CopyDiffers => again("the copy does not have the bytes that were sent".to_owned(), None),
        CarryFault::Source(error) if is_away(error) => not_tried(THE_SOURCE, error),
        CarryFault::Target(error) if was_not_asked(error) => not_tried(THE_TARGET, error),
        CarryFault::Source(error) => again(in_words(THE_SOURCE, error), error.retry_after()),
        CarryFault::Target(error) => again(in_words(THE_TARGET, error), error.retry_after()),
        CarryFault::Database(error) => again("internal error".to_owned(), error.retry_after()),
    })
}

fn not_tried(whose: &str, error: &StorageError) -> AttemptEnd {
    let after = error.retry_after().unwrap_or(AWAY).max(Duration::from_secs(1));
    AttemptEnd::NotTried { after, error: Some(in_words(whose, error)) }
}

/// Whether a provider could not be reached: nothing was learned about the blob.
fn is_away(error: &StorageError) -> bool {
    was_not_asked(error)
        || matches!(
            error,
            StorageError::ProviderUnavailable { .. }
                | StorageError::ProviderThrottled { .. }
                | StorageError::ProviderTimeout { .. }
        )
}

/// Whether a provider was left alone.
fn was_not_asked(error: &StorageError) -> bool {
    matches!(error, StorageError::CircuitOpen { .. } | StorageError::ProviderOverloaded { .. })
}

/// An error as an entry's user may read it: what providers are called, and what they say, is for the log. Which of its two
/// providers is meant, the entry itself tells those who may know.
fn in_words(whose: &str, error: &StorageError) -> String {
    let what = match error {
        StorageError::ProviderUnavailable { .. } | StorageError::ProviderThrottled { .. } => {
            "is not available"
        }
        StorageError::CircuitOpen { .. } => "failed too often and is left alone for a while",
        StorageError::ProviderTimeout { .. } | StorageError::OperationTimeout { .. } => "took too long",
        StorageError::ProviderOverloaded { .. } | StorageError::Overloaded { .. } => "is overloaded",
        StorageError::DiskFull { .. } => "is full",
        _ => "failed",
    };
    format!("{whose} {what}")
}

/// 1, 2, 4 … seconds, up to [`LONGEST_WAIT`], and up to a quarter more, so that not all come at once.
fn backoff(attempt: u32) -> Duration {
    let seconds = 1_u64.checked_shl(attempt.saturating_sub(1).min(32)).unwrap_or(u64::MAX);
    let wait = Duration::from_secs(seconds).min(LONGEST_WAIT);
    let (_, random) = Uuid::new_v4().as_u64_pair();
    wait + wait.mul_f64((random % 1000) as f64 / 4000.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_and_are_not_all_the_same() {
        let bounds = [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (20, 300), (1000, 300)];
        for (attempt, seconds) in bounds {
            let (least, most) = (Duration::from_secs(seconds), Duration::from_secs(seconds).mul_f64(1.25));
            let waits: Vec<_> = (0..20).map(|_| backoff(attempt)).collect();
            assert!(waits.iter().all(|wait| *wait >= least && *wait <= most), "{attempt}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{attempt}: {waits:?}");
        }
    }

    #[test]
    fn what_a_fault_means_depends_on_whose_it_is() {
        let provider: Arc<str> = "cloud".into();
        let away = || StorageError::ProviderTimeout { provider: provider.clone(), operation: "read" };
        let (operation, retry_after) = ("write", Duration::from_secs(45));
        let open = || StorageError::CircuitOpen { provider: provider.clone(), operation, retry_after };
        let busy = || StorageError::ProviderThrottled {
            provider: provider.clone(),
            operation,
            retry_after,
            source: Arc::new(std::io::Error::other("a secret")),
        };
        let kind = |fault: &CarryFault| match end_of(fault, 1) {
            None => ("nothing", 0),
            Some(AttemptEnd::Again { after, error }) => {
                assert!(!error.contains("secret") && !error.contains("cloud"), "{error}");
                ("again", after.as_secs())
            }
            Some(AttemptEnd::NotTried { after, error }) => {
                assert!(error.is_some_and(|error| !error.contains("cloud")));
                ("not tried", after.as_secs())
            }
            Some(AttemptEnd::GivenUp { .. }) => ("given up", 0),
        };
        assert_eq!(kind(&CarryFault::Source(away())), ("not tried", 30));
        assert_eq!(kind(&CarryFault::Target(away())), ("again", 1));
        assert_eq!(kind(&CarryFault::Source(open())), ("not tried", 45));
        assert_eq!(kind(&CarryFault::Target(open())), ("not tried", 45));
        assert_eq!(kind(&CarryFault::Target(busy())), ("again", 45));
        let source = Arc::new(std::io::Error::other("a secret"));
        let broken = StorageError::Io { provider: provider.clone(), operation, source };
        assert_eq!(kind(&CarryFault::Target(broken)), ("again", 1));
        assert_eq!(kind(&CarryFault::SourceGone), ("again", 1));
        assert_eq!(kind(&CarryFault::CopyDiffers), ("again", 1));
        assert_eq!(kind(&CarryFault::SourceDiffers), ("given up", 0));
        assert_eq!(kind(&CarryFault::Overtaken), ("nothing", 0));
    }
}
