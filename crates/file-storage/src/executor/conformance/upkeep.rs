//! Counters, quotas, blobs, nonces, events.

use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use uuid::Uuid;

use super::subject::{
    Subject, allow, bucket, lost_bytes, maintain, new_blob, path, service, strange, user, with_segments,
};
use crate::bucket::{BucketConfig, BucketPolicy};
use crate::errors::StorageError;
use crate::executor::{Announced, Backlog};
use crate::file::{BlobKey, Place, PutMode};
use crate::permissions::{Operation, RlsContext};

pub(crate) async fn counters_follow_every_change(subject: &Subject) {
    let (owner, writer) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    let usage = async |caller: &RlsContext| {
        let own = subject.executor.own_usage(&allow(caller, Operation::ReadUsage)).await.unwrap();
        assert_eq!(own.user_id, caller.user_id());
        (own.file_count, own.total_bytes)
    };
    assert_eq!(usage(&writer).await, (0, 0));
    subject.put(&writer, (&made, "a"), b"123", PutMode::Create).await.unwrap();
    subject.put(&owner, (&made, "b"), b"1", PutMode::Create).await.unwrap();
    subject.put(&owner, (&made, "a"), b"12345", PutMode::Upsert).await.unwrap();
    assert_eq!((usage(&writer).await, usage(&owner).await), ((1, 5), (1, 1)));
    subject.put(&writer, (&made, "a"), b"", PutMode::Upsert).await.unwrap();
    assert_eq!(usage(&writer).await, (1, 0));
    subject.put(&service(), (&made, "c"), b"1234567", PutMode::Create).await.unwrap();
    assert_eq!(usage(&service()).await, (0, 0));
    let shown = subject.shown("photos").await;
    assert_eq!((shown.file_count, shown.total_bytes), (3, 8));
    subject.delete(&owner, "photos", "a").await.unwrap();
    assert_eq!(usage(&writer).await, (0, 0));
    let all = subject.executor.all_usage(&maintain(), 10).await.unwrap();
    let all: Vec<_> = all.iter().map(|one| (one.user_id, one.file_count, one.total_bytes)).collect();
    assert_eq!(all, [(owner.user_id(), 1, 1), (writer.user_id(), 0, 0)]);
    let backlog = subject.executor.backlog(&maintain()).await.unwrap();
    assert_eq!(backlog, Backlog { pending_deletions: 0, objects: 2, buckets: 1, oldest_deletion: None });
    assert!(subject.executor.recount_usage(&maintain(), true).await.unwrap().is_empty());
}

pub(crate) async fn bucket_quotas_hold(subject: &Subject) {
    let owner = user();
    let config = BucketConfig { quota_bytes: Some(10), ..BucketConfig::default() };
    let made = subject.bucket_with(&owner, "photos", config).await;
    subject.put(&owner, (&made, "a"), &[0; 6], PutMode::Create).await.unwrap();
    let over = subject.put(&owner, (&made, "b"), &[0; 5], PutMode::Create).await;
    let Err(StorageError::QuotaExceeded { scope, used, limit, requested, .. }) = over else {
        panic!("{over:?}");
    };
    assert_eq!((scope, used, limit, requested), ("bucket", 6, 10, 5));
    // An overwrite gives back what it replaces.
    subject.put(&owner, (&made, "a"), &[0; 10], PutMode::Upsert).await.unwrap();
    let access = allow(&owner, Operation::Upload(&PutMode::Upsert));
    let admitted = subject
        .executor
        .admit_put(&access, &bucket("photos"), &path("a"), &PutMode::Upsert, &Announced::default())
        .await
        .unwrap();
    let left = admitted.quota_left.unwrap();
    assert_eq!((left.scope, left.used, left.limit, left.returned), ("bucket", 10, 10, 10));
    subject.put(&owner, (&made, "empty"), b"", PutMode::Create).await.unwrap();
    subject.recount().await;
}

pub(crate) async fn replaced_and_deleted_blobs_are_queued(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let on = &subject.executor;
    let due = async |age| {
        let due = on.due_deletions(&maintain(), age, 10).await.unwrap();
        due.into_iter().map(|blob| (blob.key, blob.attempts)).collect::<Vec<_>>()
    };
    let mut keys = Vec::new();
    for (at, mode) in [("a", PutMode::Create), ("a", PutMode::Upsert), ("b", PutMode::Create)] {
        let (object, key) = new_blob(&made, at, b"bytes");
        subject.put_object(&owner, object, &mode).await.unwrap();
        keys.push(key);
    }
    assert_eq!(due(Duration::ZERO).await, [(keys[0].clone(), 0)]);
    assert!(due(Duration::from_secs(3600)).await.is_empty());
    assert!(due(Duration::MAX).await.is_empty());
    on.finish_deletions(&maintain(), &[], &keys[..1]).await.unwrap();
    // A move over it takes "a" away, with its second blob.
    subject.rename(&owner, ("photos", "b"), ("photos", "a"), PutMode::Upsert).await.unwrap();
    assert_eq!(due(Duration::ZERO).await, [(keys[1].clone(), 0), (keys[0].clone(), 1)]);
    on.finish_deletions(&maintain(), &keys[..1], &[]).await.unwrap();
    subject.delete(&owner, "photos", "a").await.unwrap();
    let mut left: Vec<BlobKey> = due(Duration::ZERO).await.into_iter().map(|(key, _)| key).collect();
    left.sort();
    keys.remove(0);
    keys.sort();
    assert_eq!(left, keys);
    let backlog = on.backlog(&maintain()).await.unwrap();
    assert_eq!(backlog.pending_deletions, 2);
    let waited = Utc::now() - backlog.oldest_deletion.unwrap();
    assert!(waited.abs() < chrono::TimeDelta::minutes(5), "{waited}");
}

