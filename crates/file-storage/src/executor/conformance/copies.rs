//! Copies of blobs: queued with the write, made by entries, going with their blob and wherever it goes.

use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use super::multipart::{begin, blob, complete, complete_with, due, listed, new_upload, put};
use super::queue::{displaced, home, migration, shown, write};
use super::subject::{Subject, allow, lost_bytes, maintain, new_blob, path, service, user, with_segments};
use crate::bucket::{Bucket, BucketPolicy, BucketUpdate};
use crate::executor::{
    BlobCopy, Claim, ClaimedEntry, Copies, CopyPlan, QueueEntry, QueueListing, QueueReason, QueueStatus,
};
use crate::file::{BlobKey, NewObject, Place, PutMode};
use crate::permissions::{Operation, RlsContext};
use crate::versions::{VersionId, Versioning};

pub(super) fn copies(on: &[&str]) -> Copies {
    Copies { on: on.iter().map(|name| (*name).into()).collect(), max_attempts: 5 }
}

pub(super) fn plan(on: &[&str]) -> CopyPlan {
    CopyPlan { copies: copies(on), ..CopyPlan::default() }
}

/// An object whose blob is on `local`, with copies on `tape` and `vault`.
pub(super) fn copied(made: &Bucket, at: &str) -> (NewObject, BlobKey) {
    let (object, key) = new_blob(made, at, b"bytes");
    (NewObject { copies: copies(&["tape", "vault"]), ..object }, key)
}

pub(super) async fn entries(subject: &Subject) -> Vec<QueueEntry> {
    let listing = QueueListing { limit: 100, ..QueueListing::default() };
    let all = subject.executor.queue_entries(&allow(&service(), Operation::ReadQueue), &listing).await;
    let mut open: Vec<_> =
        all.unwrap().into_iter().filter(|entry| entry.status != QueueStatus::Completed).collect();
    open.reverse();
    open
}

/// Where entries go from and to, in the order in which they were queued.
pub(super) async fn ways(subject: &Subject) -> Vec<(String, String)> {
    let ways = entries(subject).await;
    ways.iter().map(|entry| (entry.source.to_string(), entry.target.to_string())).collect()
}

