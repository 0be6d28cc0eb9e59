//! Blobs that came to S3 in parts, of which it says when their writing began: those that crashes left go in the end, and those that were there
//! before the place was ours stay. S3's client against moto.

use std::sync::Arc;
use std::time::Duration;

use file_storage::FileStorage;
use file_storage::backend::place::Place;
use file_storage::backend::provider::Provider;
use file_storage::backend::remote::{
    RemoteBackend, RemoteOptions, RemotePlace, S3Credentials, S3Store, Store,
};
use file_storage::backend::{BackendError, BlobInfo, StorageBackend};
use file_storage::executor::Executor;
use file_storage::identities::{self, NamedPlace};
use file_storage::resilience::{Attempts, ResilienceOptions, RetryOptions, guarded};
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use futures_util::{StreamExt, TryStreamExt, stream};
use tempfile::TempDir;

use super::Scene;
use crate::support::{Fixture, TestDatabase, chunked, credential_key, keys, options};

/// More than crashes are taken to leave where it is not known whose the place is.
const MANY: usize = 105;

/// A prefix of moto's, where all that is longer than ten bytes comes in parts.
struct Cloud {
    dir: TempDir,
    _database: Option<TestDatabase>,
    executor: Arc<dyn Executor>,
    backend: Arc<dyn StorageBackend>,
    place: Arc<dyn Place>,
}

impl Cloud {
    async fn new() -> Self {
        let (dir, database) = (TempDir::new().unwrap(), TestDatabase::if_asked_for());
        let endpoint = std::env::var("AEROSTORE_TEST_S3").unwrap_or_else(|_| {
            panic!("AEROSTORE_TEST_S3 is not set: run scripts/test, or scripts/emulators")
        });
        let store = S3Store {
            bucket: "aerostore".into(),
            endpoint: Some(endpoint),
            region: "us-east-1".into(),
            virtual_hosted: false,
            credentials: Some(S3Credentials {
                access_key_id: "AKIDTEST".into(),
                secret_access_key: "secret".into(),
                session_token: None,
            }),
        };
        let options = RemoteOptions {
            prefix: format!("tests/{}", uuid::Uuid::new_v4()),
            stream_threshold: 10,
            ..RemoteOptions::new("cloud", Store::S3(store), dir.path().join("journal"))
        };
        let attempts = Attempts::new("cloud".into(), RetryOptions::default(), None);
        let place = Arc::new(RemotePlace::new(&options, attempts).unwrap());
        let open = |attempts| RemoteBackend::open(options, attempts);
        let opened = guarded::<_, BackendError>(&"cloud".into(), ResilienceOptions::remote(), open).unwrap();
        let executor = Fixture::executor(dir.path(), database.as_ref()).await;
        Self { dir, _database: database, executor, backend: opened.backend, place }
    }

    /// The upkeep of a server with its bytes here.
    fn upkeep(&self, grace: Duration) -> Upkeep {
        let provider = Provider::from(self.backend.clone()).in_place(self.place.clone());
        let options = options(self.dir.path());
        let storage = FileStorage::new(self.executor.clone(), provider, keys(), credential_key(), options);
        Upkeep::start(&storage, UpkeepOptions { interval: None, grace, ..UpkeepOptions::default() })
    }

    /// Has the place be this database's from now on.
    async fn is_ours(&self) {
        let named = NamedPlace { provider: "cloud".into(), place: self.place.clone(), takes_bytes: true };
        assert!(identities::settle(&*self.executor, &named, true).await.unwrap());
    }

    async fn takes(&self, blobs: &[BlobInfo]) {
        let writes =
            stream::iter(blobs).map(|blob| self.backend.write(&blob.key, chunked(&[7; 100]), Some(100)));
        writes.buffer_unordered(8).try_collect::<Vec<_>>().await.unwrap();
    }

    async fn blobs(&self) -> Vec<BlobInfo> {
        self.backend.list().try_collect().await.unwrap()
    }
}

#[tokio::test]
async fn fs_o1_what_crashes_left_in_parts_goes_and_what_was_there_before_stays() {
    let (other, cloud) = (Scene::new(true, MANY).await, Cloud::new().await);
    let blobs: Vec<BlobInfo> = other.below.list().try_collect().await.unwrap();
    cloud.takes(&blobs).await;
    let listed = cloud.blobs().await;
    assert!(listed.iter().all(|blob| blob.modified.is_none() && blob.begun.is_some()), "{listed:?}");
    // S3's clock goes in seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    cloud.is_ours().await;
    let upkeep = cloud.upkeep(Duration::ZERO);
    let report = upkeep.cleanup(true).await.unwrap();
    assert_eq!((report.orphan_blobs, report.deleted_blobs), (MANY as u64, 0), "{report:?}");
    assert!(report.halted.unwrap().contains("another database's"));
    upkeep.stop().await;

    // The same since the word.
    for blob in &listed {
        cloud.backend.delete(&blob.key).await.unwrap();
    }
    cloud.takes(&blobs).await;
    let upkeep = cloud.upkeep(Duration::from_secs(3600));
    let report = upkeep.cleanup(true).await.unwrap();
    assert_eq!(
        (report.orphan_blobs, report.deleted_blobs),
        (0, 0),
        "they may have come just now: {report:?}"
    );
    let options = UpkeepOptions { interval: None, grace: Duration::ZERO, ..UpkeepOptions::default() };
    upkeep.reconfigure(options);
    let report = upkeep.cleanup(true).await.unwrap();
    assert_eq!((report.deleted_blobs, report.halted), (MANY as u64, None));
    assert_eq!(cloud.blobs().await, []);
    upkeep.stop().await;
    other.end().await;
}
