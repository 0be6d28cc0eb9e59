//! Versions: kept, hidden, restored, deleted, listed and counted.

use uuid::Uuid;

use super::subject::{
    Subject, allow, bucket, lost_bytes, maintain, new_blob, new_object, path, service, user,
};
use crate::bucket::{Bucket, BucketConfig, BucketPolicy, BucketUpdate};
use crate::errors::StorageError;
use crate::executor::Relocation;
use crate::file::{PutMode, Sha256, StorageObject};
use crate::permissions::{Access, AccessRules, Operation, Policy, RlsContext};
use crate::versions::{Deletion, ObjectVersion, VersionId, VersionScan, Versioning};

pub(super) async fn kept(subject: &Subject, owner: &RlsContext, name: &str, policy: BucketPolicy) -> Bucket {
    let config = BucketConfig { policy, versioning: Versioning::Enabled, ..BucketConfig::default() };
    subject.bucket_with(owner, name, config).await
}

pub(super) async fn turn(
    subject: &Subject,
    owner: &RlsContext,
    name: &str,
    to: Versioning,
) -> Result<Bucket, StorageError> {
    let update = BucketUpdate { versioning: Some(to), ..BucketUpdate::default() };
    subject.executor.update_bucket(&allow(owner, Operation::UpdateBucket), &bucket(name), &update).await
}

pub(super) async fn put(
    subject: &Subject,
    who: &RlsContext,
    at: (&Bucket, &str),
    bytes: &[u8],
) -> StorageObject {
    subject.put(who, at, bytes, PutMode::Upsert).await.unwrap().object
}

async fn scan(subject: &Subject, who: &RlsContext, name: &str, scan: VersionScan) -> Vec<ObjectVersion> {
    let access = Access::check(who, Operation::ListVersions, None, AccessRules::default()).unwrap();
    subject.executor.scan_versions(&access, &bucket(name), &scan).await.unwrap()
}

/// Everything of a bucket that somebody sees: path, size, and `*` for the latest, `x` for a delete marker.
pub(super) async fn seen(subject: &Subject, who: &RlsContext, name: &str) -> Vec<String> {
    let all =
        VersionScan { prefix: String::new(), from: String::new(), after: None, until: None, limit: 1000 };
    scan(subject, who, name, all).await.iter().map(told).collect()
}

fn told(version: &ObjectVersion) -> String {
    let marks = [(version.is_latest, "*"), (version.is_delete_marker, "x")];
    let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
    format!("{}{}{marks}", version.object.path, version.object.size)
}

pub(super) async fn read(
    subject: &Subject,
    who: &RlsContext,
    name: &str,
    at: &str,
    version: VersionId,
) -> Result<StorageObject, StorageError> {
    let access = Access::check(who, Operation::Download, None, AccessRules::default())?;
    let opened = subject.executor.open_version(&access, &bucket(name), &path(at), version).await?;
    assert_eq!(opened.segments.iter().map(|segment| segment.size).sum::<u64>(), opened.object.size);
    Ok(opened.object)
}

pub(super) async fn delete(
    subject: &Subject,
    who: &RlsContext,
    name: &str,
    at: &str,
) -> Result<Deletion, StorageError> {
    let access = Access::check(who, Operation::Delete, None, AccessRules::default())?;
    subject.executor.delete_object(&access, &bucket(name), &path(at), None).await
}

pub(super) async fn end(
    subject: &Subject,
    who: &RlsContext,
    name: &str,
    at: &str,
    version: VersionId,
) -> Result<Option<ObjectVersion>, StorageError> {
    let access = Access::check(who, Operation::DeleteVersion, None, AccessRules::default())?;
    subject.executor.delete_version(&access, &bucket(name), &path(at), version, None).await
}

pub(super) async fn queued(subject: &Subject) -> u64 {
    subject.executor.backlog(&maintain()).await.unwrap().pending_deletions
}

