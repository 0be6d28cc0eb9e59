//! Looking at the providers now and then, each by a task of its own: so that one which does not answer holds up no other,
//! and nobody who asks how they are has to wait for it.
//!
//! One that is not well is looked at every few seconds, and this is who tries whether it is back, where nobody's call comes before:
//! a look that succeeds closes its circuit, has new blobs go there again, and says so. While the circuit is open, a look
//! is refused like any other call. One of which much fails in a row is looked at at once: see [`crate::resilience::Circuit`].

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::provider::Provider;
use crate::storage::FileStorage;

/// Time between two looks at a provider that is not well: so soon it is seen that it is back.
const RECHECK: Duration = Duration::from_secs(5);

/// The running looks at a storage's providers.
pub struct HealthChecks {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl HealthChecks {
    /// Starts them.
    pub fn start(storage: &FileStorage) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        for provider in storage.providers().all() {
            let (storage, looked_at) = (storage.clone(), provider.clone());
            let looked = move || storage.has_looked_at(&looked_at);
            tasks.spawn(watch(provider.clone(), stop.clone(), looked));
        }
        tasks.close();
        Self { stop, tasks }
    }

    /// Ends them, and waits for that.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

async fn watch(provider: Arc<Provider>, stop: CancellationToken, looked: impl Fn()) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = look_on(&provider, looked) => {}
    }
}

