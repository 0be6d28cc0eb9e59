//! Failure at every step of every write: each named point that an operation meets is made to fail in turn, as on a
//! broken disk and as on a full one, for good and each single time that it is met. Then the operation has happened
//! wholly or not at all (FS-I2), nothing is left behind, and the storage goes on working. With the metadata in
//! PostgreSQL, its connection breaks: before a statement, before the COMMIT, and after it, before the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::{Fixture, TestDatabase, chunked, everything, path, service, user};
use file_storage::digests::Wanted;
use file_storage::errors::StorageError;
use file_storage::executor::Entry;
use file_storage::failpoint::{self, Action, Armed};
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::multipart::{ListedPart, MultipartUpload, NewResumable, Part, UploadAt};
use file_storage::storage::{CompleteOptions, CopyOptions, MultipartOptions, PartBody, Uploader};
use file_storage::{BucketName, BucketPolicy};

/// Bytes that go to the disk, and bytes that go into the database.
const SIZES: [usize; 2] = [3000, 10];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Write {
    Upload,
    Overwrite,
    Delete,
    Copy,
    Move,
    MoveToOtherBucket,
    Multipart,
    Abort,
    Append,
}

/// Where what was done stays so, though nobody is told.
const DONE: &str = "postgres.before_answer";

/// Met now and then, and met behind the answer.
const NOT_EACH_TIME: [&str; 2] = ["sqlite.room", "local.unmark"];

type Files = BTreeMap<String, Vec<u8>>;

struct Scene {
    fixture: Fixture,
    docs: BucketName,
    other: BucketName,
    size: usize,
}

impl Scene {
    /// Two buckets, and a file in one of them, on an empty disk; what the scene before has left of it goes on.
    async fn new(size: usize, left: Option<Fixture>) -> Self {
        let fixture = match left {
            Some(left) => left.on_an_empty_disk().await,
            None => Fixture::new().await,
        };
        let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
        let other = fixture.bucket(&user(1), "other", BucketPolicy::Private).await;
        let scene = Self { fixture, docs, other, size };
        scene.put("old", PutMode::Create, 1).await.unwrap();
        scene
    }

    async fn put(&self, name: &str, mode: PutMode, byte: u8) -> Result<(), StorageError> {
        let bytes = vec![byte; self.size];
        self.fixture.put(&user(1), (&self.docs, &path(name)), mode, &bytes).await.map(|_| ())
    }

    async fn run(&self, write: Write) -> Result<(), StorageError> {
        let storage = &self.fixture.storage;
        let (old, new) = (path("old"), path("new"));
        let from = (&self.docs, &old);
        match write {
            Write::Upload => self.put("new", PutMode::Create, 2).await,
            Write::Overwrite => self.put("old", PutMode::Upsert, 2).await,
            Write::Multipart => self.multipart().await,
            Write::Abort => self.abort().await,
            Write::Append => self.append().await,
            Write::Delete => storage.delete(&user(1), from.0, from.1, None).await.map(|_| ()),
            Write::Copy => {
                let to = (&self.docs, &new);
                let copied = storage.copy(&user(1), from, to, PutMode::Create, CopyOptions::default()).await;
                copied.map(|_| ())
            }
            Write::Move => {
                let moved = storage.move_object(&user(1), from, (&self.docs, &new), PutMode::Create).await;
                moved.map(|_| ())
            }
            Write::MoveToOtherBucket => {
                let moved = storage.move_object(&user(1), from, (&self.other, &new), PutMode::Create).await;
                moved.map(|_| ())
            }
        }
    }

    /// An upload in parts, one of which is sent twice.
    async fn multipart(&self) -> Result<(), StorageError> {
        let storage = &self.fixture.storage;
        let upload = self.begin().await?;
        self.part(&upload.at, 1, 7).await?;
        let parts = [self.part(&upload.at, 1, 2).await?, self.part(&upload.at, 2, 3).await?];
        let listed = parts.map(|part| ListedPart {
            number: part.number,
            etag: Some(part.etag),
            checksums: Default::default(),
        });
        let options = CompleteOptions::default();
        storage.complete_multipart(&user(1), &upload.at, listed.to_vec(), options).await.map(drop)
    }

    /// An upload in parts that is given up.
    async fn abort(&self) -> Result<(), StorageError> {
        let upload = self.begin().await?;
        self.part(&upload.at, 1, 2).await?;
        self.fixture.storage.abort_multipart(&user(1), &upload.at).await
    }

