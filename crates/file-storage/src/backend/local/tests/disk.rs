//! What only a disk can do: fill up, be shared, hold strange files, lack hard links.

use std::fs;
use std::process::Command;

use futures_util::TryStreamExt;

use super::LocalPlace;
use crate::backend::conformance::{Place, assert_nothing_left, bytes, chunked, get, key, listed, put};
use crate::backend::local::{Durability, LocalBackend, LocalOptions};
use crate::backend::{BackendError, StorageBackend};
use crate::failpoint;

/// A file system of 4 MiB, unmounted when dropped; `None` where we may not mount.
struct Tiny(tempfile::TempDir);

impl Tiny {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "aerostore-test"])
            .arg(folder.path())
            .output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(folder))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_leaves_nothing() {
    let Some(disk) = Tiny::mount() else {
        println!("skipped: needs the right to mount");
        return;
    };
    let backend = LocalBackend::open(LocalOptions::new(disk.0.path())).unwrap();
    let key_kept = put(&backend, &bytes(1_000_000, 1)).await;
    for size in [3_500_000, 5_000_000, 50_000_000] {
        let full = backend.write(&key(), chunked(&bytes(size, 2), 65_536), Some(size as u64)).await;
        assert!(matches!(full, Err(BackendError::DiskFull)), "{size}: {full:?}");
    }
    // The room is there again.
    let other = put(&backend, &bytes(2_500_000, 3)).await;
    assert_eq!(get(&backend, &key_kept, None).await, bytes(1_000_000, 1));
    assert_eq!(get(&backend, &other, None).await, bytes(2_500_000, 3));
    assert_eq!(listed(&backend).await.len(), 2);
    drop(backend);
}

#[tokio::test]
async fn a_blob_is_never_replaced() {
    let mut place = LocalPlace::new();
    let (first, second) = (bytes(1000, 1), bytes(2000, 2));
    let key = put(&*place.backend(), &first).await;
    place.quiet().await;
    let other = put(&*place.backend(), &second).await;
    place.quiet().await;
    let again = place.backend().write(&key, chunked(&second, 1000), None).await;
    assert!(matches!(again, Err(BackendError::Io { .. })));
    assert!(matches!(place.backend().copy(&other, &key).await, Err(BackendError::Io { .. })));
    assert_eq!(get(&*place.backend(), &key, None).await, first);
    place.restart().await;
    assert_eq!(place.backend().recover().await.unwrap(), []);
    assert_eq!(get(&*place.backend(), &key, None).await, first);
}

#[tokio::test]
async fn a_reader_keeps_reading_a_deleted_blob() {
    let place = LocalPlace::new();
    let content = bytes(5_000_000, 1);
    let key = put(&*place.backend(), &content).await;
    let read = place.backend().read(&key, None).await.unwrap();
    place.backend().delete(&key).await.unwrap();
    let chunks: Vec<bytes::Bytes> = read.try_collect().await.unwrap();
    assert_eq!(chunks.concat(), content);
}

#[tokio::test]
async fn a_file_that_shrinks_is_an_error_and_no_short_answer() {
    for cold in [false, true] {
        let place = LocalPlace::new();
        let key = put(&*place.backend(), &bytes(1_000_000, 1)).await;
        let read = place.backend().read(&key, None).await.unwrap();
        let file = fs::File::options().write(true).open(place.blob(&key)).unwrap();
        file.set_len(500_000).unwrap();
        if cold {
            place.make_cold(&key);
        }
        assert!(read.try_collect::<Vec<_>>().await.is_err(), "cold: {cold}");
    }
}