pub(crate) async fn an_overwrite_keeps_what_was_there(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    let (blob, key) = new_blob(&made, "a", b"1");
    let first = subject.put_object(&owner, blob, &PutMode::Create).await.unwrap().object;
    assert_eq!(first.version_id(), VersionId::Id(first.version));
    let second = put(subject, &owner, (&made, "a"), b"22").await;
    assert_eq!((second.id, second.created_at, second.owner_id), (first.id, first.created_at, first.owner_id));
    assert_eq!(subject.get(&owner, "docs", "a").await.unwrap(), second);
    assert_eq!(read(subject, &owner, "docs", "a", first.version_id()).await.unwrap(), first);
    assert_eq!(read(subject, &owner, "docs", "a", second.version_id()).await.unwrap(), second);
    assert_eq!(seen(subject, &owner, "docs").await, ["a2*", "a1"]);
    assert_eq!(queued(subject).await, 0);
    let known = subject.executor.known_blobs(&maintain(), std::slice::from_ref(&key)).await.unwrap();
    assert_eq!(known, std::slice::from_ref(&key));
    let blobs = subject.executor.segment_blobs(&maintain(), "local", None, 10).await.unwrap();
    assert_eq!(
        blobs.iter().map(|blob| (&blob.key, blob.version)).collect::<Vec<_>>(),
        [(&key, first.version)]
    );
    let shown = subject.shown("docs").await;
    assert_eq!((shown.file_count, shown.total_bytes, shown.config.versioning), (1, 3, Versioning::Enabled));
    let unknown = read(subject, &owner, "docs", "a", VersionId::Id(Uuid::new_v4())).await;
    assert!(matches!(unknown, Err(StorageError::VersionNotFound { .. })), "{unknown:?}");
    let elsewhere = read(subject, &owner, "docs", "b", first.version_id()).await;
    assert!(matches!(elsewhere, Err(StorageError::VersionNotFound { .. })), "{elsewhere:?}");
    subject.recount().await;
    let off = turn(subject, &owner, "docs", Versioning::Off).await;
    assert!(matches!(off, Err(StorageError::InvalidRequest { .. })), "{off:?}");
}

pub(crate) async fn a_delete_marker_hides_and_comes_off(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    let object = put(subject, &owner, (&made, "a"), b"1").await;
    let gone = delete(subject, &owner, "docs", "a").await.unwrap();
    assert_eq!(gone.object.as_ref(), Some(&object));
    let marker = gone.marker.unwrap().id();
    match subject.get(&owner, "docs", "a").await {
        Err(StorageError::ObjectDeleted { marker: said, .. }) => assert_eq!(said, marker),
        other => panic!("{other:?}"),
    }
    let opened = read(subject, &owner, "docs", "a", marker).await;
    assert!(matches!(opened, Err(StorageError::VersionIsMarker { .. })), "{opened:?}");
    assert_eq!(seen(subject, &owner, "docs").await, ["a0*x", "a1"]);
    assert_eq!((subject.shown("docs").await.file_count, subject.shown("docs").await.total_bytes), (0, 1));
    subject.recount().await;
    // Taken off, it leaves the object as it was.
    let off = end(subject, &owner, "docs", "a", marker).await.unwrap().unwrap();
    assert!(off.is_delete_marker);
    assert_eq!(subject.get(&owner, "docs", "a").await.unwrap(), object);
    assert_eq!(seen(subject, &owner, "docs").await, ["a1*"]);
    assert_eq!(subject.shown("docs").await.file_count, 1);
    subject.recount().await;
    // Written over, it stays under what is written.
    delete(subject, &owner, "docs", "a").await.unwrap();
    put(subject, &owner, (&made, "a"), b"333").await;
    assert_eq!(seen(subject, &owner, "docs").await, ["a3*", "a0x", "a1"]);
    // Where nothing is, those put one there to whom the bucket is open.
    let nothing = delete(subject, &owner, "docs", "b").await.unwrap();
    assert!(nothing.object.is_none() && nothing.marker.is_some(), "{nothing:?}");
    let access = allow(&owner, Operation::Delete);
    let paths = ["a", "c"].map(path);
    let many = subject.executor.delete_objects(&access, &bucket("docs"), &paths).await.unwrap();
    assert_eq!(
        many.iter().map(|one| (one.object.is_some(), one.marker.is_some())).collect::<Vec<_>>(),
        [(true, true), (false, true)]
    );
    assert_eq!(seen(subject, &owner, "docs").await, ["a0*x", "a3", "a0x", "a1", "b0*x", "c0*x"]);
    subject.recount().await;
}

