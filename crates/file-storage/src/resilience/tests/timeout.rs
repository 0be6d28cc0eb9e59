//! Time, and what does not count as time of the provider.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tokio::time::{Instant, sleep};

use super::super::{ConcurrencyLimit, ConcurrencyOptions, Timeout, TimeoutOptions};
use super::scripted::{Act, Backend};
use crate::StorageError;
use crate::backend::conformance::{bytes, chunked, key};
use crate::backend::metered::Metered;
use crate::backend::provider::Provider;
use crate::backend::{BackendError, StorageBackend};

fn timed(backend: &Backend) -> Timeout<Backend> {
    Timeout::new(backend.clone(), TimeoutOptions::default())
}

#[tokio::test(start_paused = true)]
async fn each_operation_has_its_own() {
    let backend = Backend::new([], Act::Hang);
    let timed = timed(&backend);
    let check = |began: Instant, outcome: Result<(), BackendError>, seconds: u64| {
        let Err(BackendError::TimedOut { limit, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((limit.as_secs(), began.elapsed().as_secs()), (seconds, seconds));
    };
    check(Instant::now(), timed.write(&key(), chunked(&bytes(10, 1), 5), None).await.map(drop), 300);
    check(Instant::now(), timed.copy(&key(), &key()).await, 300);
    check(Instant::now(), timed.delete(&key()).await, 30);
    check(Instant::now(), timed.size(&key()).await.map(drop), 30);
    check(Instant::now(), timed.list().try_collect::<Vec<_>>().await.map(drop), 30);
    let began = Instant::now();
    let stalled = timed.read(&key(), None).await.unwrap().try_collect::<Vec<_>>().await;
    assert!(matches!(stalled, Err(StorageError::ProviderTimeout { .. })), "{stalled:?}");
    assert_eq!(began.elapsed().as_secs(), 600);
    assert_eq!(backend.0.running().0, 0, "what takes too long is cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_be_slow() {
    let backend = Backend::new([], Act::Succeed);
    let chunks = stream::iter(0..5).then(|_| async {
        sleep(Duration::from_secs(299)).await;
        sleep(Duration::from_secs(299)).await;
        Ok(Bytes::from_static(b"late"))
    });
    let written = timed(&backend).write(&key(), chunks.boxed(), None).await.unwrap();
    assert_eq!(written.size, 20);
    let mut read = timed(&backend).read(&key(), None).await.unwrap();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(read.next().await.unwrap().unwrap(), "bytes");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_slot_is_no_time_of_the_operation() {
    let backend = Backend::new([], Act::Take(Duration::from_secs(25)));
    let options = ConcurrencyOptions { deletes: 1, ..ConcurrencyOptions::default() };
    let limit = Arc::new(ConcurrencyLimit::new(timed(&backend), options));
    let deletions: Vec<_> = (0..4)
        .map(|_| {
            let limit = limit.clone();
            tokio::spawn(async move { limit.delete(&key()).await })
        })
        .collect();
    for deletion in deletions {
        deletion.await.unwrap().unwrap();
    }
}

/// Counts by the figure's name and the operation.
type Counts = Arc<Mutex<BTreeMap<(String, String), u64>>>;

/// A recorder of counters alone.
#[derive(Default)]
struct Counted(Counts);

impl Counted {
    fn of(&self, name: &str, operation: &str) -> u64 {
        let counts = self.0.lock().unwrap();
        counts.get(&(name.to_owned(), operation.to_owned())).copied().unwrap_or_default()
    }
}

struct Count {
    key: (String, String),
    counts: Counts,
}

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        *self.counts.lock().unwrap().entry(self.key.clone()).or_default() += value;
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let operation = key.labels().find(|label| label.key() == "operation");
        let operation = operation.map_or_else(String::new, |label| label.value().to_owned());
        Counter::from_arc(Arc::new(Count { key: (key.name().to_owned(), operation), counts: self.0.clone() }))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_counts_as_failed_once_an_attempt() {
    let counted = Counted::default();
    let _recording = metrics::set_default_local_recorder(&counted);
    let check = |operation: &str, times: u64| {
        for name in ["storage_backend_timeouts_total", "storage_backend_errors_total"] {
            assert_eq!(counted.of(name, operation), times, "{name} of {operation}");
        }
    };
    let timed = Timeout::new(Metered::new(Backend::new([], Act::Hang)), TimeoutOptions::default());
    for _ in 0..3 {
        timed.probe().await.unwrap_err();
    }
    timed.copy(&key(), &key()).await.unwrap_err();
    timed.write(&key(), chunked(&bytes(10, 1), 5), None).await.unwrap_err();
    timed.read(&key(), None).await.unwrap().try_collect::<Vec<_>>().await.unwrap_err();
    timed.list().try_collect::<Vec<_>>().await.unwrap_err();
    check("probe", 3);
    for operation in ["copy", "write", "read", "list"] {
        check(operation, 1);
    }

    let disk = Metered::new(Backend::new([], Act::Hang));
    Provider::from(Arc::new(disk)).probe().await.unwrap_err();
    check("probe", 4);
}