#[tokio::test]
async fn processes_share_a_root() {
    let mut place = LocalPlace::new();
    let other = LocalBackend::open(LocalOptions::new(place.path())).unwrap();
    let key = key();
    other.write(&key, chunked(&bytes(1000, 1), 1000), None).await.unwrap();
    // The other one lives: what it has in flight is its own.
    assert_eq!(place.backend().recover().await.unwrap(), []);
    place.restart().await;
    assert_eq!(place.backend().recover().await.unwrap(), []);
    drop(other);
    assert_eq!(place.backend().recover().await.unwrap(), std::slice::from_ref(&key));
    place.backend().settle(&key, false).await;
    assert_nothing_left(&mut place).await;
}

#[tokio::test]
async fn names_of_others_are_passed_over() {
    let mut place = LocalPlace::new();
    let key = put(&*place.backend(), &bytes(1000, 1)).await;
    let (blobs, staging) = (place.path().join("blobs"), place.path().join("staging"));
    fs::write(blobs.join("lost+found"), "x").unwrap();
    fs::create_dir_all(blobs.join("a/b/c")).unwrap();
    fs::write(place.blob(&key).with_extension("tmp"), "x").unwrap();
    fs::create_dir(staging.join("strange")).unwrap();
    fs::write(staging.join("file.lock"), "x").unwrap();
    // A folder whose lock was lost to a power failure, with a file that is not ours.
    let folder = staging.join(uuid::Uuid::now_v7().to_string());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("notes"), "x").unwrap();
    place.restart().await;
    assert_eq!(place.backend().recover().await.unwrap(), []);
    assert_eq!(listed(&*place.backend()).await.len(), 1);
    assert_eq!(fs::read(folder.join("notes")).unwrap(), b"x");
}

/// Where there are no links, a mark file stands in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_links_a_rename_and_a_mark_do_the_same() {
    let mut place = LocalPlace::new();
    let no_links = failpoint::arm(place.path(), "local.publish.hard_link", failpoint::Action::Unsupported);
    let no_copies = failpoint::arm(place.path(), "local.copy.link", failpoint::Action::Unsupported);
    let content = bytes(3_000_000, 1);
    let (written, copied, settled) = (key(), key(), put(&*place.backend(), &content).await);
    place.backend().write(&written, chunked(&content, 65_536), None).await.unwrap();
    place.backend().copy(&written, &copied).await.unwrap();
    place.quiet().await;
    assert!(place.staged().iter().all(|name| name.ends_with(".mark")));
    assert_eq!(place.staged().len(), 2);

    place.restart().await;
    let mut found = place.backend().recover().await.unwrap();
    found.sort();
    let mut expected = vec![written.clone(), copied.clone()];
    expected.sort();
    assert_eq!(found, expected);
    place.backend().settle(&written, false).await;
    place.backend().settle(&copied, true).await;
    place.quiet().await;
    assert_eq!(place.staged(), Vec::<String>::new());
    assert!(!place.backend().exists(&written).await.unwrap());
    assert_eq!(get(&*place.backend(), &copied, None).await, content);
    for key in [&copied, &settled] {
        place.backend().delete(key).await.unwrap();
    }

    // And a crash between the mark and the rename.
    let cut = failpoint::arm(place.path(), "local.publish.rename", failpoint::Action::Io);
    let cleanup = failpoint::arm(place.path(), "local.unmark", failpoint::Action::Io);
    place.backend().write(&key(), chunked(&content, 65_536), None).await.unwrap_err();
    assert_eq!(place.staged().len(), 2);
    place.restart().await;
    drop((cut, cleanup, no_links, no_copies));
    assert_eq!(place.backend().recover().await.unwrap(), []);
    assert_eq!(place.staged(), Vec::<String>::new());
    assert_nothing_left(&mut place).await;
}

#[tokio::test]
async fn relaxed_stores_the_same() {
    let root = tempfile::tempdir().unwrap();
    let options = LocalOptions { durability: Durability::Relaxed, ..LocalOptions::new(root.path()) };
    let backend = LocalBackend::open(options).unwrap();
    let content = bytes(40_000_000, 1);
    let key = put(&backend, &content).await;
    assert_eq!(get(&backend, &key, None).await, content);
}
