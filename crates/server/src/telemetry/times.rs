//! How long things took, in HDR histograms: each time is told within 1%, however long it was. Prometheus' own have the bounds that
//! alarms need, and know nothing of what lies between two of them, or beyond the last one.
//!
//! They are fed where Prometheus' are, by a recorder around its own.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use metrics::{Counter, Gauge, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// How many digits of a time are kept: by 2, it is known within 1%.
const DIGITS: u8 = 2;

/// The longest time that is told from longer ones, in microseconds: an hour. A histogram grows with its longest time, up to 26 KB.
const LONGEST: u64 = 3_600_000_000;

/// A label that times are not kept apart by: one histogram for all its values is enough.
const TOGETHER: &str = "status";

/// A figure's name and labels.
pub(super) type Series = (String, BTreeMap<String, String>);

/// Times, in microseconds.
pub(super) type Times = Histogram<u64>;

/// Times that are still added to.
type Growing = Arc<Mutex<Times>>;

/// The times of each operation. Clones are one.
#[derive(Clone, Default)]
pub(super) struct AllTimes(Arc<Mutex<HashMap<Series, Growing>>>);

impl AllTimes {
    /// As they stand.
    pub(super) fn now(&self) -> HashMap<Series, Times> {
        let all = lock(&self.0);
        all.iter().map(|(series, times)| (series.clone(), lock(times).clone())).collect()
    }

    /// Where times of a figure go, whatever the status was.
    fn of(&self, key: &Key) -> Option<Growing> {
        let labels = key.labels().filter(|label| label.key() != TOGETHER);
        let labels = labels.map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        match lock(&self.0).entry((key.name().to_owned(), labels)) {
            Entry::Occupied(known) => Some(known.get().clone()),
            Entry::Vacant(place) => {
                let times = Arc::new(Mutex::new(Histogram::new(DIGITS).ok()?));
                Some(place.insert(times).clone())
            }
        }
    }
}

/// A recorder whose times are kept here as well.
pub(super) struct Timed<R> {
    inner: R,
    times: AllTimes,
}

impl<R: Recorder> Timed<R> {
    pub(super) fn new(inner: R, times: AllTimes) -> Self {
        Self { inner, times }
    }
}

impl<R: Recorder> Recorder for Timed<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.inner.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.inner.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> metrics::Histogram {
        let inner = self.inner.register_histogram(key, metadata);
        let times = if key.name().ends_with("_seconds") { self.times.of(key) } else { None };
        match times {
            Some(times) => metrics::Histogram::from_arc(Arc::new(Both { times, inner })),
            None => inner,
        }
    }
}

/// What a time is told to.
struct Both {
    times: Growing,
    inner: metrics::Histogram,
}

impl HistogramFn for Both {
    fn record(&self, seconds: f64) {
        let micros = (seconds * 1_000_000.0).round() as u64;
        // A histogram that grows refuses nothing up to there.
        let _ = lock(&self.times).record(micros.clamp(1, LONGEST));
        self.inner.record(seconds);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use metrics::NoopRecorder;

    use super::*;

    #[test]
    fn times_are_kept_by_their_labels_without_the_status() {
        let times = AllTimes::default();
        let recorder = Timed::new(NoopRecorder, times.clone());
        metrics::with_local_recorder(&recorder, || {
            for (operation, status) in [("list", "2xx"), ("list", "5xx"), ("copy", "2xx")] {
                metrics::histogram!("x_seconds", "operation" => operation, "status" => status).record(0.5);
            }
            metrics::histogram!("x_size").record(5.0);
        });
        let of = |operation: &str| {
            ("x_seconds".to_owned(), BTreeMap::from([("operation".to_owned(), operation.to_owned())]))
        };
        let now = times.now();
        assert_eq!(now.len(), 2, "a size is no time: {:?}", now.keys());
        assert_eq!((now[&of("list")].len(), now[&of("copy")].len()), (2, 1));
    }

    #[test]
    fn what_is_out_of_bounds_is_kept_at_the_bound() {
        let times = AllTimes::default();
        let recorder = Timed::new(NoopRecorder, times.clone());
        metrics::with_local_recorder(&recorder, || {
            for seconds in [-1.0, 0.0, f64::NAN, 1e12, f64::INFINITY] {
                metrics::histogram!("x_seconds").record(seconds);
            }
        });
        let now = times.now().into_values().next().unwrap();
        assert_eq!((now.len(), now.min()), (5, 1));
        assert!(now.equivalent(now.max(), LONGEST), "{}", now.max());
    }
}
