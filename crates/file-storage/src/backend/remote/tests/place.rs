//! A place of a test's own in an emulator: a prefix that nobody else has.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use uuid::Uuid;

use super::super::{
    AzureCredentials, AzureStore, GcsCredentials, GcsStore, RemoteBackend, RemoteOptions, S3Credentials,
    S3Store, Store,
};
use super::fault_proxy::FaultProxy;
use crate::backend::conformance::Place;
use crate::backend::{BackendError, StorageBackend};
use crate::resilience::{Attempts, CircuitOptions, ResilienceOptions, RetryOptions, guarded};

/// The bucket that `scripts/emulators` makes.
const BUCKET: &str = "aerostore";

/// Where an emulator is.
pub(super) fn emulator(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run scripts/test, or eval \"$(scripts/emulators start DIR)\"")
    })
}

pub(super) fn s3() -> Store {
    s3_at(&emulator("AEROSTORE_TEST_S3"))
}

pub(super) fn s3_at(endpoint: &str) -> Store {
    s3_with(endpoint, "AKIDTEST", "a-secret-of-tests")
}

/// Another Aerostore, which looks at signatures.
pub(super) fn aerostore() -> Store {
    let [endpoint, id, secret] =
        ["", "_KEY_ID", "_SECRET"].map(|of| emulator(&format!("AEROSTORE_TEST_AEROSTORE{of}")));
    s3_with(&endpoint, &id, &secret)
}

fn s3_with(endpoint: &str, id: &str, secret: &str) -> Store {
    Store::S3(S3Store {
        bucket: BUCKET.into(),
        endpoint: Some(endpoint.into()),
        region: "us-east-1".into(),
        virtual_hosted: false,
        credentials: Some(S3Credentials {
            access_key_id: id.into(),
            secret_access_key: secret.into(),
            session_token: None,
        }),
    })
}

/// The key that Azurite gives to everybody.
pub(super) const AZURITE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

pub(super) fn azure() -> Store {
    azure_at(&emulator("AEROSTORE_TEST_AZURE"))
}

pub(super) fn azure_at(endpoint: &str) -> Store {
    Store::Azure(AzureStore {
        account: "devstoreaccount1".into(),
        container: BUCKET.into(),
        endpoint: Some(format!("{endpoint}/devstoreaccount1")),
        credentials: Some(AzureCredentials::AccountKey(AZURITE_KEY.into())),
    })
}

/// A place of Google's client. `gcp-storage-emulator` has only Google's JSON API, and the client speaks the XML one, which
/// is S3's but for the names of headers: so it is moto that answers, behind a proxy that renames the one that matters.
pub(super) async fn gcs() -> RemotePlace {
    let upstream = emulator("AEROSTORE_TEST_S3");
    let proxy = FaultProxy::renaming(&upstream, "x-goog-copy-source", "x-amz-copy-source").await;
    let endpoint = Some(proxy.address().into());
    let credentials = Some(GcsCredentials::Anonymous);
    let mut place =
        RemotePlace::guarded(Store::Gcs(GcsStore { bucket: BUCKET.into(), endpoint, credentials }));
    place.proxy = Some(proxy);
    place
}

/// Attempts that follow each other fast.
pub(super) fn quick() -> RetryOptions {
    RetryOptions { initial_delay: Duration::from_millis(10), jitter: 0.0, ..RetryOptions::default() }
}

/// A prefix of an emulator, and a backend that is open there.
pub(super) struct RemotePlace {
    pub(super) options: RemoteOptions,
    pub(super) resilience: Option<ResilienceOptions>,
    _journal: TempDir,
    proxy: Option<FaultProxy>,
    backend: Option<Arc<dyn StorageBackend>>,
}

impl RemotePlace {
    /// A backend alone.
    pub(super) fn bare(store: Store) -> Self {
        Self::open(store, None)
    }

    /// A backend with all its guards.
    pub(super) fn guarded(store: Store) -> Self {
        let resilience = ResilienceOptions {
            retry: quick(),
            circuit: Some(CircuitOptions { failures: 100, ..CircuitOptions::default() }),
            resend_limit: 1_000_000,
            ..ResilienceOptions::remote()
        };
        Self::open(store, Some(resilience))
    }

    fn open(store: Store, resilience: Option<ResilienceOptions>) -> Self {
        let journal = tempfile::tempdir().unwrap();
        let options = RemoteOptions {
            prefix: format!("tests/{}", Uuid::new_v4()),
            // So that both ways are short.
            stream_threshold: 1_000_000,
            part_timeout: Duration::from_secs(2),
            stall_timeout: Duration::from_secs(1),
            ..RemoteOptions::new("remote", store, journal.path())
        };
        let mut place = Self { options, resilience, _journal: journal, proxy: None, backend: None };
        place.reopen();
        place
    }

    /// Opens it anew, with what is changed by now.
    pub(super) fn reopen(&mut self) {
        self.backend = None;
        let options = self.options.clone();
        let name = options.provider.clone();
        self.backend = Some(match self.resilience {
            None => {
                let attempts = Attempts::new(name, quick(), None);
                Arc::new(RemoteBackend::open(options, attempts).unwrap())
            }
            Some(resilience) => {
                let open = |attempts| RemoteBackend::open(options, attempts);
                guarded::<_, BackendError>(&name, resilience, open).unwrap().backend
            }
        });
    }

    pub(super) fn get(&self) -> &Arc<dyn StorageBackend> {
        self.backend.as_ref().unwrap()
    }
}

#[async_trait]
impl Place for RemotePlace {
    fn backend(&self) -> Arc<dyn StorageBackend> {
        self.get().clone()
    }

    async fn quiet(&self) {
        self.get().drain().await;
    }

    async fn restart(&mut self) {
        self.quiet().await;
        self.reopen();
    }

    fn has_marks(&self) -> bool {
        false
    }
}
