//! Whose old versions are: who sees them, what a write or a deletion of somebody else leaves of them, and what it tells.

use serde_json::{Map, Value, json};

use super::subject::{Subject, allow, anon, bucket, maintain, new_blob, new_object, path, service, user};
use super::versions::{delete, end, kept, put, queued, read, seen, turn};
use crate::bucket::{Bucket, BucketConfig, BucketPolicy, BucketUpdate};
use crate::errors::StorageError;
use crate::executor::Announced;
use crate::file::{ObjectAttributes, PutMode};
use crate::permissions::{Operation, Policy, RlsContext};
use crate::versions::{VersionId, Versioning};

/// A bucket without an owner, in which rows decide.
async fn system(subject: &Subject, name: &str, policy: BucketPolicy, versioning: Versioning) -> Bucket {
    let config = BucketConfig { policy, versioning, ..BucketConfig::default() };
    subject.bucket_with(&service(), name, config).await
}

async fn create(subject: &Subject, sql: &str) {
    subject.executor.create_policy(&maintain(), &Policy::parse(sql).unwrap()).await.unwrap();
}

async fn upload(subject: &Subject, who: &RlsContext, at: (&Bucket, &str), bytes: &[u8]) -> VersionId {
    let (blob, _) = new_blob(at.0, at.1, bytes);
    subject.put_object(who, blob, &PutMode::Upsert).await.unwrap().object.version_id()
}

pub(crate) async fn a_write_keeps_a_null_version_of_somebody_else(subject: &Subject) {
    let (alice, bob) = (user(), user());
    let made = system(subject, "docs", BucketPolicy::Private, Versioning::Off).await;
    let mut hers = Vec::new();
    for at in ["put", "moved", "deleted"] {
        let (blob, _) = new_blob(&made, at, b"hers");
        hers.push(subject.put_object(&alice, blob, &PutMode::Create).await.unwrap().object);
    }
    turn(subject, &service(), "docs", Versioning::Enabled).await.unwrap();
    for at in ["put", "moved", "deleted"] {
        delete(subject, &alice, "docs", at).await.unwrap();
    }
    let of_bob = put(subject, &bob, (&made, "deleted"), b"1").await;
    turn(subject, &service(), "docs", Versioning::Suspended).await.unwrap();
    assert_eq!(end(subject, &bob, "docs", "put", VersionId::Null).await.unwrap(), None);
    // He writes, moves and deletes there; what is hers stays, by its own name.
    put(subject, &bob, (&made, "put"), b"22").await;
    let plain = subject.bucket(&bob, "plain", BucketPolicy::Private).await;
    subject.put(&bob, (&plain, "his"), b"333", PutMode::Create).await.unwrap();
    subject.rename(&bob, ("plain", "his"), ("docs", "moved"), PutMode::Create).await.unwrap();
    let gone = delete(subject, &bob, "docs", "deleted").await.unwrap();
    assert_eq!((gone.object.unwrap().version, gone.marker.unwrap().id()), (of_bob.version, VersionId::Null));
    for object in &hers {
        let at = object.path.as_str();
        let named = VersionId::Id(object.version);
        let found = read(subject, &alice, "docs", at, named).await.unwrap();
        assert_eq!((found.size, found.version_id()), (4, named), "{at}");
    }
    assert_eq!(queued(subject).await, 0);
    subject.recount().await;
    assert_eq!(
        seen(subject, &service(), "docs").await,
        [
            "deleted0*x",
            "deleted1",
            "deleted0x",
            "deleted4",
            "moved3*",
            "moved0x",
            "moved4",
            "put2*",
            "put0x",
            "put4"
        ]
    );
    // What is one's own makes way.
    delete(subject, &bob, "docs", "put").await.unwrap();
    put(subject, &bob, (&made, "put"), b"55555").await;
    assert_eq!(seen(subject, &bob, "docs").await, ["deleted0*x", "deleted1", "moved3*", "put5*"]);
    assert!(end(subject, &alice, "docs", "put", VersionId::Id(hers[0].version)).await.unwrap().is_some());
    subject.recount().await;
}