pub(crate) async fn a_version_is_deleted_for_good(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    let mut versions = Vec::new();
    for bytes in [b"1" as &[u8], b"22", b"333"] {
        let (blob, _) = new_blob(&made, "a", bytes);
        versions.push(subject.put_object(&owner, blob, &PutMode::Upsert).await.unwrap().object);
    }
    // An old one, the current one, and the last.
    assert_eq!(
        end(subject, &owner, "docs", "a", versions[1].version_id()).await.unwrap().unwrap().object.size,
        2
    );
    assert_eq!(
        (seen(subject, &owner, "docs").await, queued(subject).await),
        (vec!["a3*".into(), "a1".into()], 1)
    );
    end(subject, &owner, "docs", "a", versions[2].version_id()).await.unwrap().unwrap();
    assert_eq!(subject.get(&owner, "docs", "a").await.unwrap(), versions[0]);
    assert_eq!((seen(subject, &owner, "docs").await, queued(subject).await), (vec!["a1*".to_owned()], 2));
    subject.recount().await;
    end(subject, &owner, "docs", "a", versions[0].version_id()).await.unwrap().unwrap();
    assert_eq!((seen(subject, &owner, "docs").await, queued(subject).await), (vec![], 3));
    let missing = subject.get(&owner, "docs", "a").await;
    assert!(matches!(missing, Err(StorageError::ObjectNotFound { .. })), "{missing:?}");
    assert_eq!(end(subject, &owner, "docs", "a", versions[0].version_id()).await.unwrap(), None);
    assert_eq!(subject.shown("docs").await.total_bytes, 0);
    subject.recount().await;
}

pub(crate) async fn a_suspended_bucket_has_one_null_version(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    let null = put(subject, &owner, (&made, "a"), b"1").await;
    assert_eq!(null.version_id(), VersionId::Null);
    turn(subject, &owner, "docs", Versioning::Enabled).await.unwrap();
    put(subject, &owner, (&made, "a"), b"22").await;
    assert_eq!(read(subject, &owner, "docs", "a", VersionId::Null).await.unwrap(), null);
    assert_eq!(read(subject, &owner, "docs", "a", VersionId::Id(null.version)).await.unwrap(), null);
    turn(subject, &owner, "docs", Versioning::Suspended).await.unwrap();
    // The new null version takes the old one's place, and keeps the version that has a name.
    let (blob, _) = new_blob(&made, "a", b"333");
    let third = subject.put_object(&owner, blob, &PutMode::Upsert).await.unwrap().object;
    assert_eq!(third.version_id(), VersionId::Null);
    assert_eq!(seen(subject, &owner, "docs").await, ["a3*", "a2"]);
    subject.recount().await;
    put(subject, &owner, (&made, "a"), b"4444").await;
    assert_eq!(
        (seen(subject, &owner, "docs").await, queued(subject).await),
        (vec!["a4*".into(), "a2".into()], 1)
    );
    // So does a delete marker, of which there is one, too.
    let gone = delete(subject, &owner, "docs", "a").await.unwrap();
    assert_eq!(gone.marker.unwrap().id(), VersionId::Null);
    assert_eq!(seen(subject, &owner, "docs").await, ["a0*x", "a2"]);
    delete(subject, &owner, "docs", "a").await.unwrap();
    assert_eq!(seen(subject, &owner, "docs").await, ["a0*x", "a2"]);
    subject.recount().await;
    put(subject, &owner, (&made, "a"), b"55555").await;
    assert_eq!(seen(subject, &owner, "docs").await, ["a5*", "a2"]);
    end(subject, &owner, "docs", "a", VersionId::Null).await.unwrap().unwrap();
    assert_eq!(seen(subject, &owner, "docs").await, ["a2*"]);
    // What has a name is hidden and stays.
    delete(subject, &owner, "docs", "a").await.unwrap();
    assert_eq!(seen(subject, &owner, "docs").await, ["a0*x", "a2"]);
    subject.recount().await;
}