pub(super) fn way(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

/// Claims what waits for these providers.
async fn claim_for(subject: &Subject, targets: &[&str]) -> (Uuid, Vec<ClaimedEntry>) {
    let claim = Claim {
        worker: Uuid::new_v4(),
        sources: ["local", "s3", "tape"].map(Into::into).to_vec(),
        targets: targets.iter().map(|name| (*name).into()).collect(),
        limit: 100,
        lease: Duration::from_secs(60),
    };
    let claimed = subject.executor.claim_entries(&maintain(), &claim).await.unwrap();
    (claim.worker, claimed.entries)
}

/// Makes all copies that wait, and gives their keys.
pub(super) async fn make(subject: &Subject, made: &Bucket, targets: &[&str]) -> Vec<BlobKey> {
    let (worker, claimed) = claim_for(subject, targets).await;
    let mut keys = Vec::new();
    for one in claimed {
        let key = BlobKey::new(made.uuid);
        assert!(subject.executor.complete_entry(&maintain(), worker, &one, &key, false).await.unwrap());
        keys.push(key);
    }
    keys
}

/// Providers and keys of a blob's copies.
pub(super) async fn of(subject: &Subject, key: &BlobKey) -> Vec<(String, BlobKey)> {
    let copies = subject.executor.copies_of(&maintain(), key).await.unwrap();
    assert!(copies.iter().all(|copy| copy.blob == *key));
    copies.into_iter().map(|copy| (copy.provider.to_string(), copy.key)).collect()
}

/// The only blob of an object.
async fn place(subject: &Subject, caller: &RlsContext, at: &str) -> (String, BlobKey) {
    let access = allow(caller, Operation::Download);
    let stored =
        subject.executor.open_object(&access, &super::subject::bucket("photos"), &path(at)).await.unwrap();
    match &stored.segments[0].place {
        Place::Blob { provider, key } => (provider.to_string(), key.clone()),
        Place::Inline(_) => panic!("it is inline"),
    }
}

async fn is_known(subject: &Subject, key: &BlobKey) -> bool {
    !subject.executor.known_blobs(&maintain(), std::slice::from_ref(key)).await.unwrap().is_empty()
}

pub(crate) async fn copies_are_queued_with_the_write_that_makes_a_blob_known(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (object, key) = copied(&made, "a/ü.txt");
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    let queued = entries(subject).await;
    assert_eq!(ways(subject).await, [way("local", "tape"), way("local", "vault")]);
    for entry in &queued {
        assert_eq!(
            (entry.reason, entry.status, entry.user_id),
            (QueueReason::Copy, QueueStatus::Pending, None)
        );
        assert_eq!((entry.path.as_str(), entry.size, entry.max_attempts), ("a/ü.txt", 5, 5));
        assert_eq!((entry.bucket.as_str(), entry.content_type.as_str()), ("photos", "text/plain"));
    }
    assert!(of(subject, &key).await.is_empty(), "they are not made yet");
    // Whose upload it is sees nothing of them: it is done.
    let listing = QueueListing { limit: 9, ..QueueListing::default() };
    let own = subject.executor.queue_entries(&allow(&owner, Operation::ReadQueue), &listing).await.unwrap();
    assert!(own.is_empty(), "{own:?}");

    // What was refused is not copied, what is inline needs no copy, and no provider gets one of what it has.
    subject.delete(&owner, "photos", "a/ü.txt").await.unwrap();
    assert!(entries(subject).await.is_empty());
    subject.put(&owner, (&made, "there"), b"inline", PutMode::Create).await.unwrap();
    let (object, _) = copied(&made, "there");
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap_err();
    let mut inline = super::subject::new_object(&made, "inline", b"bytes");
    inline.copies = copies(&["tape"]);
    subject.put_object(&owner, inline, &PutMode::Create).await.unwrap();
    let there = Place::Blob { provider: "tape".into(), key: BlobKey::new(made.uuid) };
    let mut object = with_segments(&made, "b", b"bytes", [(&b"bytes"[..], there)]);
    object.copies = copies(&["tape", "vault"]);
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    assert_eq!(ways(subject).await, [way("tape", "vault")]);

    // A blob that is not where it belongs waits for that too.
    let (mut object, entry, _) = displaced(&made, "c", 3);
    object.copies = copies(&["vault"]);
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    assert_eq!(shown(subject, entry).await.unwrap().reason, QueueReason::Deferred);
    assert_eq!(
        ways(subject).await.into_iter().collect::<std::collections::BTreeSet<_>>(),
        [way("tape", "vault"), way("local", "s3"), way("local", "vault")].into()
    );
    subject.recount().await;
}

pub(crate) async fn a_copy_is_made_beside_its_blob(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, maintain());
    let (object, key) = copied(&made, "a");
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    let (worker, claimed) = claim_for(subject, &["tape"]).await;
    assert_eq!((claimed.len(), &claimed[0].key), (1, &key));
    assert_eq!(claimed[0].sha256, crate::file::Sha256::of(b"bytes"));
    let tape = BlobKey::new(made.uuid);
    let other = Uuid::new_v4();
    assert!(!on.complete_entry(&access, other, &claimed[0], &tape, false).await.unwrap(), "not its claim");
    assert!(on.complete_entry(&access, worker, &claimed[0], &tape, false).await.unwrap());
    assert!(!on.complete_entry(&access, worker, &claimed[0], &BlobKey::new(made.uuid), false).await.unwrap());
    let done = shown(subject, claimed[0].entry.id).await.unwrap();
    assert_eq!((done.status, done.error), (QueueStatus::Completed, None));
    // The object is where it was, and has a copy, which is known.
    assert_eq!(place(subject, &owner, "a").await, ("local".to_owned(), key.clone()));
    assert_eq!(of(subject, &key).await, [("tape".to_owned(), tape.clone())]);
    let copy = BlobCopy { blob: key.clone(), provider: "tape".into(), key: tape.clone(), size: 5 };
    assert_eq!(on.blob_copies(&access, "tape", None, 9).await.unwrap(), std::slice::from_ref(&copy));
    assert!(on.blob_copies(&access, "tape", Some(&tape), 9).await.unwrap().is_empty());
    assert!(on.blob_copies(&access, "vault", None, 9).await.unwrap().is_empty());
    assert!(is_known(subject, &tape).await && due(subject).await.is_empty());
    assert!(on.is_named(&access, "tape").await.unwrap() && !on.is_named(&access, "vault").await.unwrap());
    let usage = on.provider_usage(&access).await.unwrap();
    let told: Vec<_> = usage
        .iter()
        .map(|of| (&*of.provider, of.blobs, of.segments, of.bytes, of.copies, of.copy_bytes))
        .collect();
    assert_eq!(told, [("local", 1, 1, 5, 0, 0), ("tape", 0, 0, 0, 1, 5)]);
    let vault = make(subject, &made, &["vault"]).await.remove(0);
    assert_eq!(
        of(subject, &key).await,
        [("tape".to_owned(), tape.clone()), ("vault".to_owned(), vault.clone())]
    );
    // A copy that is dropped is deleted, and its blob stays.
    assert!(on.drop_copy(&access, &copy).await.unwrap());
    assert!(!on.drop_copy(&access, &copy).await.unwrap(), "it is gone already");
    assert_eq!(of(subject, &key).await, [("vault".to_owned(), vault)]);
    assert_eq!(due(subject).await, [tape]);
    subject.recount().await;
}

