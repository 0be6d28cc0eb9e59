//! Batches whose database fails: at each step of the transaction, at its commit, and behind it. Then all files of a batch are there or
//! none (FS-I2), nothing is left behind, and the batch comes when it is sent again.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Fixture, INLINE, chunked, everything, path, service, user};
use file_storage::errors::StorageError;
use file_storage::executor::{Entry, Listing};
use file_storage::failpoint::{self, Action};
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::{BucketName, BucketPolicy};

/// Files of a batch: more than are let in together, and in rows as on the disk.
const FILES: usize = 300;

/// Where the transaction is over, and nobody is told.
const DONE: &str = "postgres.before_answer";

/// Where each transaction that writes ends. It can't be taken for done that failed there.
const COMMITS: [&str; 2] = ["sqlite.commit", "postgres.before_commit"];

fn name(file: usize) -> String {
    format!("in/{file:03}")
}

fn content(file: usize) -> Vec<u8> {
    let size = if file.is_multiple_of(20) { 40 * INLINE } else { 10 };
    format!("{file:03};").into_bytes().into_iter().cycle().take(size).collect()
}

/// Sends all of it.
async fn send(fixture: &Fixture, docs: &BucketName, mode: PutMode) -> Result<(), StorageError> {
    let mut batch = fixture.storage.begin_batch(&user(1), docs, mode).await?;
    for file in 0..FILES {
        let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
        batch.add(path(&name(file)), attributes, chunked(&content(file))).await?;
    }
    for item in batch.finish().await? {
        item.outcome?;
    }
    Ok(())
}

/// Whether all of it is there; else none is.
async fn is_there(fixture: &Fixture, docs: &BucketName, what: &str) -> bool {
    let listing = Listing { limit: 1000, ..everything() };
    let page = fixture.storage.list(&user(1), docs, &listing).await.unwrap();
    let there: BTreeSet<_> = page.entries.iter().map(|entry| Entry::path(entry).to_owned()).collect();
    if there.is_empty() {
        return false;
    }
    let wanted: BTreeSet<_> = (0..FILES).map(name).collect();
    assert_eq!(there, wanted, "{what}: {} files are there", there.len());
    for file in [0, 1, FILES - 1] {
        let bytes = fixture.get(&user(1), (docs, &path(&name(file)))).await.unwrap();
        assert_eq!(bytes, content(file), "{what}: {}", name(file));
    }
    true
}

/// The points of the database that a batch meets which nothing disturbs, and how often.
async fn points(fixture: &Fixture, docs: &BucketName) -> BTreeMap<&'static str, u64> {
    let recording = failpoint::record(fixture.dir.path());
    send(fixture, docs, PutMode::Create).await.unwrap();
    let mut met = BTreeMap::new();
    for name in recording.names() {
        if name.starts_with("sqlite.") || name.starts_with("postgres.") {
            *met.entry(name).or_default() += 1;
        }
    }
    // Met now and then.
    met.remove("sqlite.room");
    assert!(is_there(fixture, docs, "undisturbed").await);
    met
}

/// Fails a batch at a point, each time or once, and says whether the batch failed and whether it is there. In the end it is not.
async fn failed_at(
    fixture: &Fixture,
    docs: &BucketName,
    (point, nth, action): (&'static str, Option<u64>, Action),
) -> (bool, bool) {
    let what = format!("{point}, {nth:?}, {action:?}");
    let under = fixture.dir.path();
    let armed = match nth {
        Some(nth) => failpoint::arm_nth(under, point, action, nth),
        None => failpoint::arm(under, point, action),
    };
    let outcome = send(fixture, docs, PutMode::Create).await;
    assert!(armed.hits() > 0, "{what}: not met");
    drop(armed);
    let is_there = is_there(fixture, docs, &what).await;
    match &outcome {
        Ok(()) => assert!(is_there, "{what}: answered as done"),
        Err(error) => {
            let known = ["DISK_FULL", "IO_ERROR", "INTERNAL", "PROVIDER_UNAVAILABLE"];
            assert!(known.contains(&error.code()), "{what}: {error:?}");
            assert!(!is_there || point == DONE, "{what}: refused with {error}, and there");
        }
    }
    // What is there and what is not: neither has left anything.
    fixture.audit().await;
    let mode = if is_there { PutMode::Upsert } else { PutMode::Create };
    send(fixture, docs, mode).await.unwrap_or_else(|error| panic!("{what}: sent again: {error:?}"));
    assert!(self::is_there(fixture, docs, &what).await, "{what}: sent again");
    fixture.audit().await;
    (outcome.is_err(), is_there)
}

#[tokio::test]
async fn fs_i2_a_batch_that_fails_anywhere_in_the_database_is_there_wholly_or_not_at_all() {
    let fixture = Fixture::new().await;
    let make = async || fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let empty = async |docs: &BucketName| {
        fixture.storage.delete_bucket(&service(), docs, true).await.unwrap();
        fixture.settle().await;
    };
    let docs = make().await;
    let met = points(&fixture, &docs).await;
    empty(&docs).await;
    assert!(met.keys().any(|point| COMMITS.contains(point)), "{met:?}");
    let has_a_network = met.contains_key(DONE);
    let (mut tried, mut untold) = (0, 0);
    for (point, times) in met {
        let mut failures = vec![(point, None, Action::Io), (point, None, Action::DiskFull)];
        failures.extend((1..=times).map(|nth| (point, Some(nth), Action::Io)));
        let mut failed = 0;
        for failure in failures {
            let docs = make().await;
            let (was_refused, was_there) = failed_at(&fixture, &docs, failure).await;
            empty(&docs).await;
            tried += 1;
            failed += u32::from(was_refused);
            untold += u32::from(was_refused && was_there);
            if failure.1.is_none() {
                assert!(was_refused, "{failure:?}");
            }
        }
        assert!(failed > 0, "{point}");
    }
    assert_eq!(untold > 0, has_a_network, "what was done, and its answer lost");
    eprintln!("{tried} failures injected, of which {untold} after it was done");
}