pub(crate) async fn versions_count_against_quotas(subject: &Subject) {
    let owner = user();
    let config =
        BucketConfig { quota_bytes: Some(10), versioning: Versioning::Enabled, ..BucketConfig::default() };
    let made = subject.bucket_with(&owner, "tight", config).await;
    let first = put(subject, &owner, (&made, "a"), b"12345").await;
    put(subject, &owner, (&made, "a"), b"12345").await;
    let full = subject.put(&owner, (&made, "a"), b"1", PutMode::Upsert).await;
    assert!(matches!(full, Err(StorageError::QuotaExceeded { .. })), "{full:?}");
    // A deletion takes no room, and gives none.
    delete(subject, &owner, "tight", "a").await.unwrap();
    let full = subject.put(&owner, (&made, "b"), b"1", PutMode::Upsert).await;
    assert!(matches!(full, Err(StorageError::QuotaExceeded { .. })), "{full:?}");
    let usage = subject.executor.own_usage(&allow(&owner, Operation::ReadUsage)).await.unwrap();
    assert_eq!((usage.total_bytes, usage.file_count), (10, 0));
    end(subject, &owner, "tight", "a", first.version_id()).await.unwrap().unwrap();
    put(subject, &owner, (&made, "b"), b"12345").await;
    // A null version that is written anew gives back what it took.
    turn(subject, &owner, "tight", Versioning::Suspended).await.unwrap();
    let update = BucketUpdate { quota_bytes: Some(Some(15)), ..BucketUpdate::default() };
    subject
        .executor
        .update_bucket(&allow(&service(), Operation::UpdateBucket), &made.name, &update)
        .await
        .unwrap();
    for _ in 0..3 {
        put(subject, &owner, (&made, "c"), b"12345").await;
    }
    subject.recount().await;
}

pub(crate) async fn old_versions_are_seen_and_deleted_by_whom_their_rows_let(subject: &Subject) {
    let (owner, writer, other) = (user(), user(), user());
    // Rows decide in a system bucket: of each object, its owner's.
    let config = BucketConfig { versioning: Versioning::Enabled, ..BucketConfig::default() };
    let rows = subject.bucket_with(&service(), "rows", config).await;
    let mine = put(subject, &writer, (&rows, "a"), b"1").await;
    put(subject, &writer, (&rows, "a"), b"22").await;
    let hidden = read(subject, &other, "rows", "a", mine.version_id()).await;
    assert!(matches!(hidden, Err(StorageError::VersionNotFound { .. })), "{hidden:?}");
    assert_eq!(end(subject, &other, "rows", "a", mine.version_id()).await.unwrap(), None);
    assert!(seen(subject, &other, "rows").await.is_empty());
    assert_eq!(seen(subject, &writer, "rows").await, ["a2*", "a1"]);
    // Who may overwrite and not delete, ends no version.
    let shared = kept(subject, &owner, "shared", BucketPolicy::Authenticated).await;
    let first = put(subject, &writer, (&shared, "a"), b"1").await;
    put(subject, &other, (&shared, "a"), b"22").await;
    let current = subject.get(&other, "shared", "a").await.unwrap().version_id();
    let refused = end(subject, &other, "shared", "a", current).await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
    assert_eq!(end(subject, &other, "shared", "a", first.version_id()).await.unwrap(), None);
    assert_eq!(seen(subject, &other, "shared").await, ["a2*"]);
    assert_eq!(seen(subject, &writer, "shared").await, ["a2*", "a1"]);
    end(subject, &writer, "shared", "a", first.version_id()).await.unwrap().unwrap();
    // A closed bucket is closed for what was in it.
    let closed = kept(subject, &owner, "closed", BucketPolicy::Private).await;
    let old = put(subject, &owner, (&closed, "a"), b"1").await;
    put(subject, &owner, (&closed, "a"), b"22").await;
    for outcome in [
        read(subject, &other, "closed", "a", old.version_id()).await.map(drop),
        end(subject, &other, "closed", "a", old.version_id()).await.map(drop),
    ] {
        assert!(matches!(outcome, Err(StorageError::Unauthorized(_))), "{outcome:?}");
    }
    let anon = read(subject, &super::subject::anon(), "closed", "a", old.version_id()).await;
    assert!(matches!(anon, Err(StorageError::AuthRequired(_))), "{anon:?}");
    assert!(seen(subject, &other, "closed").await.is_empty());
    // A marker on a path tells nobody of it who does not see it.
    delete(subject, &writer, "rows", "a").await.unwrap();
    let missing = subject.get(&other, "rows", "a").await;
    assert!(matches!(missing, Err(StorageError::ObjectNotFound { .. })), "{missing:?}");
    subject.recount().await;
}