pub(crate) async fn nobody_takes_off_anothers_delete_marker(subject: &Subject) {
    let (alice, bob) = (user(), user());
    let made = system(subject, "docs", BucketPolicy::Public, Versioning::Enabled).await;
    upload(subject, &alice, (&made, "a"), b"hers").await;
    turn(subject, &service(), "docs", Versioning::Suspended).await.unwrap();
    delete(subject, &alice, "docs", "a").await.unwrap();
    put(subject, &bob, (&made, "a"), b"his").await;
    assert!(end(subject, &bob, "docs", "a", VersionId::Null).await.unwrap().is_some());
    for who in [&anon(), &bob] {
        let missing = subject.get(who, "docs", "a").await;
        assert!(matches!(missing, Err(StorageError::ObjectNotFound { .. })), "{missing:?}");
    }
    let hidden = subject.get(&alice, "docs", "a").await;
    assert!(matches!(hidden, Err(StorageError::ObjectDeleted { .. })), "{hidden:?}");
    assert_eq!(seen(subject, &alice, "docs").await, ["a0*x", "a4"]);
    subject.recount().await;
}

pub(crate) async fn a_policy_that_keeps_a_null_version_keeps_it_from_its_owner_too(subject: &Subject) {
    let owner = user();
    for (name, condition) in [("held", "path <> 'a'"), ("failing", "path::bigint > 0")] {
        let made = subject.bucket(&owner, name, BucketPolicy::Private).await;
        let null = put(subject, &owner, (&made, "a"), b"1").await;
        turn(subject, &owner, name, Versioning::Enabled).await.unwrap();
        put(subject, &owner, (&made, "a"), b"22").await;
        turn(subject, &owner, name, Versioning::Suspended).await.unwrap();
        create(
            subject,
            &format!(
                "CREATE POLICY {name} ON storage_objects AS RESTRICTIVE FOR DELETE TO authenticated \
                 USING (bucket_id <> '{name}' OR {condition})"
            ),
        )
        .await;
        put(subject, &owner, (&made, "a"), b"333").await;
        assert_eq!(seen(subject, &owner, name).await, ["a3*", "a2", "a1"]);
        read(subject, &owner, name, "a", VersionId::Id(null.version)).await.unwrap();
        assert_eq!(read(subject, &owner, name, "a", VersionId::Null).await.unwrap().size, 3);
        subject.recount().await;
    }
}

pub(crate) async fn a_buckets_policy_opens_what_is_current_alone(subject: &Subject) {
    let (owner, writer, other) = (user(), user(), user());
    for (name, policy) in [("open", BucketPolicy::Public), ("shared", BucketPolicy::Authenticated)] {
        let made = kept(subject, &owner, name, policy).await;
        let who = if policy == BucketPolicy::Public { &owner } else { &writer };
        let old = put(subject, who, (&made, "a"), b"1").await;
        let now = put(subject, who, (&made, "a"), b"22").await;
        put(subject, who, (&made, "gone"), b"1").await;
        delete(subject, who, name, "gone").await.unwrap();
        assert_eq!(seen(subject, &other, name).await, ["a2*"]);
        let refused = read(subject, &other, name, "a", old.version_id()).await;
        assert!(matches!(refused, Err(StorageError::VersionNotFound { .. })), "{refused:?}");
        assert_eq!(read(subject, &other, name, "a", now.version_id()).await.unwrap(), now);
        let missing = subject.get(&other, name, "gone").await;
        assert!(matches!(missing, Err(StorageError::ObjectNotFound { .. })), "{missing:?}");
        for sees in [&owner, who, &service()] {
            assert_eq!(seen(subject, sees, name).await, ["a2*", "a1", "gone0*x", "gone1"]);
            assert_eq!(read(subject, sees, name, "a", old.version_id()).await.unwrap(), old);
        }
    }
    assert_eq!(seen(subject, &anon(), "open").await, ["a2*"]);
    // A policy in SQL opens more.
    create(subject, "CREATE POLICY old ON storage_objects FOR SELECT TO anon USING (bucket_id = 'open')")
        .await;
    assert_eq!(seen(subject, &anon(), "open").await, ["a2*", "a1", "gone0*x", "gone1"]);
}

