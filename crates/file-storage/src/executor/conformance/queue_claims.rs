//! The upload queue's workers: claims that nobody shares, attempts and their ends, blobs that change their place.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use uuid::Uuid;

use super::multipart::{begin, blob, complete, due, listed, new_upload, put};
use super::queue::{NONE, claim, claim_one, displaced, home, shown, write};
use super::subject::{Subject, allow, maintain, path, service, user, with_segments};
use crate::bucket::BucketPolicy;
use crate::executor::{AttemptEnd, Claim, QueueStatus};
use crate::file::{BlobKey, Place, PutMode, Segment};
use crate::permissions::{Operation, RlsContext};

const LEASE: Duration = Duration::from_secs(60);

/// Entries that four workers share, in hundreds: `AEROSTORE_TEST_ENTRIES=100000` makes a measurement of it, whose figures are
/// printed (docs/performance.md).
fn objects() -> usize {
    let entries = std::env::var("AEROSTORE_TEST_ENTRIES").ok();
    entries.map_or(20, |entries| entries.parse::<usize>().unwrap() / 100)
}

/// What four workers did, by the second.
fn tell(what: &str, entries: usize, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{entries} entries {what} by 4 workers: {:.0} per second", entries as f64 / seconds);
}

pub(crate) async fn workers_share_entries_and_none_is_twos(subject: &Subject) {
    const SEGMENTS: usize = 100;
    let objects = objects();
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, &maintain());
    for n in 0..objects {
        let blob = |_| Place::Blob { provider: "local".into(), key: BlobKey::new(made.uuid) };
        let parts: Vec<(&[u8], Place)> = (0..SEGMENTS).map(|at| (&b"x"[..], blob(at))).collect();
        let mut object = with_segments(&made, &format!("{n}"), &[b'x'; SEGMENTS], parts);
        for (at, segment) in object.segments.iter_mut().enumerate() {
            segment.belongs = Some(home(if at % 2 == 0 { "s3" } else { "gcs" }, 3));
        }
        subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    }
    // Ways that are closed are not gone.
    let closed = Claim { targets: vec!["azure".into()], ..claim(10) };
    assert!(on.claim_entries(access, &closed).await.unwrap().entries.is_empty());
    let only = Claim { targets: vec!["gcs".into()], ..claim(10) };
    let some = on.claim_entries(access, &only).await.unwrap().entries;
    assert!(some.len() == 10 && some.iter().all(|claimed| &*claimed.entry.target == "gcs"));
    let begun = Instant::now();
    let workers = (0..4).map(async |_| {
        // As many as a worker has places, by default.
        let claim = Claim { lease: Duration::from_secs(3600), ..claim(4) };
        let (mut taken, mut misses) = (Vec::new(), 0);
        // A claim may find that all which is due is being looked at by the others.
        while misses < 20 {
            let claimed = on.claim_entries(access, &claim).await.unwrap();
            assert!(claimed.entries.len() <= 4 && claimed.given_up.is_empty());
            misses = if claimed.entries.is_empty() { misses + 1 } else { 0 };
            for one in &claimed.entries {
                assert_eq!((one.entry.status, one.entry.attempts), (QueueStatus::InProgress, 1));
                assert_eq!(one.sha256, crate::file::Sha256::of(b"x"));
            }
            taken.extend(claimed.entries);
        }
        (claim.worker, taken)
    });
    let taken = join_all(workers).await;
    let ids: Vec<Uuid> = taken.iter().flat_map(|(_, taken)| taken.iter().map(|one| one.entry.id)).collect();
    tell("claimed", ids.len(), begun);
    assert_eq!(ids.len(), objects * SEGMENTS - 10, "each was taken");
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "and none twice");

    let begun = Instant::now();
    join_all(taken.iter().map(async |(worker, taken)| {
        for one in taken {
            let copy = one.key.sibling().unwrap();
            assert!(on.complete_entry(access, *worker, one, &copy, false).await.unwrap());
        }
    }))
    .await;
    tell("completed", ids.len(), begun);
}