/// Looks at a provider again and again; `looked` is told after each turn, whether that took a look or not.
async fn look_on(provider: &Provider, looked: impl Fn()) {
    let pause = RECHECK.min(provider.check_interval());
    // A disk was opened just now; what is far away may never have been there.
    let is_known = !provider.is_remote() || provider.status().last_check.is_some();
    let mut last = is_known.then(Instant::now);
    loop {
        let is_due = last.is_none_or(|last| last.elapsed() >= provider.check_interval());
        if is_due || !provider.status().is_healthy || provider.is_suspicious() {
            // What it finds, the provider remembers.
            let _ = provider.probe().await;
            last = Some(Instant::now());
        }
        looked();
        let is_rested = last.is_none_or(|last| last.elapsed() >= pause);
        tokio::select! {
            () = sleep(pause) => {}
            () = provider.turns_suspicious(), if is_rested => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::conformance::key;
    use crate::body::from_bytes;
    use crate::resilience::{Act, Backend, CircuitOptions, CircuitState, ResilienceOptions, guarded};

    fn provider(backend: &Backend, circuit: Option<CircuitOptions>) -> Arc<Provider> {
        let options = ResilienceOptions { circuit, ..ResilienceOptions::default() };
        let opened = guarded::<_, ()>(&"scripted".into(), options, |_| Ok(backend.clone())).unwrap();
        Arc::new(Provider::from(opened).checked_every(Duration::from_secs(300)))
    }

    fn seconds(backend: &Backend) -> Vec<u64> {
        backend.0.calls().iter().map(Duration::as_secs).collect()
    }

    async fn watched(provider: &Arc<Provider>, time: Duration) {
        let _ = tokio::time::timeout(time, look_on(provider, || {})).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_is_well_is_asked_now_and_then() {
        let backend = Backend::new([], Act::Succeed);
        let provider = provider(&backend, None);
        assert!(provider.status().is_healthy && provider.status().last_check.is_none());
        watched(&provider, Duration::from_secs(601)).await;
        assert_eq!(seconds(&backend), [0, 300, 600]);
        let status = provider.status();
        assert!(status.is_healthy && status.last_check.is_some() && status.error.is_none(), "{status:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_not_is_asked_until_it_is() {
        let backend = Backend::new([Act::Fail, Act::Refuse, Act::Fail], Act::Succeed);
        let provider = provider(&backend, None);
        watched(&provider, Duration::from_secs(4)).await;
        let status = provider.status();
        assert_eq!((status.is_healthy, status.error.as_deref()), (false, Some("probe failed for now: down")));
        assert_eq!(provider.check().await.unwrap_err().code(), "PROVIDER_UNAVAILABLE");
        watched(&provider, Duration::from_secs(60)).await;
        assert_eq!(seconds(&backend), [0, 4, 9, 14]);
        assert!(provider.status().is_healthy && provider.check().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_answers_is_given_up_and_holds_up_nobody() {
        let backend = Backend::new([Act::Hang, Act::Hang], Act::Succeed);
        let provider = provider(&backend, None);
        let stop = CancellationToken::new();
        let task = tokio::spawn(watch(provider.clone(), stop.clone(), || {}));
        sleep(Duration::from_secs(9)).await;
        // Who asks meanwhile is told what was known before, at once.
        let asked = Instant::now();
        assert!(provider.status().is_healthy && provider.check().await.is_ok());
        assert_eq!(asked.elapsed(), Duration::ZERO);
        sleep(Duration::from_secs(2)).await;
        assert!(!provider.status().is_healthy && provider.check().await.is_err());
        // Told to stop, it does so at once, also in the middle of a probe.
        sleep(Duration::from_secs(5)).await;
        assert_eq!(backend.0.running().0, 1);
        stop.cancel();
        task.await.unwrap();
        assert_eq!(backend.0.running().0, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_closes_the_circuit_again() {
        let backend = Backend::new([Act::Fail; 5], Act::Succeed);
        let circuit = CircuitOptions { failures: 3, open_for: Duration::from_secs(60) };
        let provider = provider(&backend, Some(circuit));
        watched(&provider, Duration::from_secs(30)).await;
        let status = provider.status();
        assert_eq!((status.circuit, status.is_healthy), (Some(CircuitState::Open), false));
        // The reason stays what it was, though it is not asked any more.
        assert_eq!(status.error.as_deref(), Some("probe failed for now: down"));
        watched(&provider, Duration::from_secs(200)).await;
        assert_eq!(seconds(&backend), [0, 5, 10, 70, 130, 190]);
        assert_eq!(provider.status().circuit, Some(CircuitState::Closed));
        assert!(provider.status().is_healthy);
    }
    /// A provider that is watched already, and so was looked at once.
    async fn seen(backend: &Backend) -> (Arc<Provider>, tokio::task::JoinHandle<()>) {
        let circuit = CircuitOptions { failures: 5, open_for: Duration::from_secs(60) };
        let provider = provider(backend, Some(circuit));
        let watching = tokio::spawn(watch(provider.clone(), CancellationToken::new(), || {}));
        sleep(Duration::from_secs(30)).await;
        assert_eq!(backend.0.call_count(), 1);
        (provider, watching)
    }

    #[tokio::test(start_paused = true)]
    async fn one_bad_blob_has_its_provider_looked_at_and_no_more() {
        let backend = Backend::new([Act::Succeed], Act::Succeed);
        let (provider, watching) = seen(&backend).await;
        let (bad, reader) = (key(), provider.backend().clone());
        for _ in 0..3 {
            // Each read makes three attempts; the look after the fifth finds that the provider is well.
            backend.0.plan_for("read", [Act::Fail; 3]);
            reader.read(&bad, None).await.err().unwrap();
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!((backend.0.count("read"), backend.0.count("probe")), (9, 2));
        let status = provider.status();
        assert_eq!((status.circuit, status.is_healthy), (Some(CircuitState::Closed), true), "{status:?}");
        assert!(reader.read(&key(), None).await.is_ok());
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_that_only_one_blob_is_read_in_is_found_by_a_look() {
        let backend = Backend::new([Act::Succeed], Act::Fail);
        let (provider, watching) = seen(&backend).await;
        let (blob, reader) = (key(), provider.backend().clone());
        for _ in 0..2 {
            reader.read(&blob, None).await.err().unwrap();
        }
        sleep(Duration::from_millis(1)).await;
        let status = provider.status();
        assert_eq!((status.circuit, status.is_healthy), (Some(CircuitState::Open), false), "{status:?}");
        assert_eq!(status.error.as_deref(), Some("probe failed for now: down"));
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_opened_a_circuit_is_told_until_it_is_well() {
        let backend = Backend::new([Act::Succeed], Act::Fail);
        let (provider, watching) = seen(&backend).await;
        for _ in 0..5 {
            provider.backend().write(&key(), from_bytes("new".into()), None).await.unwrap_err();
        }
        for seconds in [0, 30] {
            sleep(Duration::from_secs(seconds)).await;
            let status = provider.status();
            assert_eq!(status.circuit, Some(CircuitState::Open));
            assert_eq!(status.error.as_deref(), Some("write failed for now: down"), "after {seconds} s");
        }
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_answer_is_away_and_one_that_refuses_is_not() {
        for (act, is_away) in [(Act::Fail, true), (Act::Hang, true), (Act::Refuse, false)] {
            let provider = provider(&Backend::new([act], Act::Succeed), None);
            assert!(!provider.is_away());
            provider.probe().await.unwrap_err();
            assert_eq!((provider.is_away(), provider.is_healthy()), (is_away, false), "{act:?}");
            let asked = provider.expect_answers("copy").map_err(|error| error.code());
            assert_eq!(asked, if is_away { Err("PROVIDER_UNAVAILABLE") } else { Ok(()) });
            provider.probe().await.unwrap();
            assert!(!provider.is_away());
        }
    }
}
