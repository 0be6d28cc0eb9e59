//! The orphan job over a provider that lies, breaks off or is down: no row is ever lost to it, and no blob that a row names.

mod in_parts;

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Fixture, chunked, credential_key, keys, options, path, user};
use async_trait::async_trait;
use file_storage::backend::local::Directory;
use file_storage::backend::place::Place;
use file_storage::backend::provider::Provider;
use file_storage::backend::{BackendError, BlobInfo, BlobWritten, StorageBackend};
use file_storage::body::ByteStream;
use file_storage::file::{BlobKey, PutMode};
use file_storage::identities::{self, NamedPlace};
use file_storage::upkeep::{CleanupReport, Upkeep, UpkeepOptions};
use file_storage::{BucketName, BucketPolicy, FileStorage};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tempfile::TempDir;

/// What the provider says that is not so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Nothing.
    None,
    /// Its list has no blob, and answers well.
    ListsNothing,
    /// Its list ends after the first blob, and answers well.
    ListsPartly,
    /// Its list breaks off after the first blob.
    BreaksOff,
    /// Its list has each blob twice.
    ListsTwice,
    /// It lists blobs that are not there.
    ListsPhantoms,
    /// It says of every blob that it is not there.
    HidesAll,
    /// It says that one blob in two hundred is not there.
    HidesOne,
    /// It answers nothing at all.
    Down,
    /// It lists and answers, and takes nothing: no probe succeeds.
    TakesNothing,
    /// No lie: it says when its blobs' writing began, and not when they were there, as S3 does of what came in parts.
    DatesBeginnings,
}

/// The provider: what lies below, and what it says of that.
struct Liar {
    below: Arc<dyn StorageBackend>,
    lie: Arc<Mutex<Lie>>,
    /// Whether its list is read along with rows.
    ordered: bool,
    /// What was there once.
    phantoms: Arc<Mutex<Vec<BlobInfo>>>,
}

fn down() -> BackendError {
    let source = Arc::new(io::Error::other("down"));
    BackendError::Unavailable { operation: "ask", retry_after: None, source }
}

impl Liar {
    fn lie(&self) -> Lie {
        *self.lie.lock().unwrap()
    }

    fn answers(&self) -> Result<Lie, BackendError> {
        match self.lie() {
            Lie::Down => Err(down()),
            lie => Ok(lie),
        }
    }
}

#[async_trait]
impl StorageBackend for Liar {
    fn provider(&self) -> &Arc<str> {
        self.below.provider()
    }

    async fn write(
        &self,
        key: &BlobKey,
        body: ByteStream,
        size: Option<u64>,
    ) -> Result<BlobWritten, BackendError> {
        self.answers()?;
        self.below.write(key, body, size).await
    }

    async fn settle(&self, key: &BlobKey, kept: bool) {
        self.below.settle(key, kept).await;
    }

