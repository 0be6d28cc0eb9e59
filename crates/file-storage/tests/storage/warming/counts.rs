//! What is counted of lists: those that were read ahead, and where answers came from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use file_storage::executor::Listing;
use file_storage::permissions::{Access, AccessRules, Operation};
use file_storage::{BucketName, FileStorage, RlsContext};
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::scene::until;
use crate::support::Fixture;

pub(crate) const WARMED: &str = "storage_cache_warmed_total";
pub(crate) const HITS: &str = "storage_cache_hits_total";
pub(crate) const MISSES: &str = "storage_cache_misses_total";

/// Counters by their names: of this thread, on which all of a test runs.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

struct Count(String, Counts);

impl Counts {
    pub(crate) fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    /// Waits until so many lists were read ahead, since the test began.
    pub(crate) async fn warmed(&self, times: u64) {
        until(format!("{times} lists were read ahead"), async || self.of(WARMED) >= times).await;
    }

    /// Whether a list that is asked for now comes from memory; in any case it is what the database says.
    pub(crate) async fn comes_from_memory(
        &self,
        scene: (&FileStorage, &Fixture),
        caller: &RlsContext,
        at: &BucketName,
        listing: &Listing,
    ) -> bool {
        let (storage, fixture) = scene;
        let before = (self.of(HITS), self.of(MISSES));
        let page = storage.list(caller, at, listing).await.unwrap();
        let executor = &fixture.executor;
        let anon_by_policy = executor.anon_grants().await.unwrap();
        let rules = AccessRules { anon_by_policy, ..AccessRules::default() };
        let access = Access::check(caller, Operation::List, Some(at), rules).unwrap();
        assert_eq!(**page, executor.list_objects(&access, at, listing).await.unwrap(), "{caller:?}");
        let (hits, misses) = (self.of(HITS) - before.0, self.of(MISSES) - before.1);
        assert_eq!(hits + misses, 1, "of the request, and of nothing else");
        hits == 1
    }
}

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        *self.1.0.lock().unwrap().entry(self.0.clone()).or_default() += value;
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Count(key.name().to_owned(), self.clone())))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