pub(crate) async fn a_claim_ends_by_itself(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, maintain());
    let (object, id, _) = displaced(&made, "a", 2);
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    let (first, claimed) = claim_one(subject).await;
    // Renewed, it holds; who never had it, or has it no more, renews nothing.
    assert_eq!(on.renew_claims(&access, first, &[id, Uuid::now_v7()], LEASE).await.unwrap(), [id]);
    assert_eq!(on.renew_claims(&access, Uuid::new_v4(), &[id], LEASE).await.unwrap(), NONE);
    assert!(on.claim_entries(&access, &claim(1)).await.unwrap().entries.is_empty());
    assert_eq!(on.renew_claims(&access, first, &[id], Duration::ZERO).await.unwrap(), [id]);
    let (second, again) = claim_one(subject).await;
    assert_eq!((again.entry.id, again.entry.attempts), (id, 2));
    assert_eq!(on.renew_claims(&access, first, &[id], LEASE).await.unwrap(), NONE);
    assert!(!on.complete_entry(&access, first, &claimed, &BlobKey::new(made.uuid), false).await.unwrap());
    let end = AttemptEnd::GivenUp { error: "late".to_owned() };
    assert!(on.end_attempt(&access, first, id, &end).await.unwrap().is_none());
    // At the last attempt, the entry is given up with its worker.
    assert_eq!(on.renew_claims(&access, second, &[id], Duration::ZERO).await.unwrap(), [id]);
    let given_up = on.claim_entries(&access, &claim(1)).await.unwrap();
    assert!(given_up.entries.is_empty());
    let told: Vec<_> = given_up.given_up.iter().map(|e| (e.id, e.status, e.error.as_deref())).collect();
    assert_eq!(told, [(id, QueueStatus::Failed, Some("the server that copied it ended"))]);
    assert!(on.claim_entries(&access, &claim(1)).await.unwrap().given_up.is_empty());
}

pub(crate) async fn attempts_end_as_they_should(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, maintain());
    let (object, id, _) = displaced(&made, "a", 2);
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    let at_once = Duration::ZERO;
    // Not begun: the attempt does not count, however often.
    for error in [None, Some("closed".to_owned()), None] {
        let (worker, _) = claim_one(subject).await;
        let end = AttemptEnd::NotTried { after: at_once, error };
        let ended = on.end_attempt(&access, worker, id, &end).await.unwrap().unwrap();
        assert_eq!((ended.status, ended.attempts), (QueueStatus::Pending, 0));
    }
    assert_eq!(shown(subject, id).await.unwrap().error.as_deref(), Some("closed"));
    // Failed: later again, and told, no longer than fits and without what rows can't hold.
    let (worker, _) = claim_one(subject).await;
    let error = format!("no\0{}", "ü".repeat(1000));
    let end = AttemptEnd::Again { after: Duration::from_secs(3600), error };
    let ended = on.end_attempt(&access, worker, id, &end).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.attempts), (QueueStatus::Pending, 1));
    assert!(ended.next_attempt_at > ended.updated_at + chrono::TimeDelta::minutes(59));
    assert_eq!(ended.error.unwrap(), format!("no{}", "ü".repeat(511)));
    assert!(on.end_attempt(&access, worker, id, &end).await.unwrap().is_none(), "it ended already");
    assert!(on.claim_entries(&access, &claim(1)).await.unwrap().entries.is_empty(), "its turn has not come");
    on.retry_entry(&access, id).await.unwrap();
    // At the last attempt it is given up.
    let (worker, claimed) = claim_one(subject).await;
    assert_eq!(claimed.entry.attempts, 2);
    let end = AttemptEnd::Again { after: at_once, error: "no".to_owned() };
    let ended = on.end_attempt(&access, worker, id, &end).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.error.as_deref()), (QueueStatus::Failed, Some("no")));
    assert!(ended.completed_at.is_some());
    on.retry_entry(&access, id).await.unwrap();
    let (worker, _) = claim_one(subject).await;
    let end = AttemptEnd::GivenUp { error: "never".to_owned() };
    let ended = on.end_attempt(&access, worker, id, &end).await.unwrap().unwrap();
    assert_eq!(
        (ended.status, ended.attempts, ended.error.as_deref()),
        (QueueStatus::Failed, 1, Some("never"))
    );
}

/// Where the segments of an object are.
async fn places(subject: &Subject, caller: &RlsContext, bucket: &str, at: &str) -> Vec<Place> {
    let access = allow(caller, Operation::Download);
    let bucket = super::subject::bucket(bucket);
    let stored = subject.executor.open_object(&access, &bucket, &path(at)).await.unwrap();
    stored.segments.iter().map(|segment: &Segment| segment.place.clone()).collect()
}

fn on_s3(key: &BlobKey) -> Place {
    Place::Blob { provider: "s3".into(), key: key.clone() }
}

