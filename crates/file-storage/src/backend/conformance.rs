//! What holds for every backend, and every decorator of one: the promises on [`StorageBackend`], as tests.
//!
//! A backend's tests implement [`Place`] and say `conformance_suite!(place)`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use uuid::Uuid;

use super::{BackendError, StorageBackend};
use crate::StorageError;
use crate::body::{self, ByteStream};
use crate::file::{BlobKey, Sha256};

/// Where a backend keeps its blobs, for one test alone.
#[async_trait]
pub(crate) trait Place: Send {
    /// The backend that is open there.
    fn backend(&self) -> Arc<dyn StorageBackend>;

    /// Waits until everything is done that goes on behind finished and dropped calls.
    async fn quiet(&self);

    /// Ends the backend as a crash does, with all its memory, and opens another one on the same blobs.
    async fn restart(&mut self);

    /// Whether what is not settled has a mark. Without one, a crash leaves it to be listed: to the orphan job.
    fn has_marks(&self) -> bool;
}

/// One test for each promise; `$place` is an expression that makes a [`Place`].
macro_rules! conformance_suite {
    ($place:expr) => {
        $crate::backend::conformance::conformance_suite! { @cases $place =>
            reads_what_was_written takes_any_chunking does_not_trust_the_size_hint reads_ranges
            refuses_ranges_outside_the_blob says_what_is_missing deletes leaves_nothing_of_a_failed_body
            leaves_nothing_of_a_dropped_write deletes_what_is_not_kept recovers_what_was_not_settled
            copies lists_every_blob_once writes_side_by_side probes_and_leaves_nothing
        }
    };
    (@cases $place:expr => $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let mut place = $place;
                $crate::backend::conformance::$case(&mut place).await;
            }
        )*
    };
}
pub(crate) use conformance_suite;

/// Sizes around every boundary that a backend may have: nothing, one, powers of two up to a few MiB.
const SIZES: [usize; 13] = [
    0, 1, 1000, 16_384, 65_535, 65_536, 65_537, 262_144, 1_048_575, 1_048_576, 1_048_577, 3_000_000,
    9_437_184,
];

/// A name that is free.
pub(crate) fn key() -> BlobKey {
    BlobKey::new(Uuid::from_u128(1))
}

/// Bytes that differ from place to place, and with the seed.
pub(crate) fn bytes(size: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    });
    words.flatten().take(size).collect()
}

/// A body of chunks of that size.
pub(crate) fn chunked(bytes: &Bytes, chunk: usize) -> ByteStream {
    let bytes = bytes.clone();
    let starts = (0..bytes.len()).step_by(chunk);
    let chunks: Vec<_> = starts.map(|at| Ok(bytes.slice(at..bytes.len().min(at + chunk)))).collect();
    stream::iter(chunks).boxed()
}

/// Writes and settles a blob.
pub(crate) async fn put(backend: &dyn StorageBackend, content: &Bytes) -> BlobKey {
    let key = key();
    backend.write(&key, chunked(content, 65_536), Some(content.len() as u64)).await.unwrap();
    backend.settle(&key, true).await;
    key
}

/// All of a blob, or of a range of it.
pub(crate) async fn get(
    backend: &dyn StorageBackend,
    key: &BlobKey,
    range: Option<std::ops::Range<u64>>,
) -> Bytes {
    let chunks: Vec<Bytes> = backend.read(key, range).await.unwrap().try_collect().await.unwrap();
    chunks.concat().into()
}

/// What the backend lists: names and sizes.
pub(crate) async fn listed(backend: &dyn StorageBackend) -> BTreeMap<String, u64> {
    let infos: Vec<_> = backend.list().try_collect().await.unwrap();
    let names: BTreeMap<_, _> = infos.iter().map(|info| (info.key.to_string(), info.size)).collect();
    assert_eq!(names.len(), infos.len(), "a blob was listed twice");
    names
}

