//! What a measurement counts: latencies in a histogram, bytes, and errors by kind.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The counts of one client, or of all of them merged.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Nanoseconds, three figures exact.
    latencies: Histogram<u64>,
    bytes: u64,
    verified: u64,
    errors: BTreeMap<String, u64>,
    /// Requests begun, those of the warm-up too.
    started: u64,
    elapsed: Duration,
}

impl Measured {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            latencies: Histogram::new(3)?,
            bytes: 0,
            verified: 0,
            errors: BTreeMap::new(),
            started: 0,
            elapsed: Duration::ZERO,
        })
    }

    pub(super) fn start(&mut self) {
        self.started += 1;
    }

    pub(super) fn succeed(&mut self, took: Duration, bytes: u64, verified: bool) {
        // The histogram grows by itself; it refuses nothing that a clock can tell.
        let _ = self.latencies.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        self.bytes += bytes;
        self.verified += u64::from(verified);
    }

    pub(super) fn fail(&mut self, kind: String) {
        *self.errors.entry(kind).or_default() += 1;
    }

    pub(super) fn merge(&mut self, other: Self) -> anyhow::Result<()> {
        self.latencies.add(&other.latencies)?;
        self.bytes += other.bytes;
        self.verified += other.verified;
        self.started += other.started;
        self.elapsed = self.elapsed.max(other.elapsed);
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        Ok(())
    }

    /// How long requests were counted.
    pub(super) fn lasted(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }

    pub(crate) fn requests(&self) -> u64 {
        self.latencies.len()
    }

    pub(super) fn started(&self) -> u64 {
        self.started
    }

    /// Answers whose bytes were compared with what was stored.
    pub(crate) fn verified(&self) -> u64 {
        self.verified
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Errors by kind, the most frequent first.
    pub(crate) fn error_kinds(&self) -> Vec<(&str, u64)> {
        let mut kinds: Vec<_> = self.errors.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        kinds
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.rate(self.requests() as f64)
    }

    pub(crate) fn megabytes_per_second(&self) -> f64 {
        self.rate(self.bytes as f64 / 1e6)
    }

    /// The latency that `percent` of the requests did not exceed, in milliseconds.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        self.latencies.value_at_percentile(percent) as f64 / 1e6
    }

    pub(crate) fn slowest(&self) -> f64 {
        self.latencies.max() as f64 / 1e6
    }

    fn rate(&self, amount: f64) -> f64 {
        let seconds = self.seconds();
        if seconds > 0.0 { amount / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_rates_and_errors_of_merged_counts() {
        let mut all = Measured::new().unwrap();
        for half in [1..=500_u64, 501..=1000] {
            let mut one = Measured::new().unwrap();
            for millis in half {
                one.start();
                one.succeed(Duration::from_millis(millis), 2_000, millis % 100 == 0);
            }
            one.fail("503 OVERLOADED".to_owned());
            one.lasted(Duration::from_secs(2));
            all.merge(one).unwrap();
        }
        all.fail("404".to_owned());
        let near =
            |value: f64, expected: f64| assert!((value / expected - 1.0).abs() < 0.002, "{value} {expected}");
        near(all.percentile(50.0), 500.0);
        near(all.percentile(95.0), 950.0);
        near(all.percentile(99.0), 990.0);
        near(all.slowest(), 1000.0);
        near(all.per_second(), 500.0);
        near(all.megabytes_per_second(), 1.0);
        assert_eq!((all.requests(), all.started(), all.verified(), all.errors()), (1000, 1000, 10, 3));
        assert_eq!(all.error_kinds(), [("503 OVERLOADED", 2), ("404", 1)]);
    }

    #[test]
    fn nothing_measured_is_no_division_by_zero() {
        let none = Measured::new().unwrap();
        assert_eq!((none.per_second(), none.percentile(99.0)), (0.0, 0.0));
    }
}
