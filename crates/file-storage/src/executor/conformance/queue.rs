//! The upload queue: entries that come and go with blobs, who sees them, what operators do with them.

use std::time::Duration;

use uuid::Uuid;

use super::multipart::{abort, begin, blob, complete, due, listed, new_upload, put};
use super::subject::{Subject, allow, anon, lost_bytes, maintain, new_blob, path, service, user};
use crate::bucket::{Bucket, BucketPolicy, BucketUpdate};
use crate::errors::StorageError;
use crate::executor::{
    Claim, ClaimedEntry, Home, Migration, QueueEntry, QueueListing, QueueReason, QueueStatus,
};
use crate::file::{BlobKey, NewObject, PutMode};
use crate::permissions::{Access, AccessRules, Operation, RlsContext};
use crate::versions::Versioning;

/// No entry.
pub(super) const NONE: [Uuid; 0] = [];

pub(super) fn home(provider: &str, max_attempts: u32) -> Home {
    let reason = QueueReason::Deferred;
    Home { entry: Uuid::now_v7(), provider: provider.into(), reason, max_attempts }
}

/// An object whose blob is on `local` and belongs to `s3`; its entry and its blob.
pub(super) fn displaced(made: &Bucket, at: &str, max_attempts: u32) -> (NewObject, Uuid, BlobKey) {
    let (mut object, key) = new_blob(made, at, b"bytes");
    let home = home("s3", max_attempts);
    let entry = home.entry;
    object.segments[0].belongs = Some(home);
    (object, entry, key)
}

/// Writes such an object.
pub(crate) async fn write(
    subject: &Subject,
    caller: &RlsContext,
    made: &Bucket,
    at: &str,
) -> (Uuid, BlobKey) {
    let (object, entry, key) = displaced(made, at, 3);
    subject.put_object(caller, object, &PutMode::Upsert).await.unwrap();
    (entry, key)
}

pub(super) fn claim(limit: u32) -> Claim {
    let (sources, targets) = (vec!["local".into(), "disk".into()], vec!["gcs".into(), "s3".into()]);
    Claim { worker: Uuid::new_v4(), sources, targets, limit, lease: Duration::from_secs(60) }
}

/// Claims the only entry that waits.
pub(crate) async fn claim_one(subject: &Subject) -> (Uuid, ClaimedEntry) {
    let claim = claim(10);
    let mut claimed = subject.executor.claim_entries(&maintain(), &claim).await.unwrap();
    assert_eq!((claimed.entries.len(), claimed.given_up.len()), (1, 0));
    (claim.worker, claimed.entries.remove(0))
}

pub(super) async fn shown(subject: &Subject, id: Uuid) -> Option<QueueEntry> {
    match subject.executor.queue_entry(&allow(&service(), Operation::ReadQueue), id).await {
        Ok(entry) => Some(entry),
        Err(StorageError::QueueEntryNotFound { entry }) if entry == id => None,
        Err(error) => panic!("{error:?}"),
    }
}

async fn status(subject: &Subject, id: Uuid) -> Option<QueueStatus> {
    shown(subject, id).await.map(|entry| entry.status)
}

fn all(limit: u32) -> QueueListing {
    QueueListing { limit, ..QueueListing::default() }
}

async fn ids(subject: &Subject, caller: &RlsContext, listing: &QueueListing) -> Vec<Uuid> {
    let entries = subject.executor.queue_entries(&allow(caller, Operation::ReadQueue), listing).await;
    entries.unwrap().iter().map(|entry| entry.id).collect()
}