/// Nothing is there, neither visible nor to be recovered.
pub(crate) async fn assert_nothing_left(place: &mut dyn Place) {
    place.quiet().await;
    assert_eq!(listed(&*place.backend()).await, BTreeMap::new());
    place.restart().await;
    assert_eq!(place.backend().recover().await.unwrap(), []);
    assert_eq!(listed(&*place.backend()).await, BTreeMap::new());
}

pub(crate) async fn reads_what_was_written(place: &mut dyn Place) {
    for size in SIZES {
        let (key, content) = (key(), bytes(size, size as u64));
        let written =
            place.backend().write(&key, chunked(&content, 50_000), Some(size as u64)).await.unwrap();
        assert_eq!(written.size, size as u64);
        assert_eq!(written.sha256, Sha256::of(&content), "digest of {size} bytes");
        place.backend().settle(&key, true).await;
        for time in ["at once", "after a restart"] {
            assert_eq!(get(&*place.backend(), &key, None).await, content, "{size} bytes {time}");
            assert_eq!(place.backend().size(&key).await.unwrap(), Some(size as u64));
            assert!(place.backend().exists(&key).await.unwrap());
            place.restart().await;
        }
    }
}

pub(crate) async fn takes_any_chunking(place: &mut dyn Place) {
    let content = bytes(200_000, 1);
    for chunk in [1, 7, 4095, 4096, 4097, 200_000] {
        let key = key();
        let written = place.backend().write(&key, chunked(&content, chunk), None).await.unwrap();
        assert_eq!(written.sha256, Sha256::of(&content), "chunks of {chunk}");
        assert_eq!(get(&*place.backend(), &key, None).await, content, "chunks of {chunk}");
    }
}

pub(crate) async fn does_not_trust_the_size_hint(place: &mut dyn Place) {
    let content = bytes(3_000_000, 1);
    for hint in [None, Some(0), Some(1), Some(2_999_999), Some(3_000_001), Some(8_000_000), Some(u64::MAX)] {
        let key = key();
        let written = place.backend().write(&key, chunked(&content, 65_536), hint).await.unwrap();
        assert_eq!(written.size, 3_000_000, "hint {hint:?}");
        assert_eq!(place.backend().size(&key).await.unwrap(), Some(3_000_000), "hint {hint:?}");
        assert_eq!(get(&*place.backend(), &key, None).await, content, "hint {hint:?}");
    }
}

pub(crate) async fn reads_ranges(place: &mut dyn Place) {
    let content = bytes(2_000_000, 1);
    let key = put(&*place.backend(), &content).await;
    let ends = [0, 1, 4095, 4096, 65_537, 1_048_576, 1_999_999, 2_000_000];
    for start in ends {
        for end in ends.into_iter().filter(|end| *end >= start) {
            let read = get(&*place.backend(), &key, Some(start..end)).await;
            assert_eq!(read, content.slice(start as usize..end as usize), "{start}..{end}");
        }
    }
}

pub(crate) async fn refuses_ranges_outside_the_blob(place: &mut dyn Place) {
    let key = put(&*place.backend(), &bytes(100, 1)).await;
    let (start, end) = (60, 40);
    for range in [0..101, 100..101, 101..101, 200..300, start..end, 0..u64::MAX] {
        let refused = match place.backend().read(&key, Some(range.clone())).await {
            Ok(stream) => stream.try_collect::<Vec<_>>().await.is_err(),
            Err(error) => matches!(error, BackendError::Io { .. }),
        };
        assert!(refused, "{range:?}");
    }
}

pub(crate) async fn says_what_is_missing(place: &mut dyn Place) {
    let backend = place.backend();
    let missing = key();
    assert!(matches!(backend.read(&missing, None).await.err(), Some(BackendError::NotFound)));
    assert!(matches!(backend.read(&missing, Some(0..1)).await.err(), Some(BackendError::NotFound)));
    assert!(matches!(backend.copy(&missing, &key()).await, Err(BackendError::NotFound)));
    assert_eq!(backend.size(&missing).await.unwrap(), None);
    assert!(!backend.exists(&missing).await.unwrap());
    backend.delete(&missing).await.unwrap();
    drop(backend);
    assert_nothing_left(place).await;
}