pub(crate) async fn policies_speak_of_old_versions(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    let small = put(subject, &owner, (&made, "a"), b"1").await;
    let large = put(subject, &owner, (&made, "a"), b"333").await;
    put(subject, &owner, (&made, "a"), b"4").await;
    let create = async |sql: &str| {
        let policy = Policy::parse(sql).unwrap();
        subject.executor.create_policy(&maintain(), &policy).await.unwrap();
    };
    create("CREATE POLICY small ON storage_objects FOR SELECT TO authenticated USING (size < 2)").await;
    assert_eq!(seen(subject, &other, "docs").await, ["a1*", "a1"]);
    read(subject, &other, "docs", "a", small.version_id()).await.unwrap();
    read(subject, &other, "docs", "a", large.version_id()).await.unwrap_err();
    let refused = end(subject, &other, "docs", "a", small.version_id()).await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
    create("CREATE POLICY gone ON storage_objects FOR DELETE TO authenticated USING (size < 2)").await;
    end(subject, &other, "docs", "a", small.version_id()).await.unwrap().unwrap();
    assert_eq!(end(subject, &other, "docs", "a", large.version_id()).await.unwrap(), None);
    create(
        "CREATE POLICY none ON storage_objects AS RESTRICTIVE FOR SELECT TO authenticated USING (size > 3)",
    )
    .await;
    assert!(seen(subject, &owner, "docs").await.is_empty());
    read(subject, &owner, "docs", "a", large.version_id()).await.unwrap_err();
    assert!(subject.executor.drop_policy(&maintain(), "none").await.unwrap());
    assert_eq!(seen(subject, &owner, "docs").await, ["a1*", "a3"]);
    assert!(subject.executor.drop_policy(&maintain(), "small").await.unwrap());
    assert!(seen(subject, &other, "docs").await.is_empty());
    subject.recount().await;
}

pub(crate) async fn versions_are_listed_newest_first_and_in_pages(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    for (at, sizes) in [("a", 1..4_usize), ("a/b", 4..5), ("b", 5..8)] {
        for size in sizes {
            put(subject, &owner, (&made, at), &vec![0; size]).await;
        }
    }
    delete(subject, &owner, "docs", "b").await.unwrap();
    let whole = seen(subject, &owner, "docs").await;
    assert_eq!(whole, ["a3*", "a2", "a1", "a/b4*", "b0*x", "b7", "b6", "b5"]);
    // Page by page, it is the same.
    for limit in 1..4 {
        let mut paged = Vec::new();
        let mut at =
            VersionScan { prefix: String::new(), from: String::new(), after: None, until: None, limit };
        loop {
            let page = scan(subject, &owner, "docs", at.clone()).await;
            let Some(last) = page.last() else { break };
            (at.from, at.after) = (last.object.path.to_string(), Some(last.object.version_id()));
            paged.extend(page.iter().map(told));
        }
        assert_eq!(paged, whole, "{limit}");
    }
    let below = VersionScan {
        prefix: "a/".into(),
        from: "a/".into(),
        after: None,
        until: Some("a0".into()),
        limit: 9,
    };
    assert_eq!(scan(subject, &owner, "docs", below).await.iter().map(told).collect::<Vec<_>>(), ["a/b4*"]);
    // After a version that is gone meanwhile, with what is left of its path.
    let gone = VersionScan {
        prefix: String::new(),
        from: "b".into(),
        after: Some(VersionId::Id(Uuid::new_v4())),
        until: None,
        limit: 2,
    };
    assert_eq!(
        scan(subject, &owner, "docs", gone).await.iter().map(told).collect::<Vec<_>>(),
        ["b0*x", "b7"]
    );
    assert!(seen(subject, &owner, "nothing").await.is_empty());
}

pub(crate) async fn a_move_out_of_a_bucket_with_versions_leaves_a_marker(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    let plain = subject.bucket(&owner, "plain", BucketPolicy::Private).await;
    let object = put(subject, &owner, (&made, "a"), b"1").await;
    let mode = PutMode::Create;
    let access = allow(&owner, Operation::Move(&mode));
    let (a, b) = (path("a"), path("b"));
    let on = &subject.executor;
    let moved = on.move_object(&access, (&made.name, &a), (&made.name, &b), &mode).await.unwrap();
    assert_eq!(moved, Relocation::KeepsVersions);
    let copy = || new_object(&plain, "b", b"1");
    let from = (&made.name, &a);
    let foreign =
        on.move_copied(&allow(&other, Operation::Move(&mode)), from, object.version, copy(), &mode).await;
    assert!(matches!(foreign, Err(StorageError::Unauthorized(_))), "{foreign:?}");
    let stale = on.move_copied(&access, from, Uuid::new_v4(), copy(), &mode).await;
    assert!(matches!(stale, Err(StorageError::PreconditionFailed { .. })), "{stale:?}");
    assert!(subject.get(&owner, "plain", "b").await.is_err());
    on.move_copied(&access, from, object.version, copy(), &mode).await.unwrap();
    assert_eq!(subject.get(&owner, "plain", "b").await.unwrap().size, 1);
    assert_eq!(seen(subject, &owner, "docs").await, ["a0*x", "a1"]);
    subject.recount().await;
    // Into one that keeps versions, a row moves, and keeps what it replaces.
    put(subject, &owner, (&made, "c"), b"22").await;
    let mode = PutMode::Upsert;
    subject.rename(&owner, ("plain", "b"), ("docs", "c"), mode).await.unwrap();
    let moved = subject.get(&owner, "docs", "c").await.unwrap();
    assert_eq!((moved.size, moved.version_id()), (1, VersionId::Id(moved.version)));
    assert_eq!(seen(subject, &owner, "docs").await, ["a0*x", "a1", "c1*", "c2"]);
    subject.recount().await;
}