pub(crate) async fn an_entry_comes_with_its_blob_and_goes_with_it(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let on = &subject.executor;
    let (first, key) = write(subject, &owner, &made, "a/ü.txt").await;
    let entry = shown(subject, first).await.unwrap();
    assert_eq!(
        (entry.user_id, entry.bucket.as_str(), entry.path.as_str()),
        (owner.user_id(), "photos", "a/ü.txt")
    );
    assert_eq!((entry.size, entry.content_type.as_str()), (5, "text/plain"));
    assert_eq!((&*entry.source, &*entry.target, entry.reason), ("local", "s3", QueueReason::Deferred));
    assert_eq!((entry.status, entry.attempts, entry.max_attempts), (QueueStatus::Pending, 0, 3));
    assert_eq!((entry.error, entry.started_at, entry.completed_at), (None, None, None));
    assert!(entry.next_attempt_at == entry.queued_at && entry.created_at == entry.updated_at);

    // What was refused has no entry, and what is moved keeps it.
    let (refused, entry, _) = displaced(&made, "a/ü.txt", 3);
    subject.put_object(&owner, refused, &PutMode::Create).await.unwrap_err();
    assert_eq!(status(subject, entry).await, None);
    subject.rename(&owner, ("photos", "a/ü.txt"), ("photos", "b"), PutMode::Create).await.unwrap();
    assert!(status(subject, first).await.is_some());

    // Overwritten, deleted, moved over, emptied, lost.
    let (second, _) = write(subject, &owner, &made, "b").await;
    assert_eq!(status(subject, first).await, None);
    assert!(due(subject).await.contains(&key));
    subject.delete(&owner, "photos", "b").await.unwrap();
    assert_eq!(status(subject, second).await, None);
    let (over, _) = write(subject, &owner, &made, "c").await;
    let (stays, _) = write(subject, &owner, &made, "d").await;
    subject.rename(&owner, ("photos", "d"), ("photos", "c"), PutMode::Upsert).await.unwrap();
    assert_eq!(
        (status(subject, over).await, status(subject, stays).await),
        (None, Some(QueueStatus::Pending))
    );
    on.empty_bucket(&allow(&owner, Operation::EmptyBucket), &made.name, 10).await.unwrap();
    assert_eq!(status(subject, stays).await, None);
    let (lost, blob) = write(subject, &owner, &made, "e").await;
    let version = subject.get(&owner, "photos", "e").await.unwrap().version;
    assert!(on.delete_lost_object(&maintain(), &lost_bytes(version, &blob)).await.unwrap());
    assert_eq!(status(subject, lost).await, None);

    // A version that is kept keeps its entry until it goes for good.
    let update = BucketUpdate { versioning: Some(Versioning::Enabled), ..BucketUpdate::default() };
    on.update_bucket(&allow(&owner, Operation::UpdateBucket), &made.name, &update).await.unwrap();
    let (old, _) = write(subject, &owner, &made, "f").await;
    let version = subject.get(&owner, "photos", "f").await.unwrap().version;
    write(subject, &owner, &made, "f").await;
    assert_eq!(status(subject, old).await, Some(QueueStatus::Pending));
    let id = crate::versions::VersionId::Id(version);
    let access = allow(&owner, Operation::DeleteVersion);
    on.delete_version(&access, &made.name, &path("f"), id, None).await.unwrap();
    assert_eq!(status(subject, old).await, None);
    subject.recount().await;
}

pub(crate) async fn parts_keep_their_entries_as_segments(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let upload = begin(subject, &owner, new_upload(&made, "big")).await;
    let (mut parts, mut entries) = (Vec::new(), Vec::new());
    for number in [1, 2, 2, 3] {
        let (mut part, _) = blob(&made, b"part");
        let home = home("s3", 3);
        entries.push(home.entry);
        part.belongs = Some(home);
        parts.push(put(subject, &owner, &upload.at, number, part).await.unwrap());
    }
    // The second was replaced; the third will be left out.
    assert_eq!(status(subject, entries[1]).await, None);
    let entry = shown(subject, entries[0]).await.unwrap();
    assert_eq!((entry.user_id, entry.path.as_str(), entry.size), (owner.user_id(), "big", 4));
    assert_eq!(entry.content_type, "text/plain");
    let chosen = listed(&[parts[0].clone(), parts[2].clone()]);
    complete(subject, &owner, &upload.at, chosen, PutMode::Upsert).await.unwrap();
    for (entry, expected) in [(0, Some(QueueStatus::Pending)), (2, Some(QueueStatus::Pending)), (3, None)] {
        assert_eq!(status(subject, entries[entry]).await, expected);
    }
    subject.delete(&owner, "photos", "big").await.unwrap();
    assert_eq!(status(subject, entries[0]).await, None);

    let upload = begin(subject, &owner, new_upload(&made, "big")).await;
    let (mut part, _) = blob(&made, b"part");
    let home = home("s3", 3);
    let entry = home.entry;
    part.belongs = Some(home);
    put(subject, &owner, &upload.at, 1, part).await.unwrap();
    abort(subject, &owner, &upload.at).await.unwrap();
    assert_eq!(status(subject, entry).await, None);
}