pub(crate) async fn deletes(place: &mut dyn Place) {
    let key = put(&*place.backend(), &bytes(100_000, 1)).await;
    for _ in 0..2 {
        place.backend().delete(&key).await.unwrap();
        assert!(matches!(place.backend().read(&key, None).await.err(), Some(BackendError::NotFound)));
        assert!(!place.backend().exists(&key).await.unwrap());
    }
    assert_nothing_left(place).await;
}

pub(crate) async fn leaves_nothing_of_a_failed_body(place: &mut dyn Place) {
    let broken = || StorageError::BodyInterrupted { reason: "hung up".into() };
    for size in SIZES {
        let failing = chunked(&bytes(size, 1), 65_536).chain(stream::iter([Err(broken())])).boxed();
        let failed = place.backend().write(&key(), failing, None).await;
        let Err(BackendError::Body(cause)) = failed else { panic!("{failed:?} after {size} bytes") };
        assert!(matches!(*cause, StorageError::BodyInterrupted { .. }));
        assert_eq!(listed(&*place.backend()).await, BTreeMap::new());
    }
    assert_nothing_left(place).await;
}

pub(crate) async fn leaves_nothing_of_a_dropped_write(place: &mut dyn Place) {
    for size in SIZES {
        let (backend, key) = (place.backend(), key());
        // A client that sends so much and then nothing more, neither bytes nor an end. The body says when it
        // has been read that far, and then the upload is dropped.
        let (sent, waits) = tokio::sync::oneshot::channel::<()>();
        let stalls = stream::once(async move {
            let _ = sent.send(());
            future::pending().await
        });
        let body = chunked(&bytes(size, 1), 65_536).chain(stalls).boxed();
        let mut write = Box::pin(backend.write(&key, body, Some(size as u64 + 1)));
        tokio::select! {
            ended = &mut write => panic!("{ended:?}"),
            _ = waits => {}
        }
        drop(write);
    }
    assert_nothing_left(place).await;
}

pub(crate) async fn deletes_what_is_not_kept(place: &mut dyn Place) {
    let backend = place.backend();
    let (written, copied) = (key(), key());
    backend.write(&written, body::from_bytes(bytes(100_000, 1)), None).await.unwrap();
    backend.copy(&written, &copied).await.unwrap();
    for key in [written, copied] {
        backend.settle(&key, false).await;
        assert!(!backend.exists(&key).await.unwrap());
    }
    drop(backend);
    assert_nothing_left(place).await;
}

pub(crate) async fn recovers_what_was_not_settled(place: &mut dyn Place) {
    let content = bytes(100_000, 1);
    let settled = put(&*place.backend(), &content).await;
    let (kept, refused, copied) = (key(), key(), key());
    for key in [&kept, &refused] {
        place.backend().write(key, body::from_bytes(content.clone()), None).await.unwrap();
    }
    place.backend().copy(&settled, &copied).await.unwrap();
    place.quiet().await;
    if !place.has_marks() {
        return leaves_what_was_not_settled_to_be_listed(place, [&settled, &kept, &refused, &copied]).await;
    }

    // Twice: a second crash, before anything was settled, forgets nothing.
    for _ in 0..2 {
        place.restart().await;
        for _ in 0..2 {
            let mut found = place.backend().recover().await.unwrap();
            found.sort();
            let mut expected = vec![kept.clone(), refused.clone(), copied.clone()];
            expected.sort();
            assert_eq!(found, expected);
        }
    }
    for (key, is_kept) in [(&kept, true), (&refused, false), (&copied, true)] {
        place.backend().settle(key, is_kept).await;
    }
    place.quiet().await;
    assert_eq!(place.backend().recover().await.unwrap(), []);
    place.restart().await;
    assert_eq!(place.backend().recover().await.unwrap(), []);
    for (key, expected) in [(&settled, true), (&kept, true), (&refused, false), (&copied, true)] {
        assert_eq!(place.backend().exists(key).await.unwrap(), expected);
    }
    assert_eq!(get(&*place.backend(), &copied, None).await, content);
}

