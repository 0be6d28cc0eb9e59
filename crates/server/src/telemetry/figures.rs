//! Figures for Prometheus.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio_util::sync::CancellationToken;

use super::snapshot::{Baseline, Snapshot};
use super::times::{AllTimes, Timed};
use super::{describe, process};

/// Upper bounds of a request's duration, in seconds: from a read in memory to a large transfer.
const REQUEST_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0, 300.0,
];

/// Upper bounds of an operation's duration in a provider, in seconds. The alarm is at 1 s, so that they are close around it:
/// a percentile is only known to lie between two of them.
const BACKEND_BUCKETS: &[f64] = &[
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0,
    1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Upper bounds of a count, such as the operations of one commit.
const COUNT_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// How often recorded samples are sorted into buckets. Until then each takes room.
const UPKEEP: Duration = Duration::from_secs(1);

/// All figures of the process.
#[derive(Clone)]
pub struct Figures {
    prometheus: PrometheusHandle,
    /// What percentiles are read from.
    times: AllTimes,
    /// What [`Figures::recent`] counts from. Never seen by Prometheus, whose counters must not go back.
    start: Arc<Mutex<Start>>,
}

/// A moment that is counted from.
struct Start {
    at: SystemTime,
    baseline: Baseline,
}

impl Figures {
    /// Begins to collect. The recorder is the process's: a second call gives the same figures.
    ///
    /// # Errors
    /// Something else collects already.
    pub fn install() -> Result<Self, FiguresError> {
        process::started();
        static INSTALLED: OnceLock<Result<(PrometheusHandle, AllTimes), String>> = OnceLock::new();
        let installed = INSTALLED.get_or_init(|| {
            let (recorder, prometheus, times) = recorder()?;
            metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
            describe::describe_all();
            Ok((prometheus, times))
        });
        let (prometheus, times) = installed.clone().map_err(FiguresError)?;
        Ok(Self::new(prometheus, times))
    }

    fn new(prometheus: PrometheusHandle, times: AllTimes) -> Self {
        let start = Start { at: process::started_at(), baseline: Baseline::default() };
        Self { prometheus, times, start: Arc::new(Mutex::new(start)) }
    }

    /// All figures as Prometheus reads them.
    pub fn render(&self) -> String {
        process::measure();
        self.prometheus.render()
    }

    /// All figures, counters and histograms since the process started or [`Figures::reset`] was called, and when that was.
    pub fn recent(&self) -> (Snapshot, SystemTime) {
        // The text first: of what it counts, the times are known then.
        let text = self.render();
        let all = Snapshot::parse(&text, self.times.now());
        let start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        (all.since(&start.baseline), start.at)
    }

    /// Has [`Figures::recent`] count from now on, and says when that is. What Prometheus reads is left alone.
    pub fn reset(&self) -> SystemTime {
        // The times first: of what is counted from now on, none is taken off.
        let times = self.times.now();
        let baseline = Snapshot::parse(&self.render(), times).baseline();
        let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        *start = Start { at: SystemTime::now(), baseline };
        start.at
    }

    /// Sorts recorded samples, until stopped.
    pub async fn upkeep(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
            self.prometheus.run_upkeep();
        }
    }
}

/// What collects figures, and what they are read by.
fn recorder() -> Result<(Timed<PrometheusRecorder>, PrometheusHandle, AllTimes), String> {
    let buckets = [
        ("http_request_duration_seconds", REQUEST_BUCKETS),
        ("storage_backend_latency_seconds", BACKEND_BUCKETS),
    ];
    let builder = buckets
        .into_iter()
        .try_fold(PrometheusBuilder::new(), |builder, (name, buckets)| {
            builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)
        })
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BACKEND_BUCKETS)
        })
        .and_then(|builder| builder.set_buckets(COUNT_BUCKETS))
        .map_err(|error| error.to_string())?;
    let (recorder, times) = (builder.build_recorder(), AllTimes::default());
    let prometheus = recorder.handle();
    Ok((Timed::new(recorder, times.clone()), prometheus, times))
}

/// Figures can't be collected.
#[derive(Debug, Clone, thiserror::Error)]
#[error("metrics can't be collected: {0}")]
pub struct FiguresError(String);

#[cfg(test)]
mod tests {
    use super::super::snapshot::Distribution;
    use super::*;

    const NAME: &str = "http_request_duration_seconds";

    /// Takes the measure of a download.
    fn take(recorder: &Timed<PrometheusRecorder>, status: &'static str, seconds: f64) {
        metrics::with_local_recorder(recorder, || {
            metrics::histogram!(NAME, "operation" => "download", "status" => status).record(seconds);
        });
    }

    fn downloads(figures: &Figures) -> Option<Distribution> {
        figures.recent().0.distributions(NAME, ["operation"]).into_values().next()
    }

    #[track_caller]
    fn check(found: &Distribution, share: f64, expected: f64) {
        let got = found.quantile(share);
        assert!((got / expected - 1.0).abs() < 0.01, "{share}: {got}, not {expected}");
    }

    #[test]
    fn percentiles_are_of_what_was_measured_and_a_reset_begins_anew() {
        let (recorder, prometheus, times) = recorder().unwrap();
        let figures = Figures::new(prometheus.clone(), times.clone());
        take(&recorder, "2xx", 2.278);
        let found = downloads(&figures).unwrap();
        assert_eq!((found.count, found.sum), (1, 2.278));
        for share in [0.5, 0.95, 0.99] {
            check(&found, share, 2.278);
        }

        figures.reset();
        assert_eq!(downloads(&figures), None);
        take(&recorder, "2xx", 0.004);
        take(&recorder, "5xx", 1234.0);
        let found = downloads(&figures).unwrap();
        assert_eq!(found.count, 2);
        check(&found, 0.5, 0.004);
        check(&found, 0.99, 1234.0);

        let other = Figures::new(prometheus, times);
        assert_eq!(downloads(&other).unwrap().count, 3, "who resets, resets for itself");
    }
}