pub(crate) async fn a_blob_changes_its_place_once(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, maintain());
    let (id, key) = write(subject, &owner, &made, "a").await;
    let (worker, claimed) = claim_one(subject).await;
    assert_eq!((&claimed.key, claimed.sha256), (&key, crate::file::Sha256::of(b"bytes")));
    let copy = BlobKey::new(made.uuid);
    assert!(on.complete_entry(&access, worker, &claimed, &copy, false).await.unwrap());
    let done = shown(subject, id).await.unwrap();
    assert_eq!((done.status, done.error, &*done.source), (QueueStatus::Completed, None, "local"));
    assert!(done.completed_at.is_some());
    assert_eq!(places(subject, &owner, "photos", "a").await, [on_s3(&copy)]);
    assert_eq!(due(subject).await, std::slice::from_ref(&key));
    assert_eq!(on.known_blobs(&access, &[key, copy.clone()]).await.unwrap().len(), 2);
    assert!(!on.complete_entry(&access, worker, &claimed, &BlobKey::new(made.uuid), false).await.unwrap());
    assert_eq!(places(subject, &owner, "photos", "a").await, [on_s3(&copy)]);

    // Deleted meanwhile: nothing refers to the copy.
    let (_, key) = write(subject, &owner, &made, "b").await;
    let (worker, claimed) = claim_one(subject).await;
    subject.delete(&owner, "photos", "b").await.unwrap();
    let copy = BlobKey::new(made.uuid);
    assert!(!on.complete_entry(&access, worker, &claimed, &copy, false).await.unwrap());
    assert!(due(subject).await.contains(&key));
    assert!(on.known_blobs(&access, &[copy]).await.unwrap().is_empty());

    // A part, before its upload is completed and after.
    let upload = begin(subject, &owner, new_upload(&made, "big")).await;
    let (mut parts, mut copies) = (Vec::new(), Vec::new());
    let mut later = None;
    for number in [1, 2] {
        let (mut part, _) = blob(&made, b"part");
        part.belongs = Some(home("s3", 3));
        parts.push(put(subject, &owner, &upload.at, number, part).await.unwrap());
        let (worker, claimed) = claim_one(subject).await;
        copies.push(BlobKey::new(made.uuid));
        if number == 1 {
            assert!(on.complete_entry(&access, worker, &claimed, &copies[0], false).await.unwrap());
        } else {
            later = Some((worker, claimed));
        }
    }
    complete(subject, &owner, &upload.at, listed(&parts), PutMode::Upsert).await.unwrap();
    let (worker, claimed) = later.unwrap();
    assert!(on.complete_entry(&access, worker, &claimed, &copies[1], false).await.unwrap());
    assert_eq!(places(subject, &owner, "photos", "big").await, [on_s3(&copies[0]), on_s3(&copies[1])]);
    subject.recount().await;
}

/// Whatever comes first, no blob that an object is made of is deleted, and none is forgotten.
pub(crate) async fn a_place_is_changed_while_others_write(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, &maintain());
    for round in 0..24 {
        let upload = begin(subject, &owner, new_upload(&made, "big")).await;
        let (mut part, of_part) = blob(&made, b"part");
        part.belongs = Some(home("s3", 3));
        let part = put(subject, &owner, &upload.at, 1, part).await.unwrap();
        let (_, of_object) = write(subject, &owner, &made, "a").await;
        let claim = claim(10);
        let claimed = on.claim_entries(access, &claim).await.unwrap().entries;
        assert_eq!(claimed.len(), 2);
        let copies: Vec<BlobKey> = claimed.iter().map(|_| BlobKey::new(made.uuid)).collect();
        let flips = join_all(
            claimed
                .iter()
                .zip(&copies)
                .map(|(one, copy)| on.complete_entry(access, claim.worker, one, copy, false)),
        );
        let written = async {
            match round % 3 {
                0 => drop(subject.delete(&owner, "photos", "a").await.unwrap()),
                1 => drop(subject.put(&owner, (&made, "a"), b"inline", PutMode::Upsert).await.unwrap()),
                _ => drop(
                    on.empty_bucket(&allow(&service(), Operation::EmptyBucket), &made.name, 10)
                        .await
                        .unwrap(),
                ),
            }
        };
        let completed = complete(subject, &owner, &upload.at, listed(&[part]), PutMode::Upsert);
        let (flipped, (), completed) = tokio::join!(flips, written, completed);
        let queued = due(subject).await;
        for ((one, copy), flipped) in claimed.iter().zip(&copies).zip(flipped) {
            let flipped = flipped.unwrap();
            assert!(one.key == of_part || one.key == of_object);
            assert!(!flipped || queued.contains(&one.key), "what was copied is to be deleted");
            let known = on.known_blobs(access, std::slice::from_ref(copy)).await.unwrap();
            assert_eq!(known.len(), usize::from(flipped), "a copy is known if its place was changed");
        }
        if completed.is_ok() && subject.get(&owner, "photos", "big").await.is_ok() {
            for place in places(subject, &owner, "photos", "big").await {
                let Place::Blob { key, .. } = place else { panic!("{place:?}") };
                assert!(!queued.contains(&key), "an object is made of a blob that is to be deleted");
            }
            subject.delete(&owner, "photos", "big").await.unwrap();
        }
        subject.delete(&owner, "photos", "a").await.unwrap();
        let queued = due(subject).await;
        for key in claimed.iter().map(|one| &one.key).chain(&copies) {
            let known = on.known_blobs(access, std::slice::from_ref(key)).await.unwrap();
            assert!(known.is_empty() || queued.contains(key), "a blob is known and in no list");
        }
        on.finish_deletions(access, &queued, &[]).await.unwrap();
        subject.recount().await;
    }
}