/// Without marks: a start gives up nothing that a row may know, and forgets nothing that the orphan job must find.
async fn leaves_what_was_not_settled_to_be_listed(place: &mut dyn Place, blobs: [&BlobKey; 4]) {
    place.restart().await;
    assert_eq!(place.backend().recover().await.unwrap(), []);
    let expected: BTreeMap<String, u64> = blobs.map(|key| (key.to_string(), 100_000)).into();
    assert_eq!(listed(&*place.backend()).await, expected);
    place.backend().settle(blobs[2], false).await;
    assert!(!place.backend().exists(blobs[2]).await.unwrap());
}

pub(crate) async fn copies(place: &mut dyn Place) {
    for size in [0, 1000, 3_000_000] {
        let backend = place.backend();
        let content = bytes(size, 1);
        let (source, copy, second) = (put(&*backend, &content).await, key(), key());
        backend.copy(&source, &copy).await.unwrap();
        backend.settle(&copy, true).await;
        backend.delete(&source).await.unwrap();
        assert_eq!(get(&*backend, &copy, None).await, content, "the copy outlives its source");
        backend.copy(&copy, &second).await.unwrap();
        backend.settle(&second, false).await;
        assert_eq!(get(&*backend, &copy, None).await, content, "the source outlives its copy");
        assert_eq!(backend.size(&copy).await.unwrap(), Some(size as u64));
        backend.delete(&copy).await.unwrap();
    }
    assert_nothing_left(place).await;
}

pub(crate) async fn lists_every_blob_once(place: &mut dyn Place) {
    let backend = place.backend();
    let before = chrono::Utc::now() - chrono::TimeDelta::minutes(1);
    let mut expected = BTreeMap::new();
    for size in 0..600_usize {
        let key = BlobKey::new(Uuid::from_u128(size as u128 % 3));
        backend.write(&key, body::from_bytes(bytes(size, 1)), Some(size as u64)).await.unwrap();
        expected.insert(key.to_string(), size as u64);
    }
    assert_eq!(listed(&*backend).await, expected);
    let infos: Vec<_> = backend.list().try_collect().await.unwrap();
    let after = chrono::Utc::now() + chrono::TimeDelta::minutes(1);
    let modified = infos.iter().map(|info| info.modified.unwrap());
    assert!(modified.into_iter().all(|modified| before < modified && modified < after));
    if backend.lists_in_order() {
        assert!(infos.is_sorted_by(|one, other| one.key < other.key));
    }
    // A reader that stops early costs nobody anything.
    assert!(backend.list().next().await.unwrap().is_ok());
}

pub(crate) async fn writes_side_by_side(place: &mut dyn Place) {
    let writers = (0..40_u64).map(|seed| {
        let backend = place.backend();
        tokio::spawn(async move {
            let content = bytes(40_000 * seed as usize, seed);
            let key = put(&*backend, &content).await;
            assert_eq!(get(&*backend, &key, None).await, content);
            key
        })
    });
    let keys = future::try_join_all(writers).await.unwrap();
    for (seed, key) in keys.iter().enumerate() {
        assert_eq!(get(&*place.backend(), key, None).await, bytes(40_000 * seed, seed as u64));
    }
}

pub(crate) async fn probes_and_leaves_nothing(place: &mut dyn Place) {
    // Several servers look at a store at once.
    let backend = place.backend();
    let all = future::join_all((0..8).map(|_| backend.probe())).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_nothing_left(place).await;
}