pub(crate) async fn a_bucket_with_versions_is_not_empty(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    for at in ["a", "a", "a", "b"] {
        let (blob, _) = new_blob(&made, at, b"1");
        subject.put_object(&owner, blob, &PutMode::Upsert).await.unwrap();
    }
    for at in ["a", "b"] {
        delete(subject, &owner, "docs", at).await.unwrap();
    }
    put(subject, &owner, (&made, "c"), b"1").await;
    let on = &subject.executor;
    let access = allow(&owner, Operation::DeleteBucket);
    delete(subject, &owner, "docs", "c").await.unwrap();
    assert_eq!(subject.shown("docs").await.file_count, 0);
    let refused = on.delete_bucket(&access, &made.name).await;
    assert!(matches!(refused, Err(StorageError::BucketNotEmpty { .. })), "{refused:?}");
    put(subject, &owner, (&made, "d"), b"1").await;
    let emptying = allow(&owner, Operation::EmptyBucket);
    let mut gone = 0;
    loop {
        let batch = on.empty_bucket(&emptying, &made.name, 3).await.unwrap().len();
        gone += batch;
        subject.recount().await;
        if batch < 3 {
            break;
        }
    }
    // Four of blobs, two inline, and three markers.
    assert_eq!((gone, queued(subject).await), (9, 4));
    assert!(seen(subject, &owner, "docs").await.is_empty());
    on.delete_bucket(&access, &made.name).await.unwrap();
}

pub(crate) async fn lost_versions_go_and_what_is_under_them_comes_up(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    let first = put(subject, &owner, (&made, "a"), b"1").await;
    let put_blob = async |bytes: &[u8]| {
        let (object, key) = new_blob(&made, "a", bytes);
        let version = subject.put_object(&owner, object, &PutMode::Upsert).await.unwrap().object.version;
        lost_bytes(version, &key)
    };
    let (second, third) = (put_blob(b"22").await, put_blob(b"333").await);
    let on = &subject.executor;
    assert!(on.delete_lost_object(&maintain(), &second).await.unwrap());
    assert!(on.delete_lost_object(&maintain(), &third).await.unwrap());
    assert!(!on.delete_lost_object(&maintain(), &third).await.unwrap());
    assert_eq!(subject.get(&owner, "docs", "a").await.unwrap(), first);
    subject.recount().await;
}

pub(crate) async fn twenty_writers_leave_twenty_versions(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    let writes = (1..=20_usize).map(|size| {
        let (executor, made, owner) = (subject.executor.clone(), made.clone(), owner.clone());
        tokio::spawn(async move {
            let object = new_object(&made, "a", &vec![7; size]);
            let mode = PutMode::Upsert;
            executor.put_object(&allow(&owner, Operation::Upload(&mode)), object, &mode).await.unwrap().object
        })
    });
    let mut written = Vec::new();
    for write in writes.collect::<Vec<_>>() {
        written.push(write.await.unwrap());
    }
    assert_eq!(seen(subject, &owner, "docs").await.len(), 20);
    for object in &written {
        let read = read(subject, &owner, "docs", "a", object.version_id()).await.unwrap();
        let bytes = vec![7; usize::try_from(object.size).unwrap()];
        assert_eq!((read.version, read.checksum), (object.version, Some(Sha256::of(&bytes))));
    }
    let shown = subject.shown("docs").await;
    assert_eq!((shown.file_count, shown.total_bytes), (1, (1..=20).sum()));
    subject.recount().await;
}
