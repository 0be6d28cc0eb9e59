//! Two clouds, each behind a proxy that harms what passes: where new bytes go while one fails, what callers notice of
//! it, and what is left. S3's client against moto, on either engine of the metadata.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fault_proxy::{Fault, FaultProxy};
use crate::support::{
    self, Fixture, TestDatabase, chunked, collect, credential_key, keys, options, path, service, user,
};
use bytes::Bytes;
use file_storage::backend::provider::Provider;
use file_storage::backend::registry::Providers;
use file_storage::backend::remote::{RemoteBackend, RemoteOptions, S3Credentials, S3Store, Store};
use file_storage::backend::{BackendError, StorageBackend};
use file_storage::body::ByteStream;
use file_storage::file::PutMode;
use file_storage::health::HealthChecks;
use file_storage::resilience::{CircuitOptions, ConcurrencyOptions, ResilienceOptions, guarded};
use file_storage::{BucketConfig, BucketName, FileStorage, StorageError};
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use tempfile::TempDir;
use uuid::Uuid;

/// Bodies up to this size are one request, and are kept to be sent again.
const SMALL: usize = 1_000_000;

/// A storage that writes to `first`, and to `second` while that fails.
struct TwoClouds {
    storage: FileStorage,
    /// Before `first` and before `second`.
    proxies: [FaultProxy; 2],
    backends: [Arc<dyn StorageBackend>; 2],
    bucket: BucketName,
    _dir: TempDir,
    _database: Option<TestDatabase>,
}

fn moto() -> String {
    std::env::var("AEROSTORE_TEST_S3")
        .unwrap_or_else(|_| panic!("AEROSTORE_TEST_S3 is not set: run scripts/test, or scripts/emulators"))
}

/// A prefix of moto's, with all guards of a provider.
fn cloud(name: &str, endpoint: &str, dir: &TempDir, resilience: ResilienceOptions) -> Provider {
    let store = S3Store {
        bucket: "aerostore".into(),
        endpoint: Some(endpoint.into()),
        region: "us-east-1".into(),
        virtual_hosted: false,
        credentials: Some(S3Credentials {
            access_key_id: "AKIDTEST".into(),
            secret_access_key: "secret".into(),
            session_token: None,
        }),
    };
    let options = RemoteOptions {
        prefix: format!("tests/{}", Uuid::new_v4()),
        stream_threshold: SMALL,
        ..RemoteOptions::new(name, Store::S3(store), dir.path().join(name))
    };
    let opened = guarded::<_, BackendError>(&name.into(), resilience, |attempts| {
        RemoteBackend::open(options, attempts)
    });
    opened.unwrap().into()
}

impl TwoClouds {
    async fn new() -> Self {
        Self::with(ResilienceOptions::remote(), |provider| provider).await
    }

    async fn with(resilience: ResilienceOptions, change: impl Fn(Provider) -> Provider) -> Self {
        let resilience = ResilienceOptions { resend_limit: SMALL, ..resilience };
        let (dir, database) = (TempDir::new().unwrap(), TestDatabase::if_asked_for());
        let proxies = [FaultProxy::before(&moto()).await, FaultProxy::before(&moto()).await];
        let [first, second] = [("first", &proxies[0]), ("second", &proxies[1])]
            .map(|(name, proxy)| change(cloud(name, proxy.address(), &dir, resilience)));
        let backends = [first.backend().clone(), second.backend().clone()];
        let providers = Providers::new(first, [second]).failing_over_to(["second"]);
        let executor = Fixture::executor(dir.path(), database.as_ref()).await;
        let options = options(dir.path());
        let storage = FileStorage::new(executor, providers, keys(), credential_key(), options);
        let bucket = support::bucket("box");
        storage.create_bucket(&user(1), &bucket, &BucketConfig::default()).await.unwrap();
        Self { storage, proxies, backends, bucket, _dir: dir, _database: database }
    }

    async fn put(&self, name: &str, body: ByteStream) -> Result<(), StorageError> {
        let pending = self.storage.admit_upload(&user(1), &self.bucket, &path(name), PutMode::Upsert).await?;
        pending.store(Default::default(), None, body).await.map(drop)
    }

    /// The same, and how long it took.
    async fn timed(&self, name: &str, bytes: &[u8]) -> Duration {
        let started = Instant::now();
        self.put(name, chunked(bytes)).await.unwrap();
        started.elapsed()
    }

