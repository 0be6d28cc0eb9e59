//! Copies as upkeep looks after them: those that blobs lack are queued, those that nobody keeps any more go.

use super::copies::{copied, entries, make, plan, way, ways};
use super::multipart::{begin, blob, due, new_upload, put};
use super::subject::{Subject, allow, maintain, new_blob, service, user};
use crate::bucket::{BucketPolicy, BucketUpdate};
use crate::errors::StorageError;
use crate::executor::{BlobCopy, CopyPlan, QueueReason};
use crate::file::PutMode;
use crate::permissions::Operation;
use crate::versions::Versioning;

/// Queues what is lacking page by page; the entries that were made, and the copies that were dropped.
async fn queue(subject: &Subject, plan: &CopyPlan, page: u32) -> (u64, u64) {
    let (mut made, mut dropped, mut after) = (0, 0, None);
    for _ in 0..100 {
        let done = subject.executor.queue_copies(&maintain(), plan, after.as_ref(), page).await.unwrap();
        assert_eq!(done.bytes, done.entries * 5);
        made += done.entries;
        dropped += done.dropped;
        after = done.next;
        if after.is_none() {
            return (made, dropped);
        }
    }
    panic!("there is no end");
}

pub(crate) async fn blobs_without_their_copies_are_found(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let update = BucketUpdate { versioning: Some(Versioning::Enabled), ..BucketUpdate::default() };
    let access = allow(&owner, Operation::UpdateBucket);
    subject.executor.update_bucket(&access, &made.name, &update).await.unwrap();
    for at in ["a", "b", "c", "d", "a"] {
        subject.put_object(&owner, new_blob(&made, at, b"bytes").0, &PutMode::Upsert).await.unwrap();
    }
    subject.put(&owner, (&made, "inline"), b"1", PutMode::Create).await.unwrap();
    let upload = begin(subject, &owner, new_upload(&made, "big")).await;
    put(subject, &owner, &upload.at, 1, blob(&made, b"part").0).await.unwrap();
    let (on, access) = (&subject.executor, maintain());
    assert_eq!(queue(subject, &plan(&[]), 2).await, (0, 0));
    assert_eq!(queue(subject, &plan(&["local"]), 2).await, (0, 0), "they are there themselves");
    // The old version counts; what is inline, and what is a part, does not.
    assert_eq!(queue(subject, &plan(&["tape"]), 2).await, (5, 0));
    assert_eq!(queue(subject, &plan(&["tape"]), 3).await, (0, 0), "they wait already");
    let waiting = entries(subject).await;
    assert!(waiting.iter().all(|entry| entry.reason == QueueReason::Copy && entry.user_id.is_none()));
    // One is given up, and stays so until somebody asks for it.
    on.cancel_entry(&access, waiting[0].id).await.unwrap();
    assert_eq!(queue(subject, &plan(&["tape"]), 2).await, (0, 0));
    assert_eq!(make(subject, &made, &["tape"]).await.len(), 4);
    assert_eq!(queue(subject, &plan(&["tape"]), 2).await, (0, 0));
    let again = CopyPlan { retries_failed: true, ..plan(&["tape"]) };
    assert_eq!(queue(subject, &again, 2).await, (1, 0));
    assert_eq!(make(subject, &made, &["tape"]).await.len(), 1);
    // Another provider more, and a copy that was lost.
    let lost = on.blob_copies(&access, "tape", None, 1).await.unwrap().remove(0);
    assert!(on.drop_copy(&access, &lost).await.unwrap());
    assert_eq!(queue(subject, &plan(&["tape", "vault"]), 2).await, (6, 0));
    assert_eq!(make(subject, &made, &["tape", "vault"]).await.len(), 6);
    assert_eq!(queue(subject, &plan(&["tape", "vault"]), 100).await, (0, 0));
}

pub(crate) async fn copies_end_where_none_are_kept(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    for at in ["a", "b", "c"] {
        subject.put_object(&owner, copied(&made, at).0, &PutMode::Create).await.unwrap();
    }
    let tapes = make(subject, &made, &["tape"]).await;
    // What waits for a provider that gets none is forgotten; what is there stays until it is said to end.
    assert_eq!(queue(subject, &plan(&["tape"]), 2).await, (0, 0));
    assert!(entries(subject).await.is_empty());
    assert_eq!(queue(subject, &plan(&[]), 2).await, (0, 0));
    assert_eq!(subject.executor.blob_copies(&maintain(), "tape", None, 9).await.unwrap().len(), 3);
    let ended = CopyPlan { ended: vec!["tape".into()], ..plan(&["vault"]) };
    // What can't be read elsewhere is kept.
    let kept = subject.executor.queue_copies(&maintain(), &ended, None, 100).await.unwrap();
    assert_eq!((kept.entries, kept.dropped), (3, 0));
    let ended = CopyPlan { well: vec!["local".into()], ..ended };
    assert_eq!(queue(subject, &ended, 2).await, (0, 3));
    assert_eq!(queue(subject, &ended, 2).await, (0, 0));
    let queued = due(subject).await;
    assert!(queued.len() == 3 && tapes.iter().all(|tape| queued.contains(tape)));
    assert_eq!(ways(subject).await, vec![way("local", "vault"); 3]);
}

pub(crate) async fn copies_are_upkeeps_alone(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (object, key) = copied(&made, "a");
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    let on = &subject.executor;
    let copy = BlobCopy { blob: key.clone(), provider: "tape".into(), key: key.clone(), size: 5 };
    for access in [allow(&owner, Operation::Download), allow(&service(), Operation::ReadQueue)] {
        let refused = [
            on.copies_of(&access, &key).await.err(),
            on.blob_copies(&access, "tape", None, 1).await.err(),
            on.drop_copy(&access, &copy).await.err(),
            on.queue_copies(&access, &plan(&["tape"]), None, 1).await.err(),
        ];
        for error in refused {
            assert!(
                matches!(error, Some(StorageError::Unauthorized(_) | StorageError::Internal { .. })),
                "{error:?}"
            );
        }
    }
}