pub(crate) async fn every_segments_blob_is_queued(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let on = &subject.executor;
    let mut expected = Vec::new();
    for mode in [PutMode::Create, PutMode::Upsert] {
        let keys = [BlobKey::new(made.uuid), BlobKey::new(made.uuid)];
        let blob = |key: &BlobKey| Place::Blob { provider: "local".into(), key: key.clone() };
        let inline = Place::Inline(Bytes::from_static(b"in"));
        let parts: [(&[u8], Place); 3] =
            [(b"first", blob(&keys[0])), (b"in", inline), (b"last", blob(&keys[1]))];
        let object = with_segments(&made, "a", b"firstinlast", parts);
        subject.put_object(&owner, object, &mode).await.unwrap();
        let due = on.due_deletions(&maintain(), Duration::ZERO, 10).await.unwrap();
        let mut queued: Vec<_> = due.into_iter().map(|blob| blob.key).collect();
        queued.sort();
        assert_eq!(queued, expected);
        expected.extend(keys);
        expected.sort();
    }
    subject.delete(&owner, "photos", "a").await.unwrap();
    assert_eq!(on.due_deletions(&maintain(), Duration::ZERO, 10).await.unwrap().len(), 4);
    // What is deleted is forgotten, and no longer known.
    on.finish_deletions(&maintain(), &expected, &[]).await.unwrap();
    assert!(on.due_deletions(&maintain(), Duration::ZERO, 10).await.unwrap().is_empty());
    assert!(on.known_blobs(&maintain(), &expected).await.unwrap().is_empty());
    assert_eq!(on.backlog(&maintain()).await.unwrap().pending_deletions, 0);
}

pub(crate) async fn every_way_of_going_is_an_event(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let on = &subject.executor;
    let mut versions = Vec::new();
    for at in ["one", "many", "emptied", "lost", "replaced", "moved"] {
        versions.push(subject.put(&owner, (&made, at), b"1", PutMode::Create).await.unwrap().object.version);
    }
    let (object, key) = new_blob(&made, "lost", b"1");
    versions[3] = subject.put_object(&owner, object, &PutMode::Upsert).await.unwrap().object.version;
    let before = on.events(&maintain(), 0, 100).await.unwrap().last().unwrap().sequence;
    subject.delete(&owner, "photos", "one").await.unwrap();
    on.delete_objects(&allow(&owner, Operation::Delete), &made.name, &[path("many")]).await.unwrap();
    assert!(on.delete_lost_object(&maintain(), &lost_bytes(versions[3], &key)).await.unwrap());
    subject.rename(&owner, ("photos", "moved"), ("photos", "replaced"), PutMode::Upsert).await.unwrap();
    on.empty_bucket(&allow(&owner, Operation::EmptyBucket), &made.name, 10).await.unwrap();
    let events = on.events(&maintain(), before, 100).await.unwrap();
    let told: Vec<_> = events.iter().map(|e| (&*e.kind, e.path.as_deref().unwrap())).collect();
    let deleted = "storage.object.deleted";
    assert_eq!(
        told,
        [
            (deleted, "one"),
            (deleted, "many"),
            (deleted, "lost"),
            ("storage.object.moved", "replaced"),
            (deleted, "emptied"),
            (deleted, "replaced"),
        ]
    );
    assert_eq!(events[2].payload["reason"], "lost");
}

pub(crate) async fn known_and_lost_blobs(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let on = &subject.executor;
    let mut written = Vec::new();
    for at in ["a", "b", "c"] {
        let (object, key) = new_blob(&made, at, b"bytes");
        let object = subject.put_object(&owner, object, &PutMode::Create).await.unwrap().object;
        written.push((key, object));
    }
    subject.put(&owner, (&made, "inline"), b"1", PutMode::Create).await.unwrap();
    subject.delete(&owner, "photos", "c").await.unwrap();
    let unknown = BlobKey::new(made.uuid);
    let mut asked: Vec<BlobKey> = written.iter().map(|(key, _)| key.clone()).collect();
    asked.push(unknown.clone());
    let mut known = on.known_blobs(&maintain(), &asked).await.unwrap();
    known.sort();
    asked.retain(|key| *key != unknown);
    asked.sort();
    assert_eq!(known, asked);

    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = on.segment_blobs(&maintain(), "local", after.as_ref(), 1).await.unwrap();
        let Some(blob) = page.into_iter().next() else { break };
        after = Some(blob.key.clone());
        seen.push((blob.key, blob.version, blob.path.to_string(), blob.size));
    }
    let mut expected: Vec<_> =
        written[..2].iter().map(|(key, o)| (key.clone(), o.version, o.path.to_string(), 5)).collect();
    expected.sort();
    assert_eq!(seen, expected);
    assert!(on.segment_blobs(&maintain(), "other", None, 10).await.unwrap().is_empty());

    let version = written[0].1.version;
    let delete =
        async |key: &BlobKey| on.delete_lost_object(&maintain(), &lost_bytes(version, key)).await.unwrap();
    assert!(!delete(&strange()).await, "it is made of another blob by now");
    assert!(delete(&written[0].0).await);
    assert!(!delete(&written[0].0).await);
    assert!(subject.get(&owner, "photos", "a").await.is_err());
    subject.recount().await;
}

