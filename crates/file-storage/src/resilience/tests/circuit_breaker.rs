//! The states of a circuit.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{advance, sleep, timeout};

use super::super::{
    Attempts, Circuit, CircuitBreaker, CircuitOptions, CircuitState, ResilienceOptions, Retry, RetryOptions,
    guarded,
};
use super::scripted::{Act, Backend};
use crate::backend::conformance::{bytes, chunked, key};
use crate::backend::{BackendError, StorageBackend};

const OPEN_FOR: Duration = Duration::from_secs(60);

fn breaker(backend: &Backend) -> (Arc<Circuit>, Arc<CircuitBreaker<Backend>>) {
    let circuit = Circuit::new("scripted".into(), CircuitOptions::default());
    (circuit.clone(), Arc::new(CircuitBreaker::new(backend.clone(), circuit)))
}

async fn write(backend: &impl StorageBackend) -> Result<(), BackendError> {
    backend.write(&key(), chunked(&bytes(10, 1), 5), None).await.map(drop)
}

async fn fail(breaker: &CircuitBreaker<Backend>, times: usize) {
    for _ in 0..times {
        breaker.delete(&key()).await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn opens_after_five_failures_in_a_row() {
    let plan = [Act::Fail, Act::Fail, Act::Fail, Act::Fail, Act::Succeed];
    let backend = Backend::new(plan, Act::Fail);
    let (circuit, breaker) = breaker(&backend);
    fail(&breaker, 4).await;
    breaker.delete(&key()).await.unwrap();
    fail(&breaker, 4).await;
    assert_eq!(circuit.state(), CircuitState::Closed, "a success in between begins the count anew");
    fail(&breaker, 1).await;
    assert_eq!(circuit.state(), CircuitState::Open);

    let refused = breaker.delete(&key()).await.unwrap_err();
    let BackendError::CircuitOpen { retry_after, .. } = refused else { panic!("{refused:?}") };
    assert_eq!((retry_after, backend.0.call_count()), (OPEN_FOR, 10));
    advance(Duration::from_secs(59)).await;
    fail(&breaker, 1).await;
    assert_eq!(backend.0.call_count(), 10, "the provider is left alone");
}

#[tokio::test(start_paused = true)]
async fn one_call_decides_whether_it_closes() {
    for (act, state) in [
        (Act::Succeed, CircuitState::Closed),
        (Act::Miss, CircuitState::Closed),
        (Act::Fail, CircuitState::Open),
    ] {
        let backend = Backend::new([Act::Fail; 5].into_iter().chain([act]), Act::Succeed);
        let (circuit, breaker) = breaker(&backend);
        fail(&breaker, 5).await;
        advance(OPEN_FOR).await;
        assert_eq!(circuit.state(), CircuitState::HalfOpen);
        drop(write(&*breaker).await);
        assert_eq!(circuit.state(), state, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn lets_exactly_one_of_a_hundred_through() {
    let backend = Backend::new([Act::Fail; 5], Act::Take(Duration::from_secs(2)));
    let (circuit, breaker) = breaker(&backend);
    fail(&breaker, 5).await;
    advance(OPEN_FOR).await;
    let callers = (0..100).map(|_| {
        let breaker = breaker.clone();
        tokio::spawn(async move { breaker.delete(&key()).await })
    });
    let outcomes: Vec<_> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(BackendError::CircuitOpen { .. })));
    assert_eq!((refused.count(), backend.0.call_count()), (99, 6));
    assert_eq!(circuit.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_gives_its_place_to_the_next() {
    let backend = Backend::new([Act::Fail; 5].into_iter().chain([Act::Hang]), Act::Succeed);
    let (circuit, breaker) = breaker(&backend);
    fail(&breaker, 5).await;
    advance(OPEN_FOR).await;
    timeout(Duration::from_secs(1), breaker.delete(&key())).await.unwrap_err();
    assert_eq!(circuit.state(), CircuitState::HalfOpen);
    breaker.delete(&key()).await.unwrap();
    assert_eq!(circuit.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_says_nothing_of_the_provider() {
    let backend = Backend::new([Act::Fail; 5], Act::Succeed);
    let (circuit, breaker) = breaker(&backend);
    fail(&breaker, 5).await;
    advance(OPEN_FOR).await;
    let error = crate::StorageError::BodyInterrupted { reason: "hung up".into() };
    let body = Box::pin(futures_util::stream::iter([Err(error)]));
    breaker.write(&key(), body, None).await.unwrap_err();
    assert_eq!(circuit.state(), CircuitState::HalfOpen);
    breaker.write(&key(), chunked(&bytes(10, 1), 5), None).await.unwrap();
    assert_eq!(circuit.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_of_before_does_not_close_it() {
    let plan = [Act::Take(Duration::from_secs(5))].into_iter().chain([Act::Fail; 5]);
    let backend = Backend::new(plan, Act::Fail);
    let (circuit, breaker) = breaker(&backend);
    let slow = tokio::spawn({
        let breaker = breaker.clone();
        async move { breaker.delete(&key()).await }
    });
    sleep(Duration::from_secs(1)).await;
    fail(&breaker, 5).await;
    slow.await.unwrap().unwrap();
    assert_eq!(circuit.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn an_open_one_ends_the_attempts() {
    let backend = Backend::new([], Act::Fail);
    let (_, breaker) = breaker(&backend);
    let options = RetryOptions { attempts: 20, ..RetryOptions::default() };
    let attempts = Attempts::new("scripted".into(), options, None);
    let refused = write(&Retry::new(Arc::into_inner(breaker).unwrap(), attempts, 100)).await;
    assert!(matches!(refused, Err(BackendError::CircuitOpen { .. })), "{refused:?}");
    assert_eq!(backend.0.call_count(), 5);
}

#[tokio::test(start_paused = true)]
async fn circuits_of_providers_are_their_own() {
    let ill = Backend::new([], Act::Fail);
    let well = Backend::new([], Act::Succeed);
    let guard = |backend: &Backend| {
        let backend = backend.clone();
        let guarded =
            guarded::<_, BackendError>(&"scripted".into(), ResilienceOptions::remote(), |_| Ok(backend));
        guarded.unwrap().backend
    };
    let (guarded_ill, guarded_well) = (guard(&ill), guard(&well));
    for _ in 0..3 {
        let body = || chunked(&bytes(10, 1), 5);
        guarded_ill.write(&key(), body(), None).await.unwrap_err();
        guarded_well.write(&key(), body(), None).await.unwrap();
    }
    assert_eq!((ill.0.call_count(), well.0.call_count()), (5, 3));
}

#[tokio::test(start_paused = true)]
async fn of_one_blob_failures_count_once_and_of_what_is_new_each() {
    let (circuit, breaker) = breaker(&Backend::new([], Act::Fail));
    let bad = key();
    for _ in 0..20 {
        breaker.read(&bad, None).await.err().unwrap();
        breaker.size(&bad).await.unwrap_err();
    }
    // A look is wanted, and until then nobody is refused.
    assert_eq!((circuit.state(), circuit.is_suspicious()), (CircuitState::Closed, true));
    for _ in 0..4 {
        assert_eq!(circuit.state(), CircuitState::Closed);
        write(&*breaker).await.unwrap_err();
    }
    assert_eq!(circuit.state(), CircuitState::Open);
    assert_eq!(circuit.cause().as_deref(), Some("write failed for now: down"));
}

#[tokio::test(start_paused = true)]
async fn a_look_decides_where_one_blob_fails_again_and_again() {
    for (act, state) in [(Act::Fail, CircuitState::Open), (Act::Succeed, CircuitState::Closed)] {
        let backend = Backend::new([Act::Fail; 5].into_iter().chain([act]), Act::Succeed);
        let (circuit, breaker) = breaker(&backend);
        let bad = key();
        for _ in 0..5 {
            breaker.read(&bad, None).await.err().unwrap();
        }
        circuit.turns_suspicious().await;
        drop(breaker.probe().await);
        assert_eq!((circuit.state(), circuit.is_suspicious()), (state, false), "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_its_blobs_failure() {
    let (circuit, _) = breaker(&Backend::new([], Act::Succeed));
    let bad = key();
    for _ in 0..20 {
        circuit.record_failure(Some(&bad), &"half a body");
    }
    assert_eq!((circuit.state(), circuit.is_suspicious()), (CircuitState::Closed, true));
    for _ in 0..4 {
        circuit.record_failure(None, &"a part");
    }
    assert_eq!((circuit.state(), circuit.cause().as_deref()), (CircuitState::Open, Some("a part")));
}

#[tokio::test(start_paused = true)]
async fn a_bad_blob_keeps_no_circuit_open() {
    let (circuit, breaker) = breaker(&Backend::new([], Act::Fail));
    fail(&breaker, 5).await;
    advance(OPEN_FOR).await;
    for _ in 0..3 {
        breaker.read(&key(), None).await.err().unwrap();
        assert_eq!(circuit.state(), CircuitState::HalfOpen, "the next one may try");
    }
    breaker.probe().await.unwrap_err();
    assert_eq!(circuit.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_look_does_not_wait_for_a_call_that_tries() {
    let backend = Backend::new([Act::Fail; 5].into_iter().chain([Act::Hang]), Act::Succeed);
    let (circuit, breaker) = breaker(&backend);
    fail(&breaker, 5).await;
    advance(OPEN_FOR).await;
    let stuck = tokio::spawn({
        let breaker = breaker.clone();
        async move { write(&*breaker).await }
    });
    sleep(Duration::from_secs(1)).await;
    assert!(matches!(breaker.delete(&key()).await, Err(BackendError::CircuitOpen { .. })));
    breaker.probe().await.unwrap();
    assert_eq!(circuit.state(), CircuitState::Closed);
    breaker.delete(&key()).await.unwrap();
    stuck.abort();
}
