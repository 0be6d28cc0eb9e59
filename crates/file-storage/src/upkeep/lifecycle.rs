//! When lifecycle rules are followed: once a day, or in an interval, by one of the processes that share a database; and not while
//! the clock can't be trusted.

use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{LifecycleSchedule, UpkeepOptions};
use crate::Timestamp;
use crate::errors::StorageError;
use crate::storage::FileStorage;

/// Time between two looks whether a run is due.
const TICK: Duration = Duration::from_secs(30);

/// Time between two looks at the clock: far less than the day by which it must not leap.
const HEARTBEAT: Duration = Duration::from_secs(3600);

/// Starts runs that are due until it is told to stop.
pub(super) async fn run(
    storage: FileStorage,
    mut options: watch::Receiver<UpkeepOptions>,
    stop: CancellationToken,
) {
    let mut schedule = Schedule { storage, taken: None, looks_at: Instant::now() };
    loop {
        let when = options.borrow_and_update().lifecycle;
        if let Some(when) = when
            && let Err(error) = schedule.look(when).await
        {
            tracing::warn!(
                error = error.with_causes(),
                "lifecycle rules were not followed; it will be tried again"
            );
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

struct Schedule {
    storage: FileStorage,
    /// The run that was due last, as far as this process knows.
    taken: Option<Timestamp>,
    /// When the clock is looked at next, whether or not a run is due.
    looks_at: Instant,
}

impl Schedule {
    async fn look(&mut self, when: LifecycleSchedule) -> Result<(), StorageError> {
        let is_due = self.taken != Some(when.last_due(chrono::Utc::now()));
        if !is_due && self.looks_at > Instant::now() {
            return Ok(());
        }
        let access = self.storage.maintain("follow lifecycle rules")?;
        let clock = self.storage.executor().lifecycle_clock(&access, None).await?;
        self.looks_at = Instant::now() + HEARTBEAT;
        metrics::gauge!("storage_lifecycle_held").set(if clock.held_until.is_some() { 1.0 } else { 0.0 });
        if let Some(until) = clock.held_until {
            if is_due {
                tracing::error!(
                    now = %clock.now, %until,
                    "lifecycle rules wait: the clock is more than a day ahead of when it was last looked at"
                );
                // Said once an hour, and not at every look.
                self.taken = Some(when.last_due(chrono::Utc::now()));
            }
            return Ok(());
        }
        let due = when.last_due(clock.now);
        self.storage.take_lifecycle_turn(due).await?;
        self.taken = Some(due);
        Ok(())
    }
}

impl LifecycleSchedule {
    /// When a run was due last.
    fn last_due(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Daily { hour, minute } => {
                let time = NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or(NaiveTime::MIN);
                let today = now.date_naive().and_time(time).and_utc();
                let yesterday = today.checked_sub_signed(TimeDelta::days(1)).unwrap_or(today);
                if today <= now { today } else { yesterday }
            }
            Self::Every(interval) => {
                let interval = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX).max(1);
                let into = now.timestamp().rem_euclid(interval);
                Timestamp::from_timestamp(now.timestamp().saturating_sub(into), 0).unwrap_or(now)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_due_at_its_time_and_in_its_interval() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let check = |when: LifecycleSchedule, now: &str, due: &str| {
            assert_eq!(when.last_due(at(now)), at(due), "{when:?} at {now}");
        };
        let nightly = LifecycleSchedule::Daily { hour: 3, minute: 30 };
        check(nightly, "2026-03-02T03:29:59Z", "2026-03-01T03:30:00Z");
        check(nightly, "2026-03-02T03:30:00Z", "2026-03-02T03:30:00Z");
        let hourly = LifecycleSchedule::Every(Duration::from_secs(3600));
        check(hourly, "2026-03-02T03:29:59Z", "2026-03-02T03:00:00Z");
    }
}