pub(crate) async fn parts_get_their_copies_as_segments(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let upload = begin(subject, &owner, new_upload(&made, "big")).await;
    let mut parts = Vec::new();
    for number in [1, 2, 3] {
        let (part, _) = blob(&made, b"part");
        parts.push(put(subject, &owner, &upload.at, number, part).await.unwrap());
    }
    assert!(entries(subject).await.is_empty(), "an unfinished upload has no copies");
    let chosen = listed(&[parts[0].clone(), parts[2].clone()]);
    let on = copies(&["tape", "vault"]);
    complete_with(subject, &owner, &upload.at, (chosen, PutMode::Upsert), on).await.unwrap();
    let queued = entries(subject).await;
    assert_eq!(queued.len(), 4);
    assert!(queued.iter().all(|entry| entry.reason == QueueReason::Copy && entry.path.as_str() == "big"));
    assert!(queued.iter().all(|entry| entry.user_id.is_none() && entry.content_type == "text/plain"));
    assert_eq!(make(subject, &made, &["tape", "vault"]).await.len(), 4);
    let usage = subject.executor.provider_usage(&maintain()).await.unwrap();
    let of = |name: &str| usage.iter().find(|usage| &*usage.provider == name).unwrap().copies;
    assert_eq!((of("tape"), of("vault")), (2, 2));
}

pub(crate) async fn copies_go_with_their_blob_whichever_way_it_goes(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let on = &subject.executor;
    // Half of the copies are made when the blob goes, half of them wait.
    let written = async |at: &str| {
        let (object, key) = copied(&made, at);
        subject.put_object(&owner, object, &PutMode::Upsert).await.unwrap();
        let tape = make(subject, &made, &["tape"]).await.remove(0);
        (key, tape)
    };
    let gone = async |(key, tape): &(BlobKey, BlobKey), waiting: usize| {
        let queued = due(subject).await;
        assert!(queued.contains(key) && queued.contains(tape), "{queued:?}");
        assert!(of(subject, key).await.is_empty());
        assert_eq!(entries(subject).await.len(), waiting, "what waited for it is gone");
        let blobs = on.due_deletions(&maintain(), Duration::ZERO, 100).await.unwrap();
        assert!(blobs.iter().any(|blob| blob.key == *tape && blob.provider == "tape"));
    };
    let first = written("a").await;
    let second = written("a").await;
    gone(&first, 1).await;
    subject.rename(&owner, ("photos", "a"), ("photos", "b"), PutMode::Create).await.unwrap();
    assert_eq!(of(subject, &second.0).await.len(), 1, "a row that moves keeps its blobs and their copies");
    subject.delete(&owner, "photos", "b").await.unwrap();
    gone(&second, 0).await;
    let lost = written("c").await;
    let version = subject.get(&owner, "photos", "c").await.unwrap().version;
    assert!(on.delete_lost_object(&maintain(), &lost_bytes(version, &lost.0)).await.unwrap());
    gone(&lost, 0).await;
    let emptied = written("d").await;
    on.empty_bucket(&allow(&owner, Operation::EmptyBucket), &made.name, 10).await.unwrap();
    gone(&emptied, 0).await;
    // An old version keeps its copies until it goes for good.
    let update = BucketUpdate { versioning: Some(Versioning::Enabled), ..BucketUpdate::default() };
    on.update_bucket(&allow(&owner, Operation::UpdateBucket), &made.name, &update).await.unwrap();
    let old = written("e").await;
    let version = subject.get(&owner, "photos", "e").await.unwrap().version;
    subject.put(&owner, (&made, "e"), b"inline", PutMode::Upsert).await.unwrap();
    assert_eq!(of(subject, &old.0).await.len(), 1);
    let access = allow(&owner, Operation::DeleteVersion);
    on.delete_version(&access, &made.name, &path("e"), VersionId::Id(version), None).await.unwrap();
    gone(&old, 0).await;
    // Deleted, they are forgotten like others.
    let queued = due(subject).await;
    on.finish_deletions(&maintain(), &queued, &[]).await.unwrap();
    assert!(due(subject).await.is_empty() && !is_known(subject, &old.1).await);
    subject.recount().await;
}