    async fn begin(&self) -> Result<MultipartUpload, StorageError> {
        let (at, new) = (&self.docs, path("new"));
        let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
        let options = MultipartOptions::default();
        let storage = &self.fixture.storage;
        storage.create_multipart(&user(1), (at, &new), PutMode::Create, attributes, options).await
    }

    async fn part(&self, at: &UploadAt, number: u32, byte: u8) -> Result<Part, StorageError> {
        self.fixture.storage.upload_part(&user(1), at, number, self.body(byte)).await
    }

    fn body(&self, byte: u8) -> PartBody {
        let bytes = vec![byte; self.size];
        PartBody { bytes: chunked(&bytes), length: Some(self.size as u64), wanted: Wanted::default() }
    }

    /// An upload that is appended to, by three requests.
    async fn append(&self) -> Result<(), StorageError> {
        let storage = &self.fixture.storage;
        let me = user(1);
        let caller = Uploader::Caller(&me);
        let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
        let size = self.size as u64;
        let new = NewResumable { length: Some(3 * size), ..NewResumable::default() };
        let place = (&self.docs, &path("new"));
        let begun = storage.create_resumable(&caller, place, PutMode::Create, attributes, new).await?;
        for number in 0..3 {
            let at = &begun.upload.at;
            storage.append_resumable(&caller, at, number * size, None, self.body(number as u8)).await?;
        }
        Ok(())
    }

    async fn files(&self) -> Files {
        let mut files = Files::new();
        for bucket in [&self.docs, &self.other] {
            let listing = everything();
            let page = self.fixture.storage.list(&user(1), bucket, &listing).await.unwrap();
            for name in page.entries.iter().map(Entry::path) {
                let bytes = self.fixture.get(&user(1), (bucket, &path(name))).await.unwrap();
                files.insert(format!("{bucket}/{name}"), bytes);
            }
        }
        files
    }

    /// Leaves the database as it was, if that is PostgreSQL, which takes its time to be set up.
    async fn leave(self) -> Option<Fixture> {
        for bucket in [&self.docs, &self.other] {
            self.fixture.storage.delete_bucket(&service(), bucket, true).await.unwrap();
        }
        self.fixture.settle().await;
        self.fixture.database.is_some().then_some(self.fixture)
    }
}

/// A point that fails: always, or one of the times that it is met.
#[derive(Debug, Clone, Copy)]
struct Failure {
    point: &'static str,
    action: Action,
    nth: Option<u64>,
}