    async fn get(&self, name: &str) -> Vec<u8> {
        let download = self.storage.download(&service(), &self.bucket, &path(name)).await.unwrap();
        collect(download.body(None).await.unwrap()).await.unwrap()
    }

    /// Waits until the providers have so many blobs: what is not wanted goes behind the callers' backs.
    async fn until_kept(&self, expected: [usize; 2]) {
        let mut kept = [0; 2];
        for _ in 0..300 {
            for (kept, backend) in kept.iter_mut().zip(&self.backends) {
                *kept = backend.list().try_collect::<Vec<_>>().await.unwrap().len();
            }
            if kept == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(kept, expected);
    }
}

fn bytes(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_finds_the_next_provider_in_time_and_later_ones_do_at_once() {
    let faults =
        [Fault::Drop, Fault::Answer(500), Fault::AnswerRetryAfter(429, 20), Fault::Answer(403), Fault::Stall];
    join_all(faults.map(|fault| async move {
        let clouds = TwoClouds::new().await;
        let [first, second] = &clouds.proxies;
        let checks = HealthChecks::start(&clouds.storage);
        // What a probe has written stays where its deletion fails, until the orphan job comes.
        while clouds.storage.provider_statuses().iter().any(|status| status.last_check.is_none()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        clouds.timed("before", &bytes(100_000, 1)).await;
        first.otherwise(fault);
        let took = clouds.timed("during", &bytes(100_000, 2)).await;
        assert!(took < Duration::from_secs(5), "{fault:?}: {took:?}");
        assert_eq!(&**clouds.storage.provider(), "second", "{fault:?}");
        let asked = first.count("PUT");
        let took = clouds.timed("later", &bytes(100_000, 3)).await;
        assert!(took < Duration::from_secs(2), "{fault:?}: {took:?}");
        // A probe may have come in between, and nothing else.
        assert!(first.count("PUT") <= asked + 1, "{fault:?}: {:?}", first.requests());
        assert!(clouds.storage.check_ready().await.is_ok(), "{fault:?}");
        assert!(!clouds.storage.provider_status("first").unwrap().is_healthy, "{fault:?}");

        // Back again by itself.
        first.otherwise(Fault::Pass);
        let waiting = Instant::now();
        while &**clouds.storage.provider() != "first" {
            // A circuit that was opened lets the next probe through after a minute.
            assert!(waiting.elapsed() < Duration::from_secs(80), "{fault:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let asked = second.count("PUT");
        clouds.timed("after", &bytes(100_000, 4)).await;
        assert_eq!(second.count("PUT"), asked, "{fault:?}");
        checks.stop().await;
        clouds.until_kept([2, 2]).await;
        for (name, seed) in [("before", 1), ("during", 2), ("later", 3), ("after", 4)] {
            assert_eq!(clouds.get(name).await, bytes(100_000, seed), "{fault:?}: {name}");
        }
    }))
    .await;
}

/// The first provider did it, and its answer was lost: the blob is there twice, and once in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_provider_kept_though_it_said_nothing_goes() {
    let clouds = TwoClouds::new().await;
    clouds.proxies[0].plan("PUT", [Fault::LoseAnswer, Fault::LoseAnswer, Fault::LoseAnswer]);
    clouds.timed("file", &bytes(100_000, 1)).await;
    clouds.until_kept([0, 1]).await;
    assert_eq!(clouds.get("file").await, bytes(100_000, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_that_a_provider_lost_is_sent_again_by_its_client() {
    let clouds = TwoClouds::new().await;
    let large = bytes(12_000_000, 1);
    clouds.proxies[0].plan("partNumber=2", [Fault::Answer(403)]);
    let failed = clouds.put("large", chunked(&large)).await.unwrap_err();
    assert_eq!((failed.code(), failed.is_retryable()), ("PROVIDER_UNAVAILABLE", true), "{failed:?}");
    assert!(failed.retry_after().is_some());
    // There is no half of it anywhere, and the next attempt needs no luck.
    clouds.put("large", chunked(&large)).await.unwrap();
    assert!(clouds.get("large").await == large);
    clouds.until_kept([0, 1]).await;
    clouds.storage.close().await;
    assert!(
        clouds.proxies[0]
            .requests()
            .iter()
            .any(|line| line.starts_with("DELETE") && line.contains("uploadId"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_slow_client_nor_one_that_goes_is_the_providers_fault() {
    let clouds = TwoClouds::with(ResilienceOptions::remote(), |provider| {
        provider.failing_over_after(Duration::from_secs(1))
    })
    .await;
    let chunk = |seed| Ok(Bytes::from(bytes(100_000, seed)));
    let slow = stream::iter(0..3).then(move |at| async move {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        chunk(at)
    });
    clouds.put("slow", slow.boxed()).await.unwrap();
    let gone = stream::iter([chunk(1), Err(StorageError::BodyInterrupted { reason: "gone".into() })]);
    let failed = clouds.put("gone", gone.boxed()).await.unwrap_err();
    assert!(matches!(failed, StorageError::BodyInterrupted { .. }), "{failed:?}");
    assert_eq!((&**clouds.storage.provider(), clouds.proxies[1].count("PUT")), ("first", 0));
    clouds.until_kept([1, 0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_none_is_well_each_is_tried() {
    // Circuits that were open would end it before it began, for a minute.
    let circuit = Some(CircuitOptions { failures: 1000, ..CircuitOptions::default() });
    let clouds =
        TwoClouds::with(ResilienceOptions { circuit, ..ResilienceOptions::remote() }, |provider| provider)
            .await;
    for proxy in &clouds.proxies {
        proxy.otherwise(Fault::Answer(503));
    }
    let failed = clouds.put("file", chunked(&bytes(100_000, 1))).await.unwrap_err();
    assert_eq!((failed.code(), failed.is_retryable()), ("PROVIDER_UNAVAILABLE", true), "{failed:?}");
    assert!(clouds.proxies.iter().all(|proxy| proxy.count("PUT") == 3));
    assert!(clouds.storage.check_ready().await.is_err());
    // No look at them was needed to find that one is back.
    clouds.proxies[0].otherwise(Fault::Pass);
    clouds.timed("file", &bytes(100_000, 1)).await;
    assert_eq!(clouds.get("file").await, bytes(100_000, 1));
    clouds.proxies[1].otherwise(Fault::Pass);
    clouds.until_kept([1, 0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_wait_for_a_slot_do_not_wait_for_one_that_stands_still() {
    let concurrency = ConcurrencyOptions { uploads: 2, ..ConcurrencyOptions::default() };
    let circuit = Some(CircuitOptions { failures: 1000, ..CircuitOptions::default() });
    let clouds = TwoClouds::with(
        ResilienceOptions { concurrency, circuit, ..ResilienceOptions::remote() },
        |provider| provider,
    )
    .await;
    clouds.proxies[0].otherwise(Fault::Stall);
    let names: Vec<String> = (0..12).map(|at| format!("file-{at}")).collect();
    let content = bytes(100_000, 1);
    let took = join_all(names.iter().map(|name| clouds.timed(name, &content))).await;
    assert!(took.iter().all(|took| *took < Duration::from_secs(6)), "{took:?}");
    assert_eq!(clouds.proxies[0].count("PUT"), 2, "two found out for all");
    for name in &names {
        assert_eq!(clouds.get(name).await, content);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_busy_keeps_what_is_its_own() {
    let concurrency = ConcurrencyOptions { uploads: 1, waiting: 0, ..ConcurrencyOptions::default() };
    let clouds =
        TwoClouds::with(ResilienceOptions { concurrency, ..ResilienceOptions::remote() }, |provider| {
            provider
        })
        .await;
    let (go, held) = tokio::sync::oneshot::channel::<()>();
    let held = stream::once(async {
        held.await.map(|()| Bytes::from_static(b"end")).map_err(|_| StorageError::internal("gone"))
    });
    let slow = stream::iter([Ok(Bytes::from(bytes(100_000, 1)))]).chain(held).boxed();
    let (first, busy) = tokio::join!(clouds.put("slow", slow), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let busy = clouds.put("next", chunked(&bytes(100_000, 2))).await;
        go.send(()).unwrap();
        busy
    });
    first.unwrap();
    assert!(matches!(busy, Err(StorageError::ProviderOverloaded { .. })), "{busy:?}");
    assert_eq!(clouds.proxies[1].count("PUT"), 0);
    assert!(clouds.storage.provider_status("first").unwrap().is_healthy);
}