pub(crate) async fn copies_follow_a_blob_that_moves(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, maintain());
    let (object, key) = new_blob(&made, "a", b"bytes");
    let object = NewObject { copies: copies(&["s3", "tape", "vault"]), ..object };
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    // One on where it will go and one elsewhere are made; one waits.
    let on_s3 = make(subject, &made, &["s3"]).await.remove(0);
    let tape = make(subject, &made, &["tape"]).await.remove(0);
    on.queue_migration(&access, &migration("local", "s3"), None, 10).await.unwrap();
    assert_eq!(ways(subject).await, [way("local", "vault"), way("local", "s3")]);
    let (worker, claimed) = claim_for(subject, &["s3"]).await;
    let moved = BlobKey::new(made.uuid);
    assert!(on.complete_entry(&access, worker, &claimed[0], &moved, false).await.unwrap());
    assert_eq!(place(subject, &owner, "a").await, ("s3".to_owned(), moved.clone()));
    assert_eq!(of(subject, &moved).await, [("tape".to_owned(), tape)]);
    assert!(of(subject, &key).await.is_empty());
    let queued = due(subject).await;
    assert!(queued.len() == 2 && queued.contains(&key) && queued.contains(&on_s3), "{queued:?}");
    // What waits is copied from where the blob is now.
    assert_eq!(ways(subject).await, [way("s3", "vault")]);
    let (worker, claimed) = claim_for(subject, &["vault"]).await;
    assert_eq!(claimed[0].key, moved);
    let vault = BlobKey::new(made.uuid);
    assert!(on.complete_entry(&access, worker, &claimed[0], &vault, false).await.unwrap());
    assert_eq!(of(subject, &moved).await.len(), 2);
    subject.delete(&owner, "photos", "a").await.unwrap();
    assert_eq!(due(subject).await.len(), 5);
    subject.recount().await;
}

pub(crate) async fn a_copy_is_made_while_its_blob_moves(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, maintain());
    let (mut object, _, _) = displaced(&made, "a", 3);
    object.copies = copies(&["s3", "tape"]);
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    let (worker, claimed) = claim_for(subject, &["s3", "tape"]).await;
    assert_eq!(claimed.len(), 3);
    let of_reason = |reason: QueueReason, target: &str| {
        claimed.iter().find(|one| one.entry.reason == reason && &*one.entry.target == target).unwrap()
    };
    let (moved, tape) = (BlobKey::new(made.uuid), BlobKey::new(made.uuid));
    let going = of_reason(QueueReason::Deferred, "s3");
    assert!(on.complete_entry(&access, worker, going, &moved, false).await.unwrap());
    // The copy that was begun before is one of the same bytes; one on where the blob is now is not wanted any more.
    assert!(
        on.complete_entry(&access, worker, of_reason(QueueReason::Copy, "tape"), &tape, false).await.unwrap()
    );
    let unwanted = of_reason(QueueReason::Copy, "s3");
    assert!(!on.complete_entry(&access, worker, unwanted, &BlobKey::new(made.uuid), false).await.unwrap());
    assert_eq!(of(subject, &moved).await, [("tape".to_owned(), tape)]);
    assert!(entries(subject).await.is_empty());

    // Its object is deleted meanwhile: nothing refers to the copy.
    let (object, _) = copied(&made, "b");
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    let (worker, claimed) = claim_for(subject, &["tape"]).await;
    subject.delete(&owner, "photos", "b").await.unwrap();
    let late = BlobKey::new(made.uuid);
    assert!(!on.complete_entry(&access, worker, &claimed[0], &late, false).await.unwrap());
    assert!(!is_known(subject, &late).await);
}