pub(crate) async fn a_delete_marker_is_hidden_as_what_it_hides(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    let metadata =
        |level: &str| -> Map<String, Value> { [("level".to_owned(), json!(level))].into_iter().collect() };
    for (at, content_type, level, bytes) in [
        ("large", "text/plain", "open", b"333" as &[u8]),
        ("picture", "image/png", "open", b"1"),
        ("secret", "text/plain", "secret", b"1"),
        ("shown", "text/plain", "open", b"1"),
    ] {
        let mut object = new_object(&made, at, bytes);
        object.attributes = ObjectAttributes {
            content_type: content_type.to_owned(),
            metadata: metadata(level),
            ..ObjectAttributes::default()
        };
        subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    }
    create(
        subject,
        "CREATE POLICY shown ON storage_objects FOR SELECT TO authenticated \
         USING (size < 2 AND content_type = 'text/plain' AND metadata ->> 'level' = 'open')",
    )
    .await;
    assert_eq!(seen(subject, &other, "docs").await, ["shown1*"]);
    for at in ["large", "picture"] {
        delete(subject, &owner, "docs", at).await.unwrap();
    }
    let both = ["secret", "shown"].map(path);
    let access = allow(&owner, Operation::Delete);
    subject.executor.delete_objects(&access, &bucket("docs"), &both).await.unwrap();
    assert_eq!(seen(subject, &other, "docs").await, ["shown0*x", "shown1"]);
    let missing = subject.get(&other, "docs", "large").await;
    assert!(matches!(missing, Err(StorageError::ObjectNotFound { .. })), "{missing:?}");
    // What a marker carries counts for nothing and is not shown.
    subject.recount().await;
    let marker = match subject.get(&owner, "docs", "large").await {
        Err(StorageError::ObjectDeleted { marker, .. }) => marker,
        other => panic!("{other:?}"),
    };
    let off = end(subject, &owner, "docs", "large", marker).await.unwrap().unwrap().object;
    assert_eq!((off.size, &*off.content_type, off.metadata.len(), &*off.etag), (0, "", 0, ""));
    subject.recount().await;
}

pub(crate) async fn a_policy_that_fails_on_what_a_marker_hides_keeps_the_marker(subject: &Subject) {
    const FAILS: &str = "(coalesce((metadata ->> 'n')::int, 0) = 0)";
    let (owner, other) = (user(), user());
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    let mut object = new_object(&made, "a", b"333");
    object.attributes.metadata = [("n".to_owned(), json!("no number"))].into_iter().collect();
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    delete(subject, &owner, "docs", "a").await.unwrap();
    let marker = match subject.get(&owner, "docs", "a").await {
        Err(StorageError::ObjectDeleted { marker, .. }) => marker,
        other => panic!("{other:?}"),
    };
    for (name, policy, who, is_told) in [
        ("opens", format!("FOR ALL TO authenticated USING {FAILS}"), &other, false),
        ("keeps", format!("AS RESTRICTIVE FOR DELETE TO authenticated USING {FAILS}"), &owner, true),
        ("hides", format!("AS RESTRICTIVE FOR SELECT TO authenticated USING {FAILS}"), &owner, false),
    ] {
        create(subject, &format!("CREATE POLICY {name} ON storage_objects {policy}")).await;
        let ended = end(subject, who, "docs", "a", marker).await;
        match is_told {
            true => assert!(ended.is_err(), "{name}: {ended:?}"),
            false => assert!(matches!(ended, Ok(None)), "{name}: {ended:?}"),
        }
        assert_eq!(seen(subject, &service(), "docs").await, ["a0*x", "a3"], "{name}");
        assert!(subject.executor.drop_policy(&maintain(), name).await.unwrap(), "{name}");
    }
    assert!(end(subject, &owner, "docs", "a", marker).await.unwrap().is_some());
    subject.recount().await;
}

pub(crate) async fn a_deletion_does_not_tell_what_is_hidden(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    for at in ["a", "b"] {
        put(subject, &owner, (&made, at), b"333").await;
    }
    create(
        subject,
        "CREATE POLICY small ON storage_objects AS RESTRICTIVE FOR SELECT TO authenticated USING (size < 3)",
    )
    .await;
    for at in ["a", "nothing"] {
        let gone = delete(subject, &owner, "docs", at).await.unwrap();
        assert_eq!((gone.object, gone.marker), (None, None), "{at}");
    }
    let access = allow(&owner, Operation::Delete);
    let paths = ["b", "nothing"].map(path);
    let gone = subject.executor.delete_objects(&access, &bucket("docs"), &paths).await.unwrap();
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(seen(subject, &service(), "docs").await, ["a3*", "b3*"]);
}