pub(crate) async fn entries_are_their_uploaders_and_the_service_roles(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    let on = &subject.executor;
    let (own, _) = write(subject, &owner, &made, "a").await;
    let (others, _) = write(subject, &other, &made, "b").await;
    let (services, _) = write(subject, &service(), &made, "c").await;
    assert_eq!(ids(subject, &owner, &all(10)).await, [own]);
    assert_eq!(ids(subject, &other, &all(10)).await, [others]);
    assert_eq!(ids(subject, &user(), &all(10)).await, NONE);
    assert_eq!(ids(subject, &service(), &all(10)).await, [services, others, own]);
    for (caller, id) in [(&owner, others), (&owner, services), (&user(), own), (&owner, Uuid::now_v7())] {
        let refused = on.queue_entry(&allow(caller, Operation::ReadQueue), id).await;
        assert!(matches!(refused, Err(StorageError::QueueEntryNotFound { .. })), "{refused:?}");
    }
    assert_eq!(on.queue_entry(&allow(&owner, Operation::ReadQueue), own).await.unwrap().id, own);
    // Anon is asked for a token, and an access to read changes nothing.
    let anons = Access::check(&anon(), Operation::ReadQueue, None, AccessRules::default());
    assert!(matches!(anons, Err(StorageError::AuthRequired { .. })));
    let read = allow(&service(), Operation::ReadQueue);
    assert!(on.claim_entries(&read, &claim(1)).await.is_err());
    assert!(on.renew_claims(&read, Uuid::nil(), &[], Duration::ZERO).await.is_err());
    assert!(on.retry_entry(&read, own).await.is_err());
    assert!(on.retry_failed(&read, 1).await.is_err());
    assert!(on.cancel_entry(&read, own).await.is_err());
    assert!(on.queue_migration(&read, &migration("local", "s3"), None, 1).await.is_err());
    assert!(on.queue_depths(&read, None).await.is_err());
    assert!(on.forget_completed(&read, Duration::ZERO, 1).await.is_err());
    assert!(on.provider_usage(&read).await.is_err());
    assert!(on.provider_identity(&read, "local", None).await.is_err());
    let (worker, claimed) = {
        subject.delete(&other, "photos", "b").await.unwrap();
        subject.delete(&service(), "photos", "c").await.unwrap();
        claim_one(subject).await
    };
    let end = crate::executor::AttemptEnd::GivenUp { error: String::new() };
    assert!(on.end_attempt(&read, worker, own, &end).await.is_err());
    assert!(on.complete_entry(&read, worker, &claimed, &BlobKey::new(made.uuid), false).await.is_err());
}

pub(crate) async fn lists_of_entries_are_in_pages(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let other = subject.bucket(&owner, "papers", BucketPolicy::Private).await;
    let mut written = Vec::new();
    for n in 0..7 {
        let to = if n % 3 == 0 { &other } else { &made };
        written.push(write(subject, &owner, to, &format!("{n}")).await.0);
    }
    written.reverse();
    subject.executor.cancel_entry(&maintain(), written[2]).await.unwrap();
    for caller in [&owner, &service()] {
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = ids(subject, caller, &QueueListing { before, ..all(2) }).await;
            let Some(last) = page.last() else { break };
            before = Some(*last);
            seen.extend(page);
            if seen.len() == 4 {
                // What is queued again keeps its place, and what is gone is still one to go on after.
                subject.executor.retry_entry(&maintain(), written[2]).await.unwrap();
            }
        }
        assert_eq!(seen, written);
        subject.executor.cancel_entry(&maintain(), written[2]).await.unwrap();
        let failed = QueueListing { status: Some(QueueStatus::Failed), ..all(9) };
        assert_eq!(ids(subject, caller, &failed).await, written[2..3]);
        let papers = QueueListing { bucket: Some(other.name.clone()), ..all(9) };
        assert_eq!(ids(subject, caller, &papers).await, [written[0], written[3], written[6]]);
        let both = QueueListing { status: Some(QueueStatus::Failed), ..papers };
        assert_eq!(ids(subject, caller, &both).await, NONE);
    }
}