pub(crate) async fn a_blob_that_moves_may_stay_as_a_copy(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, maintain());
    let (_, key) = write(subject, &owner, &made, "a").await;
    let (worker, claimed) = claim_for(subject, &["s3"]).await;
    let moved = BlobKey::new(made.uuid);
    assert!(on.complete_entry(&access, worker, &claimed[0], &moved, true).await.unwrap());
    assert_eq!(of(subject, &moved).await, [("local".to_owned(), key.clone())]);
    assert!(due(subject).await.is_empty());
    subject.delete(&owner, "photos", "a").await.unwrap();
    let queued = due(subject).await;
    assert!(queued.len() == 2 && queued.contains(&key) && queued.contains(&moved));
    // A part has no copies: its old blob goes.
    let upload = begin(subject, &owner, new_upload(&made, "big")).await;
    let (mut part, of_part) = blob(&made, b"part");
    part.belongs = Some(home("s3", 3));
    put(subject, &owner, &upload.at, 1, part).await.unwrap();
    let (worker, claimed) = claim_for(subject, &["s3"]).await;
    assert!(on.complete_entry(&access, worker, &claimed[0], &BlobKey::new(made.uuid), true).await.unwrap());
    assert!(due(subject).await.contains(&of_part));
}

/// Whatever comes first, no copy is forgotten, and none of what is gone is kept.
pub(crate) async fn copies_are_made_while_others_write(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, &maintain());
    for round in 0..16 {
        let (mut object, _, _) = displaced(&made, "a", 3);
        object.copies = copies(&["tape", "vault"]);
        subject.put_object(&owner, object, &PutMode::Upsert).await.unwrap();
        let (worker, claimed) = claim_for(subject, &["s3", "tape", "vault"]).await;
        assert_eq!(claimed.len(), 3);
        let keys: Vec<BlobKey> = claimed.iter().map(|_| BlobKey::new(made.uuid)).collect();
        let keeps = round % 2 == 0;
        let ends = join_all(
            claimed.iter().zip(&keys).map(|(one, key)| on.complete_entry(access, worker, one, key, keeps)),
        );
        let written = async {
            match round % 4 {
                0 => drop(subject.delete(&owner, "photos", "a").await.unwrap()),
                1 => drop(subject.put(&owner, (&made, "a"), b"inline", PutMode::Upsert).await.unwrap()),
                2 => drop(on.queue_copies(access, &plan(&["tape", "vault"]), None, 10).await.unwrap()),
                _ => {}
            }
        };
        let (ended, ()) = tokio::join!(ends, written);
        for (key, ended) in keys.iter().zip(ended) {
            assert_eq!(
                is_known(subject, key).await,
                ended.unwrap(),
                "a copy is known if it was said to be there"
            );
        }
        if round % 4 >= 2 {
            let (provider, key) = place(subject, &owner, "a").await;
            assert_eq!(provider, "s3");
            assert_eq!(of(subject, &key).await.len(), if keeps { 3 } else { 2 });
        }
        subject.delete(&owner, "photos", "a").await.unwrap();
        let queued = due(subject).await;
        for key in claimed.iter().map(|one| &one.key).chain(&keys) {
            assert!(!is_known(subject, key).await || queued.contains(key), "a blob is known and in no list");
        }
        assert!(entries(subject).await.is_empty());
        on.finish_deletions(access, &queued, &[]).await.unwrap();
        subject.recount().await;
    }
    let upload = begin(subject, &owner, new_upload(&made, "big")).await;
    let part = put(subject, &owner, &upload.at, 1, blob(&made, b"part").0).await.unwrap();
    complete(subject, &owner, &upload.at, listed(&[part]), PutMode::Upsert).await.unwrap();
    assert!(entries(subject).await.is_empty());
}