pub(crate) async fn admission_counts_the_null_version_that_goes(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "docs", BucketPolicy::Authenticated).await;
    put(subject, &owner, (&made, "a"), b"666666").await;
    turn(subject, &owner, "docs", Versioning::Enabled).await.unwrap();
    put(subject, &owner, (&made, "a"), b"22").await;
    turn(subject, &owner, "docs", Versioning::Suspended).await.unwrap();
    let quota = BucketUpdate { quota_bytes: Some(Some(10)), ..BucketUpdate::default() };
    let access = allow(&owner, Operation::UpdateBucket);
    subject.executor.update_bucket(&access, &made.name, &quota).await.unwrap();
    let admitted = async |who: &RlsContext| {
        let mode = PutMode::Upsert;
        let access = allow(who, Operation::Upload(&mode));
        let announced = Announced { size: Some(6), ..Announced::default() };
        let admitted =
            subject.executor.admit_put(&access, &made.name, &path("a"), &mode, &announced).await.unwrap();
        let left = admitted.quota_left.unwrap();
        (left.used, left.limit, left.returned, left.check(6).is_ok())
    };
    assert_eq!(admitted(&owner).await, (8, 10, 6, true));
    // Who may not delete it, does not gain by it.
    assert_eq!(admitted(&other).await, (8, 10, 0, false));
    assert_eq!(seen(subject, &owner, "docs").await, ["a2*", "a6"]);
    put(subject, &owner, (&made, "a"), b"666666").await;
    assert_eq!(seen(subject, &owner, "docs").await, ["a6*", "a2"]);
    subject.recount().await;
}

pub(crate) async fn a_path_that_is_named_twice_is_deleted_once(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    put(subject, &owner, (&made, "a"), b"1").await;
    let access = allow(&owner, Operation::Delete);
    let paths = ["a", "b", "a", "b"].map(path);
    let gone = subject.executor.delete_objects(&access, &bucket("docs"), &paths).await.unwrap();
    assert_eq!(gone.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(seen(subject, &owner, "docs").await, ["a0*x", "a1", "b0*x"]);
}

pub(crate) async fn only_the_newest_is_the_latest(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    for bytes in [b"1" as &[u8], b"4444"] {
        put(subject, &owner, (&made, "a"), bytes).await;
    }
    put(subject, &owner, (&made, "b"), b"1").await;
    delete(subject, &owner, "docs", "b").await.unwrap();
    put(subject, &owner, (&made, "b"), b"4444").await;
    create(subject, "CREATE POLICY small ON storage_objects FOR SELECT TO authenticated USING (size < 3)")
        .await;
    assert_eq!(seen(subject, &other, "docs").await, ["a1", "b0x", "b1"]);
    assert_eq!(seen(subject, &owner, "docs").await, ["a4*", "a1", "b4*", "b0x", "b1"]);
}

pub(crate) async fn a_version_that_goes_for_good_is_told(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    let old = put(subject, &owner, (&made, "a"), b"1").await;
    put(subject, &owner, (&made, "a"), b"22").await;
    let marker = delete(subject, &owner, "docs", "a").await.unwrap().marker.unwrap();
    let on = &subject.executor;
    let before = on.events(&maintain(), 0, 100).await.unwrap().last().unwrap().sequence;
    end(subject, &owner, "docs", "a", old.version_id()).await.unwrap().unwrap();
    end(subject, &owner, "docs", "a", marker.id()).await.unwrap().unwrap();
    let told = on.events(&maintain(), before, 100).await.unwrap();
    let kinds: Vec<_> = told.iter().map(|event| &*event.kind).collect();
    // The marker is no version of anything; what it hid is back.
    assert_eq!(kinds, ["storage.object.deleted", "storage.object.created"]);
    assert_eq!(told[0].payload["version_id"], old.version.to_string());
    assert_eq!((&told[0].payload["size"], told[0].owner_id), (&json!(1), owner.user_id()));
    assert_eq!(told[1].payload["reason"], "restored");
}

pub(crate) async fn a_bucket_is_emptied_of_many_versions(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    for at in ["a", "b", "c", "kept"] {
        for bytes in [b"1" as &[u8], b"22", b"333"] {
            put(subject, &owner, (&made, at), bytes).await;
        }
        delete(subject, &owner, "docs", at).await.unwrap();
    }
    create(
        subject,
        "CREATE POLICY kept ON storage_objects AS RESTRICTIVE FOR DELETE TO authenticated \
         USING (path <> 'kept' OR size <> 22 AND size <> 2)",
    )
    .await;
    let access = allow(&owner, Operation::EmptyBucket);
    let mut gone = 0;
    loop {
        let batch = subject.executor.empty_bucket(&access, &made.name, 2).await.unwrap().len();
        gone += batch;
        subject.recount().await;
        if batch < 2 {
            break;
        }
    }
    // What policies keep is what is there then.
    assert_eq!((gone, seen(subject, &owner, "docs").await), (15, vec!["kept2*".to_owned()]));
}