pub(crate) async fn operators_queue_again_and_give_up(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, maintain());
    let (id, _) = write(subject, &owner, &made, "a").await;
    // One that waits is given up, and stays so.
    let cancelled = on.cancel_entry(&access, id).await.unwrap();
    assert_eq!(
        (cancelled.status, cancelled.error.as_deref()),
        (QueueStatus::Failed, Some("it was cancelled"))
    );
    assert!(cancelled.completed_at.is_some());
    assert_eq!(on.cancel_entry(&access, id).await.unwrap().completed_at, cancelled.completed_at);
    assert!(on.claim_entries(&access, &claim(1)).await.unwrap().entries.is_empty());
    // Queued again, with all its attempts, and what was told stays.
    let again = on.retry_entry(&access, id).await.unwrap();
    assert_eq!((again.status, again.attempts, again.completed_at), (QueueStatus::Pending, 0, None));
    assert!(again.queued_at >= cancelled.queued_at && again.created_at == cancelled.created_at);
    assert_eq!(again.error, cancelled.error);
    // One that is being copied goes on; given up, its worker has it no more.
    let (worker, claimed) = claim_one(subject).await;
    assert_eq!(on.retry_entry(&access, id).await.unwrap().status, QueueStatus::InProgress);
    assert_eq!(on.cancel_entry(&access, id).await.unwrap().status, QueueStatus::Failed);
    assert_eq!(on.renew_claims(&access, worker, &[id], Duration::from_secs(1)).await.unwrap(), NONE);
    assert!(!on.complete_entry(&access, worker, &claimed, &BlobKey::new(made.uuid), false).await.unwrap());
    // All that failed, some at a time.
    for at in ["b", "c"] {
        let (id, _) = write(subject, &owner, &made, at).await;
        on.cancel_entry(&access, id).await.unwrap();
    }
    assert_eq!(on.retry_failed(&access, 2).await.unwrap(), 2);
    assert_eq!(on.retry_failed(&access, 2).await.unwrap(), 1);
    assert_eq!(on.retry_failed(&access, 2).await.unwrap(), 0);
    // What is at its end stays there.
    subject.delete(&owner, "photos", "b").await.unwrap();
    subject.delete(&owner, "photos", "c").await.unwrap();
    let (worker, claimed) = claim_one(subject).await;
    assert!(on.complete_entry(&access, worker, &claimed, &BlobKey::new(made.uuid), false).await.unwrap());
    for refused in [on.retry_entry(&access, id).await, on.cancel_entry(&access, id).await] {
        assert!(
            matches!(refused, Err(StorageError::QueueEntryEnded { entry }) if entry == id),
            "{refused:?}"
        );
    }
    let nothing = Uuid::now_v7();
    for refused in [on.retry_entry(&access, nothing).await, on.cancel_entry(&access, nothing).await] {
        assert!(matches!(refused, Err(StorageError::QueueEntryNotFound { .. })), "{refused:?}");
    }
}

pub(crate) async fn depths_and_usage_count_what_there_is(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, maintain());
    assert!(on.queue_depths(&access, None).await.unwrap().is_empty());
    assert!(on.provider_usage(&access).await.unwrap().is_empty());
    let (first, _) = write(subject, &owner, &made, "a").await;
    let oldest = shown(subject, first).await.unwrap().queued_at;
    write(subject, &owner, &made, "b").await;
    let (third, _) = write(subject, &owner, &made, "c").await;
    on.cancel_entry(&access, third).await.unwrap();
    subject.put(&owner, (&made, "inline"), b"not on any", PutMode::Create).await.unwrap();
    let upload = begin(subject, &owner, new_upload(&made, "big")).await;
    put(subject, &owner, &upload.at, 1, blob(&made, b"part").0).await.unwrap();
    let depths = on.queue_depths(&access, None).await.unwrap();
    let told: Vec<_> = depths.iter().map(|depth| (depth.status, depth.entries, depth.bytes)).collect();
    assert_eq!(told, [(QueueStatus::Failed, 1, 5), (QueueStatus::Pending, 2, 10)]);
    assert!(depths.iter().all(|depth| (&*depth.source, &*depth.target) == ("local", "s3")));
    assert_eq!((depths[1].oldest, depths[1].reason), (oldest, QueueReason::Deferred));
    let usage = on.provider_usage(&access).await.unwrap();
    let told: Vec<_> =
        usage.iter().map(|of| (&*of.provider, of.blobs, of.bytes, of.pending_deletions)).collect();
    assert_eq!(told, [("local", 4, 19, 0)]);
    // What is completed is no depth any more, and counts where it is.
    subject.delete(&owner, "photos", "b").await.unwrap();
    let (worker, claimed) = claim_one(subject).await;
    assert!(on.complete_entry(&access, worker, &claimed, &BlobKey::new(made.uuid), false).await.unwrap());
    let usage = on.provider_usage(&access).await.unwrap();
    let told: Vec<_> =
        usage.iter().map(|of| (&*of.provider, of.blobs, of.bytes, of.pending_deletions)).collect();
    assert_eq!(told, [("local", 2, 9, 2), ("s3", 1, 5, 0)]);
    assert_eq!(on.queue_depths(&access, None).await.unwrap().len(), 1);
}

pub(crate) fn migration(from: &str, to: &str) -> Migration {
    let (from, to) = (from.into(), to.into());
    Migration { from, to, bucket: None, reason: QueueReason::Migration, max_attempts: 7 }
}

