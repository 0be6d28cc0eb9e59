//! Failure at every step of every write: each named point that an operation meets is made to fail in turn, once as
//! on a broken disk and once as on a full one. Then the operation has happened wholly or not at all (FS-I2),
//! nothing is left behind, and the storage goes on working.
#![cfg(feature = "failpoints")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod support;

use std::collections::BTreeMap;

use file_storage::errors::StorageError;
use file_storage::executor::{Entry, Listing, ObjectSort, PageStart, SortOrder};
use file_storage::failpoint::{self, Action};
use file_storage::file::PutMode;
use file_storage::storage::CopyOptions;
use file_storage::{BucketName, BucketPolicy};
use support::{Fixture, path, user};

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
}

const WRITES: [Write; 6] =
    [Write::Upload, Write::Overwrite, Write::Delete, Write::Copy, Write::Move, Write::MoveToOtherBucket];

type Files = BTreeMap<String, Vec<u8>>;

struct Scene {
    fixture: Fixture,
    docs: BucketName,
    other: BucketName,
    size: usize,
}

impl Scene {
    /// Two buckets, and a file in one of them.
    async fn new(size: usize) -> Self {
        let fixture = Fixture::new().await;
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
            Write::Delete => storage.delete(&user(1), from.0, from.1).await.map(|_| ()),
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

    async fn files(&self) -> Files {
        let mut files = Files::new();
        for bucket in [&self.docs, &self.other] {
            let listing = Listing {
                prefix: String::new(),
                delimiter: false,
                search: String::new(),
                collation: Default::default(),
                sort: (ObjectSort::Name, SortOrder::Ascending),
                limit: 100,
                start: PageStart::First,
            };
            let page = self.fixture.storage.list(&user(1), bucket, &listing).await.unwrap();
            for name in page.entries.iter().map(Entry::path) {
                let bytes = self.fixture.get(&user(1), (bucket, &path(name))).await.unwrap();
                files.insert(format!("{bucket}/{name}"), bytes);
            }
        }
        files
    }
}

/// What the files are before and after a write that nothing disturbs, and the points that it meets.
async fn undisturbed(write: Write, size: usize) -> (Files, Files, Vec<&'static str>) {
    let scene = Scene::new(size).await;
    let before = scene.files().await;
    let recording = failpoint::record(scene.fixture.dir.path());
    scene.run(write).await.unwrap();
    let mut points = recording.names();
    points.sort_unstable();
    points.dedup();
    (before, scene.files().await, points)
}

async fn check(
    write: Write,
    size: usize,
    point: &'static str,
    action: Action,
    before: &Files,
    after: &Files,
) {
    let scene = Scene::new(size).await;
    let what = format!("{write:?} of {size} bytes, {action:?} at {point}");
    let armed = failpoint::arm(scene.fixture.dir.path(), point, action);
    let outcome = scene.run(write).await;
    drop(armed);
    let now = scene.files().await;
    match &outcome {
        Ok(()) => assert_eq!(now, *after, "{what}: answered as done"),
        Err(error) => {
            let code = error.code();
            assert!(
                ["DISK_FULL", "IO_ERROR", "INTERNAL", "PROVIDER_UNAVAILABLE"].contains(&code),
                "{what}: {error:?}"
            );
            assert_eq!(now, *before, "{what}: refused with {error}");
        }
    }
    // It goes on working, and nothing is left: neither at once nor after a start.
    scene.put("later", PutMode::Create, 3).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let Scene { fixture, .. } = scene;
    let fixture = fixture.crash_and_reopen().await;
    fixture.audit().await;
}

#[tokio::test]
async fn fs_i2_a_write_that_fails_anywhere_happens_wholly_or_not_at_all() {
    let mut checked = 0;
    for write in WRITES {
        for size in SIZES {
            let (before, after, points) = undisturbed(write, size).await;
            assert!(!points.is_empty(), "{write:?} meets no point");
            for point in points {
                for action in [Action::Io, Action::DiskFull] {
                    check(write, size, point, action, &before, &after).await;
                    checked += 1;
                }
            }
        }
    }
    eprintln!("{checked} failures injected");
}