pub(crate) async fn nonces_work_once(subject: &Subject) {
    let on = &subject.executor;
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let later = Utc::now() + chrono::TimeDelta::hours(1);
    assert!(!on.is_nonce_used(one).await.unwrap());
    assert!(on.consume_nonce(one, later).await.unwrap());
    assert!(on.is_nonce_used(one).await.unwrap());
    assert!(!on.is_nonce_used(other).await.unwrap(), "asking uses nothing up");
    assert!(!on.consume_nonce(one, later).await.unwrap());
    assert!(on.consume_nonce(other, later).await.unwrap());
    // One that is long dead is forgotten; one that lives is not, however many come after it.
    let (long_dead, dead) = (Uuid::new_v4(), Utc::now() - chrono::TimeDelta::days(1));
    assert!(on.consume_nonce(long_dead, dead).await.unwrap());
    for _ in 0..15 {
        assert!(on.consume_nonce(Uuid::new_v4(), later).await.unwrap());
    }
    assert!(on.is_nonce_used(one).await.unwrap() && !on.consume_nonce(one, later).await.unwrap());
    assert!(!on.is_nonce_used(long_dead).await.unwrap());
    let raced = Uuid::new_v4();
    let tries = (0..20).map(|_| on.consume_nonce(raced, later));
    let won = futures_util::future::join_all(tries).await.into_iter().filter(|won| *won.as_ref().unwrap());
    assert_eq!(won.count(), 1);
}

pub(crate) async fn events_tell_what_happened(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap_err();
    subject.put(&owner, (&made, "a"), b"22", PutMode::Upsert).await.unwrap();
    subject.rename(&owner, ("photos", "a"), ("photos", "b"), PutMode::Create).await.unwrap();
    subject.delete(&owner, "photos", "b").await.unwrap();
    let on = &subject.executor;
    on.update_bucket(
        &allow(&owner, Operation::UpdateBucket),
        &made.name,
        &crate::bucket::BucketUpdate::default(),
    )
    .await
    .unwrap();
    on.delete_bucket(&allow(&owner, Operation::DeleteBucket), &made.name).await.unwrap();
    let events = on.events(&maintain(), 0, 100).await.unwrap();
    let told: Vec<_> = events.iter().map(|e| (e.kind.as_str(), e.path.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("storage.bucket.created", None),
            ("storage.object.created", Some("a")),
            ("storage.object.updated", Some("a")),
            ("storage.object.moved", Some("b")),
            ("storage.object.deleted", Some("b")),
            ("storage.bucket.updated", None),
            ("storage.bucket.deleted", None),
        ]
    );
    assert!(events.windows(2).all(|two| two[0].sequence < two[1].sequence));
    assert!(events.iter().all(|e| e.bucket.as_deref() == Some("photos") && e.owner_id == owner.user_id()));
    assert_eq!(events[2].payload["size"], 2);
    assert_eq!(events[3].payload["from_path"], "a");
    let rest = on.events(&maintain(), events[1].sequence, 2).await.unwrap();
    assert_eq!(rest, events[2..4]);
}

pub(crate) async fn upkeep_is_the_service_roles(subject: &Subject) {
    // An access that is not to upkeep opens none of it, whoever has it.
    let access = allow(&service(), Operation::Download);
    let on = &subject.executor;
    assert!(on.all_usage(&access, 1).await.is_err());
    assert!(on.recount_usage(&access, true).await.is_err());
    assert!(on.due_deletions(&access, Duration::ZERO, 1).await.is_err());
    assert!(on.finish_deletions(&access, &[], &[]).await.is_err());
    assert!(on.known_blobs(&access, &[]).await.is_err());
    assert!(on.segment_blobs(&access, "local", None, 1).await.is_err());
    assert!(on.delete_lost_object(&access, &lost_bytes(Uuid::new_v4(), &strange())).await.is_err());
    assert!(on.orphan_job_turn(&access).await.is_err());
    assert!(on.events(&access, 0, 1).await.is_err());
    assert!(on.backlog(&access).await.is_err());
    assert!(on.own_usage(&access).await.is_err());
    on.ping().await.unwrap();
}
