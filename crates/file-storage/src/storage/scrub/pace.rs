//! How fast a scrub reads, all of its reads together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How much of a pause may be made up for. Without it, each wait that takes a little too long would be lost.
const CREDIT: Duration = Duration::from_millis(100);

/// Nobody waits longer than that for one chunk.
const LONGEST: Duration = Duration::from_secs(3600);

/// Bytes over time. Whoever has read some waits until the rate allows for them.
#[derive(Default)]
pub(crate) struct Pace {
    /// When the rate allows for all that was read so far.
    paid: Mutex<Option<Instant>>,
}

impl Pace {
    /// Waits until so many bytes more may have been read; 0 bytes per second are no bound.
    pub(crate) async fn spend(&self, bytes: u64, per_second: u64) {
        if per_second == 0 || bytes == 0 {
            return;
        }
        sleep_until(self.due(bytes, per_second)).await;
    }

    fn due(&self, bytes: u64, per_second: u64) -> Instant {
        let takes = Duration::from_secs_f64((bytes as f64 / per_second as f64).min(LONGEST.as_secs_f64()));
        let now = Instant::now();
        let least = now.checked_sub(CREDIT).unwrap_or(now);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let due = paid.map_or(now, |paid| paid.max(least)) + takes;
        *paid = Some(due);
        due
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Two readers of many chunks, at a rate; seconds that they took.
    async fn seconds(chunks: u64, size: u64, per_second: u64) -> f64 {
        let (pace, started) = (Arc::new(Pace::default()), Instant::now());
        let read = |pace: Arc<Pace>| async move {
            for _ in 0..chunks {
                pace.spend(size, per_second).await;
            }
        };
        tokio::join!(read(pace.clone()), read(pace.clone()));
        started.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn all_readers_together_keep_to_the_rate() {
        for (chunks, size, per_second, takes) in
            [(10, 1_000_000, 1_000_000, 20.0), (1000, 64 << 10, 20_000_000, 6.5536), (3, 10, 1, 60.0)]
        {
            let took = seconds(chunks, size, per_second).await;
            assert!((took - takes).abs() < 0.15, "{chunks} of {size} at {per_second}: {took} s");
        }
        assert!(seconds(1000, 1 << 30, 0).await < 0.001, "without a rate, nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_made_up_for() {
        let pace = Pace::default();
        pace.spend(1000, 1000).await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        let started = Instant::now();
        pace.spend(1000, 1000).await;
        pace.spend(1000, 1000).await;
        assert!(started.elapsed() >= Duration::from_millis(1900), "{:?}", started.elapsed());
    }
}