/// Queues a migration page by page; the entries and bytes of all.
async fn migrate(subject: &Subject, migration: &Migration, page: u32) -> (u64, u64) {
    let (mut entries, mut bytes, mut after) = (0, 0, None);
    for _ in 0..100 {
        let done =
            subject.executor.queue_migration(&maintain(), migration, after.as_ref(), page).await.unwrap();
        entries += done.entries;
        bytes += done.bytes;
        after = done.next;
        if after.is_none() {
            return (entries, bytes);
        }
    }
    panic!("the migration has no end");
}

pub(crate) async fn a_migration_queues_each_blob_once(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let other = subject.bucket(&owner, "papers", BucketPolicy::Private).await;
    let on = &subject.executor;
    for (to, at) in [(&made, "a"), (&made, "b/c"), (&other, "d")] {
        subject.put_object(&owner, new_blob(to, at, b"bytes").0, &PutMode::Create).await.unwrap();
    }
    subject.put(&owner, (&made, "inline"), b"1", PutMode::Create).await.unwrap();
    let upload = begin(subject, &owner, new_upload(&made, "big")).await;
    put(subject, &owner, &upload.at, 1, blob(&made, b"part").0).await.unwrap();
    let (waits, _) = write(subject, &owner, &made, "waits").await;
    let (failed, _) = write(subject, &owner, &made, "failed").await;
    on.cancel_entry(&maintain(), failed).await.unwrap();

    let away = migration("local", "gcs");
    assert_eq!(migrate(subject, &migration("elsewhere", "gcs"), 2).await, (0, 0));
    let of_papers = Migration { bucket: Some(other.name.clone()), ..away.clone() };
    assert_eq!(migrate(subject, &of_papers, 2).await, (1, 5));
    // The one that waits for another provider and the one that failed go this way now, and what is queued is not queued again.
    assert_eq!(migrate(subject, &away, 2).await, (5, 24));
    assert_eq!(migrate(subject, &away, 3).await, (0, 0));
    let kept = shown(subject, waits).await.unwrap();
    assert_eq!((&*kept.target, kept.reason), ("gcs", QueueReason::Migration));
    let again = shown(subject, failed).await.unwrap();
    assert_eq!(
        (&*again.target, again.reason, again.status),
        ("gcs", QueueReason::Migration, QueueStatus::Pending)
    );
    assert_eq!((again.max_attempts, again.user_id), (7, owner.user_id()));
    let entries = on.queue_entries(&allow(&service(), Operation::ReadQueue), &all(20)).await.unwrap();
    assert_eq!(entries.len(), 6);
    let of = |at: &str| entries.iter().find(|entry| entry.path.as_str() == at).unwrap();
    assert_eq!((of("b/c").user_id, of("b/c").content_type.as_str()), (None, "text/plain"));
    assert_eq!((of("d").bucket.as_str(), of("big").size), ("papers", 4));
    // To where they are, nothing goes.
    assert_eq!(migrate(subject, &migration("local", "local"), 2).await, (0, 0));
}

pub(crate) async fn what_was_completed_is_forgotten(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (on, access) = (&subject.executor, maintain());
    let mut done = Vec::new();
    for at in ["a", "b", "c"] {
        done.push(write(subject, &owner, &made, at).await.0);
        let (worker, claimed) = claim_one(subject).await;
        assert!(on.complete_entry(&access, worker, &claimed, &BlobKey::new(made.uuid), false).await.unwrap());
    }
    let (waits, _) = write(subject, &owner, &made, "d").await;
    assert_eq!(on.forget_completed(&access, Duration::from_secs(3600), 10).await.unwrap(), 0);
    assert_eq!(on.forget_completed(&access, Duration::MAX, 10).await.unwrap(), 0);
    assert_eq!(on.forget_completed(&access, Duration::ZERO, 2).await.unwrap(), 2);
    assert_eq!(ids(subject, &service(), &all(9)).await, [waits, done[2]]);
    assert_eq!(on.forget_completed(&access, Duration::ZERO, 2).await.unwrap(), 1);
    assert_eq!(ids(subject, &service(), &all(9)).await, [waits]);
}

pub(crate) async fn who_says_first_which_directory_a_provider_is(subject: &Subject) {
    let (on, access) = (&subject.executor, maintain());
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    assert_eq!(on.provider_identity(&access, "local", None).await.unwrap(), None);
    assert_eq!(on.provider_identity(&access, "local", Some(first)).await.unwrap(), Some(first));
    assert_eq!(on.provider_identity(&access, "local", Some(second)).await.unwrap(), Some(first));
    assert_eq!(on.provider_identity(&access, "local", None).await.unwrap(), Some(first));
    assert_eq!(on.provider_identity(&access, "disk", Some(second)).await.unwrap(), Some(second));
}