    async fn read(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<ByteStream, BackendError> {
        self.answers()?;
        self.below.read(key, range).await
    }

    async fn copy(&self, from: &BlobKey, to: &BlobKey) -> Result<(), BackendError> {
        self.answers()?;
        self.below.copy(from, to).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BackendError> {
        self.answers()?;
        self.below.delete(key).await
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BackendError> {
        let first = || async { self.below.list().next().await.unwrap().unwrap().key };
        match self.answers()? {
            Lie::HidesAll => Ok(None),
            Lie::HidesOne if first().await == *key => Ok(None),
            _ => self.below.size(key).await,
        }
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, BackendError>> {
        let below = self.below.list();
        let sorted = async move {
            let mut all: Vec<BlobInfo> = below.map(Result::unwrap).collect().await;
            all.sort_by(|a, b| a.key.cmp(&b.key));
            all
        };
        let (lie, phantoms) = (self.lie(), self.phantoms.lock().unwrap().clone());
        let told = async move {
            let all = sorted.await;
            let mut told: Vec<Result<BlobInfo, BackendError>> = match lie {
                Lie::ListsNothing => Vec::new(),
                Lie::ListsPartly | Lie::BreaksOff => all.into_iter().take(1).map(Ok).collect(),
                Lie::ListsTwice => all.into_iter().flat_map(|blob| [blob.clone(), blob]).map(Ok).collect(),
                Lie::ListsPhantoms => all.into_iter().chain(phantoms).map(Ok).collect(),
                Lie::Down => vec![Err(down())],
                Lie::DatesBeginnings => {
                    let dated = |blob: BlobInfo| BlobInfo { modified: None, begun: blob.modified, ..blob };
                    all.into_iter().map(dated).map(Ok).collect()
                }
                Lie::None | Lie::HidesAll | Lie::HidesOne | Lie::TakesNothing => {
                    all.into_iter().map(Ok).collect()
                }
            };
            if lie == Lie::BreaksOff {
                told.push(Err(down()));
            }
            stream::iter(told)
        };
        stream::once(told).flatten().boxed()
    }

    fn lists_in_order(&self) -> bool {
        self.ordered
    }

    async fn recover(&self) -> Result<Vec<BlobKey>, BackendError> {
        self.below.recover().await
    }

    async fn probe(&self) -> Result<(), BackendError> {
        match self.answers()? {
            Lie::TakesNothing => Err(down()),
            _ => Ok(()),
        }
    }

    async fn drain(&self) {
        self.below.drain().await;
    }
}

/// Rows and blobs, as they are.
struct Scene {
    fixture: Fixture,
    docs: BucketName,
    lie: Arc<Mutex<Lie>>,
    below: Arc<dyn StorageBackend>,
    upkeep: Upkeep,
}

impl Scene {
    async fn new(ordered: bool, files: usize) -> Self {
        let (lie, dir) = (Arc::new(Mutex::new(Lie::None)), TempDir::new().unwrap());
        let phantoms = Arc::<Mutex<Vec<BlobInfo>>>::default();
        let mut below = None;
        let options = options(dir.path());
        let fixture = Fixture::open_with(dir, options, |backend| {
            below = Some(backend.clone());
            Arc::new(Liar { below: backend, lie: lie.clone(), ordered, phantoms: phantoms.clone() })
        })
        .await;
        let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
        fixture.put(&user(1), (&docs, &path("gone")), PutMode::Create, &[7; 100]).await.unwrap();
        *phantoms.lock().unwrap() = fixture.backend.list().map(Result::unwrap).collect().await;
        fixture.storage.delete(&user(1), &docs, &path("gone"), None).await.unwrap();
        fixture.settle().await;
        for at in 0..files {
            let name = path(&format!("f{at}"));
            fixture.put(&user(1), (&docs, &name), PutMode::Create, &[7; 100]).await.unwrap();
        }
        let options = UpkeepOptions { interval: None, grace: Duration::ZERO, ..UpkeepOptions::default() };
        let upkeep = Upkeep::start(&fixture.storage, options);
        Self { fixture, docs, lie, below: below.unwrap(), upkeep }
    }

    fn say(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
    }

    async fn blobs(&self) -> BTreeSet<String> {
        self.below.list().map(|blob| blob.unwrap().key.to_string()).collect().await
    }

    /// Blobs without rows: those that another database knows, or a crash left.
    async fn takes_blobs_of(&self, other: &Self) -> Vec<BlobInfo> {
        let blobs: Vec<BlobInfo> = other.below.list().map(Result::unwrap).collect().await;
        for blob in &blobs {
            self.below.write(&blob.key, chunked(&[7; 100]), Some(100)).await.unwrap();
            self.below.settle(&blob.key, true).await;
        }
        blobs
    }

    /// The upkeep of a server that knows in which place its provider is, and has the place be its database's from now on.
    async fn in_its_place(&self, grace: Duration) -> Upkeep {
        let Fixture { dir, executor, backend, .. } = &self.fixture;
        let place: Arc<dyn Place> = Arc::new(Directory::new(dir.path().join("local")));
        let named = NamedPlace { provider: "local".into(), place: place.clone(), takes_bytes: true };
        assert!(identities::settle(&**executor, &named, true).await.unwrap());
        let provider = Provider::from(backend.clone()).in_place(place);
        let options = options(dir.path());
        let storage = FileStorage::new(executor.clone(), provider, keys(), credential_key(), options);
        let options = UpkeepOptions { interval: None, grace, ..UpkeepOptions::default() };
        Upkeep::start(&storage, options)
    }

    /// Three runs while the provider says so; nothing goes that should stay.
    async fn survives(&self, lie: Lie) -> Vec<Result<CleanupReport, String>> {
        let before = self.blobs().await;
        let mut reports = Vec::new();
        for _ in 0..3 {
            self.say(lie);
            reports.push(self.upkeep.cleanup(true).await.map_err(|error| error.to_string()));
            self.say(Lie::None);
            assert_eq!(self.blobs().await, before, "{lie:?}: blobs that rows name stay");
        }
        for report in reports.iter().flatten() {
            assert_eq!((report.deleted_blobs, report.deleted_rows), (0, 0), "{lie:?}: {report:?}");
        }
        self.fixture.audit().await;
        reports
    }

    async fn end(self) {
        self.upkeep.stop().await;
        let rows = self.fixture.get(&user(1), (&self.docs, &path("f0"))).await.unwrap();
        assert_eq!(rows, [7; 100]);
    }
}

#[tokio::test]
async fn fs_o2_a_list_that_lies_costs_no_row() {
    for ordered in [false, true] {
        let scene = Scene::new(ordered, 20).await;
        for lie in [Lie::ListsNothing, Lie::ListsPartly, Lie::ListsTwice, Lie::ListsPhantoms] {
            for report in scene.survives(lie).await {
                let report = report.unwrap();
                assert_eq!((report.missing_blobs, &report.halted), (0, &None), "{lie:?}: {report:?}");
            }
        }
        scene.end().await;
    }
}

#[tokio::test]
async fn fs_o2_a_provider_that_breaks_off_or_is_down_costs_no_row() {
    for ordered in [false, true] {
        let scene = Scene::new(ordered, 20).await;
        for lie in [Lie::BreaksOff, Lie::Down] {
            for report in scene.survives(lie).await {
                report.unwrap_err();
            }
        }
        for report in scene.survives(Lie::TakesNothing).await {
            let halted = report.unwrap().halted.unwrap();
            assert!(halted.contains("is not healthy"), "{halted}");
        }
        scene.end().await;
    }
}

#[tokio::test]
async fn fs_o2_a_provider_that_hides_its_blobs_costs_no_row() {
    for ordered in [false, true] {
        let scene = Scene::new(ordered, 20).await;
        for report in scene.survives(Lie::HidesAll).await {
            let report = report.unwrap();
            if ordered {
                // The list has them, which is believed.
                assert_eq!(report.missing_blobs, 0, "{report:?}");
                continue;
            }
            assert_eq!((report.missing_blobs, report.missing.len()), (20, 20), "{report:?}");
            assert!(report.halted.unwrap().contains("20 of 20 files"));
        }
        scene.end().await;
    }
}

#[tokio::test]
async fn fs_o2_one_hidden_blob_is_named_and_its_row_stays_until_it_was_missing_twice() {
    let scene = Scene::new(false, 200).await;
    // Hidden, there again, hidden: each time anew.
    for lie in [Lie::HidesOne, Lie::None, Lie::HidesOne, Lie::None] {
        scene.say(lie);
        let report = scene.upkeep.cleanup(true).await.unwrap();
        let missing = u64::from(lie == Lie::HidesOne);
        assert_eq!((report.missing_blobs, report.deleted_rows), (missing, 0), "{report:?}");
        assert_eq!(report.missing.len() as u64, missing);
        assert!(report.missing.iter().all(|one| one.bucket == scene.docs && one.provider == "local"));
    }
    scene.fixture.audit().await;
    scene.end().await;
}

#[tokio::test]
async fn fs_o1_what_another_database_knows_is_no_orphan() {
    let (other, scene) = (Scene::new(true, 130).await, Scene::new(true, 10).await);
    let blobs = scene.takes_blobs_of(&other).await;
    for _ in 0..3 {
        let report = scene.upkeep.cleanup(true).await.unwrap();
        assert_eq!((report.deleted_blobs, report.deleted_rows), (0, 0), "{report:?}");
        assert!(report.halted.unwrap().contains("another database's"));
        assert_eq!((report.orphan_blobs, report.orphans.len()), (130, 100), "it says what it left alone");
    }
    assert_eq!(scene.blobs().await.len(), 140);
    // As many as a crash may leave are orphans.
    for blob in &blobs[..30] {
        scene.below.delete(&blob.key).await.unwrap();
    }
    let report = scene.upkeep.cleanup(true).await.unwrap();
    assert_eq!((report.deleted_blobs, report.halted), (100, None));
    scene.fixture.audit().await;
    scene.end().await;
    other.end().await;
}

#[tokio::test]
async fn fs_o1_what_crashes_left_in_a_place_of_ours_goes_however_much_it_is() {
    let other = Scene::new(true, 130).await;
    for times in [Lie::None, Lie::DatesBeginnings] {
        let scene = Scene::new(true, 10).await;
        scene.say(times);
        let grace = Duration::from_millis(200);
        let upkeep = scene.in_its_place(grace).await;
        scene.takes_blobs_of(&other).await;
        tokio::time::sleep(grace * 2).await;
        if times == Lie::DatesBeginnings {
            // How long they have been there in full, only a second look tells.
            let report = upkeep.cleanup(true).await.unwrap();
            assert_eq!((report.orphan_blobs, report.deleted_blobs, report.halted), (0, 0, None));
            tokio::time::sleep(grace).await;
        }
        // The database may be an old copy of itself: somebody hears of it before they go.
        let report = upkeep.cleanup(true).await.unwrap();
        assert_eq!((report.orphan_blobs, report.deleted_blobs, report.orphans.len()), (130, 0, 100));
        let halted = report.halted.unwrap();
        assert!(halted.contains("130 without an object were left for now"), "{halted}");
        assert_eq!(scene.blobs().await.len(), 140);

        let options = UpkeepOptions { interval: None, grace: Duration::ZERO, ..UpkeepOptions::default() };
        upkeep.reconfigure(options);
        let report = upkeep.cleanup(true).await.unwrap();
        assert_eq!((report.orphan_blobs, report.deleted_blobs, report.halted), (130, 130, None));
        assert_eq!(scene.blobs().await.len(), 10);
        upkeep.stop().await;
        scene.fixture.audit().await;
        scene.end().await;
    }
    other.end().await;
}

#[tokio::test]
async fn fs_o1_what_was_there_before_the_place_was_ours_is_no_orphan() {
    let other = Scene::new(true, 130).await;
    for times in [Lie::None, Lie::DatesBeginnings] {
        let scene = Scene::new(true, 10).await;
        scene.say(times);
        scene.takes_blobs_of(&other).await;
        // A file system's clock goes in steps.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let upkeep = scene.in_its_place(Duration::ZERO).await;
        let halts = async || {
            let report = upkeep.cleanup(true).await.unwrap();
            assert_eq!((report.orphan_blobs, report.deleted_blobs), (130, 0), "{report:?}");
            assert!(report.halted.unwrap().contains("another database's"));
        };
        halts().await;
        // Nor is anything where the place says no more whose it is, or that it is somebody else's.
        let directory = Directory::new(scene.fixture.dir.path().join("local"));
        std::fs::remove_file(directory.file()).unwrap();
        halts().await;
        directory.identify_anew(uuid::Uuid::from_u128(1)).unwrap();
        halts().await;
        upkeep.stop().await;
        scene.end().await;
    }
    other.end().await;
}