impl Failure {
    /// All there is to fail at points that were met so, repetitions included.
    fn all(met: &[&'static str]) -> Vec<Self> {
        let mut failures = Vec::new();
        for point in met.iter().copied().collect::<BTreeSet<_>>() {
            failures.extend([Action::Io, Action::DiskFull].map(|action| Self { point, action, nth: None }));
            let times = met.iter().filter(|other| **other == point).count() as u64;
            if times > 1 {
                failures.extend((1..=times).map(|nth| Self { point, action: Action::Io, nth: Some(nth) }));
            }
        }
        failures
    }

    fn arm(&self, under: &Path) -> Armed {
        match self.nth {
            Some(nth) => failpoint::arm_nth(under, self.point, self.action, nth),
            None => failpoint::arm(under, self.point, self.action),
        }
    }
}

/// What the files are before and after a write that nothing disturbs, and the points that it meets.
async fn undisturbed(write: Write, scene: &Scene) -> (Files, Files, Vec<&'static str>) {
    let before = scene.files().await;
    let recording = failpoint::record(scene.fixture.dir.path());
    scene.run(write).await.unwrap();
    let points = recording.names();
    (before, scene.files().await, points)
}

/// Whether it was done and not told; and the scene, started anew.
async fn check(
    write: Write,
    scene: Scene,
    failure: Failure,
    (before, after): (&Files, &Files),
) -> (bool, Scene) {
    let what = format!("{write:?} of {} bytes, {failure:?}", scene.size);
    let armed = failure.arm(scene.fixture.dir.path());
    let outcome = scene.run(write).await;
    // How often differs, as what goes on at once is committed together.
    assert!(armed.hits() > 0 || NOT_EACH_TIME.contains(&failure.point), "{what}: not met");
    drop(armed);
    let now = scene.files().await;
    let untold = outcome.is_err() && now == *after;
    match &outcome {
        Ok(()) => assert_eq!(now, *after, "{what}: answered as done"),
        Err(error) => {
            let code = error.code();
            assert!(
                ["DISK_FULL", "IO_ERROR", "INTERNAL", "PROVIDER_UNAVAILABLE"].contains(&code),
                "{what}: {error:?}"
            );
            let allowed = now == *before || untold && failure.point == DONE;
            assert!(allowed, "{what}: refused with {error}, and files are {:?}", now.keys());
        }
    }
    // It goes on working, and nothing is left: neither at once nor after a start.
    scene.put("later", PutMode::Create, 3).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let scene = Scene { fixture: scene.fixture.crash_and_reopen().await, ..scene };
    scene.fixture.audit().await;
    (untold, scene)
}

async fn fails_anywhere(write: Write) {
    let (mut checked, mut untold) = (0, 0);
    let mut left = None;
    for size in SIZES {
        let scene = Scene::new(size, left).await;
        let (before, after, met) = undisturbed(write, &scene).await;
        left = scene.leave().await;
        assert!(!met.is_empty(), "{write:?} meets no point");
        for failure in Failure::all(&met) {
            let scene = Scene::new(size, left).await;
            let (was_untold, scene) = check(write, scene, failure, (&before, &after)).await;
            left = scene.leave().await;
            untold += u32::from(was_untold);
            checked += 1;
        }
        // Where the files stay as they are, nobody can tell by them.
        if before != after {
            let has_a_network = met.contains(&DONE);
            assert_eq!(untold > 0, has_a_network, "what was done, and its answer lost");
        }
    }
    eprintln!("{write:?}: {checked} failures injected, of which {untold} after it was done");
}

#[tokio::test]
async fn fs_i2_an_upload_that_fails_anywhere_happens_wholly_or_not_at_all() {
    fails_anywhere(Write::Upload).await;
}

#[tokio::test]
async fn fs_i2_an_overwrite_that_fails_anywhere_happens_wholly_or_not_at_all() {
    fails_anywhere(Write::Overwrite).await;
}

#[tokio::test]
async fn fs_i2_a_delete_that_fails_anywhere_happens_wholly_or_not_at_all() {
    fails_anywhere(Write::Delete).await;
}

#[tokio::test]
async fn fs_i2_a_copy_that_fails_anywhere_happens_wholly_or_not_at_all() {
    fails_anywhere(Write::Copy).await;
}

#[tokio::test]
async fn fs_i2_a_move_that_fails_anywhere_happens_wholly_or_not_at_all() {
    fails_anywhere(Write::Move).await;
}

#[tokio::test]
async fn fs_i2_a_move_to_another_bucket_that_fails_anywhere_happens_wholly_or_not_at_all() {
    fails_anywhere(Write::MoveToOtherBucket).await;
}

#[tokio::test]
async fn fs_i2_an_upload_in_parts_that_fails_anywhere_happens_wholly_or_not_at_all() {
    fails_anywhere(Write::Multipart).await;
}

#[tokio::test]
async fn fs_i2_giving_an_upload_up_leaves_nothing_wherever_it_fails() {
    fails_anywhere(Write::Abort).await;
}

#[tokio::test]
async fn fs_i2_appends_that_fail_anywhere_happen_wholly_or_not_at_all() {
    fails_anywhere(Write::Append).await;
}

#[tokio::test]
async fn a_batch_fails_as_a_whole_where_the_database_does_not_answer() {
    // SQLite is in this process.
    if TestDatabase::if_asked_for().is_none() {
        return;
    }
    for size in SIZES {
        let scene = Scene::new(size, None).await;
        let (storage, me) = (&scene.fixture.storage, user(1));
        let mut batch = storage.begin_batch(&me, &scene.docs, PutMode::Create).await.unwrap();
        let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
        let armed = failpoint::arm(scene.fixture.dir.path(), "postgres.before_statements", Action::Io);
        let added = batch.add(path("a"), attributes, chunked(&vec![1; size])).await;
        let outcome = match added {
            Ok(()) => batch.finish().await.map(drop),
            Err(error) => Err(error),
        };
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.code(), error.to_string()),
            ("PROVIDER_UNAVAILABLE", "The database is unavailable".into())
        );
        drop(armed);
        scene.fixture.audit().await;
        assert_eq!(scene.files().await.len(), 1, "the one that was there before");
    }
}
