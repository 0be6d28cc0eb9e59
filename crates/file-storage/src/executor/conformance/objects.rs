//! Objects: written, read, replaced, deleted, moved.

use bytes::Bytes;

use super::subject::{
    Subject, allow, bucket, listing, new_blob, new_object, path, paths, service, user, with_segments,
};
use crate::bucket::{BucketConfig, BucketPolicy, MimePattern};
use crate::errors::StorageError;
use crate::executor::Announced;
use crate::file::{BlobKey, ETags, Place, PutMode, Sha256};
use crate::permissions::{Access, Operation};
use crate::versions::Deletion;

pub(crate) async fn objects_are_written_and_read_back(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let parts: [&[u8]; 2] = [b"first ", b"second"];
    let key = BlobKey::new(made.uuid);
    let mut object = with_segments(
        &made,
        "a/b.txt",
        b"first second",
        [
            (parts[0], Place::Blob { provider: "local".into(), key }),
            (parts[1], Place::Inline(Bytes::from_static(b"second"))),
        ],
    );
    object.attributes.cache_control = Some("max-age=1".to_owned());
    object.attributes.metadata.insert("k".to_owned(), serde_json::json!({"v": [1, "ü"]}));
    let written = subject.put_object(&owner, object.clone(), &PutMode::Create).await.unwrap();
    assert!(written.created);
    assert_eq!(written.object.owner_id, owner.user_id());
    let opened = subject
        .executor
        .open_object(&allow(&owner, Operation::Download), &bucket("photos"), &path("a/b.txt"))
        .await
        .unwrap();
    assert_eq!(opened.object, written.object);
    assert_eq!(opened.segments, object.segments);
    assert_eq!(opened.object.metadata, object.attributes.metadata);
    assert_eq!(subject.get(&owner, "photos", "a/b.txt").await.unwrap(), written.object);
    let missing = subject.get(&owner, "photos", "a/b").await;
    assert!(matches!(missing, Err(StorageError::ObjectNotFound { .. })), "{missing:?}");
}

pub(crate) async fn fs_i4_one_object_per_path(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    let again = subject.put(&owner, (&made, "a"), b"2", PutMode::Create).await;
    assert!(matches!(again, Err(StorageError::ObjectExists { .. })), "{again:?}");
    subject.put(&owner, (&made, "A"), b"3", PutMode::Create).await.unwrap();
    assert_eq!(subject.get(&owner, "photos", "a").await.unwrap().checksum, Some(Sha256::of(b"1")));
    assert_eq!(subject.shown("photos").await.file_count, 2);
}

pub(crate) async fn modes_meet_their_conditions(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let tag = |bytes: &[u8]| Sha256::of(bytes).to_hex();
    subject.put(&owner, (&made, "taken"), b"1", PutMode::Create).await.unwrap();
    let these = |bytes: &[u8]| ETags::These(vec!["x".to_owned(), tag(bytes)]);
    let cases: [(&str, PutMode, &str); 10] = [
        ("free", PutMode::IfMatch(ETags::Any), "PRECONDITION_FAILED"),
        ("free", PutMode::IfMatch(these(b"1")), "PRECONDITION_FAILED"),
        ("taken", PutMode::IfMatch(these(b"2")), "PRECONDITION_FAILED"),
        ("taken", PutMode::IfNoneMatch(ETags::Any), "PRECONDITION_FAILED"),
        ("taken", PutMode::IfNoneMatch(these(b"1")), "PRECONDITION_FAILED"),
        ("taken", PutMode::Create, "OBJECT_EXISTS"),
        ("taken", PutMode::IfMatch(these(b"1")), "replaced"),
        ("taken", PutMode::IfNoneMatch(these(b"2")), "replaced"),
        ("taken", PutMode::Upsert, "replaced"),
        ("free", PutMode::IfNoneMatch(ETags::Any), "created"),
    ];
    for (at, mode, expected) in cases {
        let access = allow(&owner, Operation::Upload(&mode));
        let admitted =
            subject.executor.admit_put(&access, &made.name, &path(at), &mode, &Announced::default()).await;
        let written = subject.put(&owner, (&made, at), b"1", mode.clone()).await;
        let found = match &written {
            Ok(written) if written.created => "created",
            Ok(_) => "replaced",
            Err(error) => error.code(),
        };
        assert_eq!(found, expected, "{at} {mode:?}");
        // Leave to write is given and refused as the write is.
        assert_eq!(
            admitted.err().map(|error| error.to_string()),
            written.err().map(|error| error.to_string()),
            "{at} {mode:?}"
        );
    }
    subject.recount().await;
}

pub(crate) async fn an_overwrite_keeps_id_owner_and_creation(subject: &Subject) {
    let (owner, writer) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    let first = subject.put(&writer, (&made, "a"), b"1", PutMode::Create).await.unwrap().object;
    let second = subject.put(&owner, (&made, "a"), b"22", PutMode::Upsert).await.unwrap();
    assert!(!second.created);
    let second = second.object;
    assert_eq!(
        (second.id, second.owner_id, second.created_at),
        (first.id, writer.user_id(), first.created_at)
    );
    assert_ne!(second.version, first.version);
    assert!(second.updated_at >= first.updated_at);
    assert_eq!(subject.get(&owner, "photos", "a").await.unwrap(), second);
    subject.recount().await;
}

pub(crate) async fn a_deletion_under_a_condition_takes_the_object_that_was_meant(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let first = subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap().object;
    let access = allow(&owner, Operation::Delete);
    let delete = async |access: &Access, at: &str, condition: &ETags| {
        subject.executor.delete_object(access, &bucket("photos"), &path(at), Some(condition)).await
    };
    let these = |tags: &[&str]| ETags::These(tags.iter().map(|tag| (*tag).to_owned()).collect());
    let failed = |outcome: Result<Deletion, StorageError>| {
        assert!(matches!(outcome, Err(StorageError::PreconditionFailed { .. })), "{outcome:?}");
    };
    failed(delete(&access, "a", &these(&["other"])).await);
    failed(delete(&access, "a", &these(&[])).await);
    failed(delete(&access, "nothing", &ETags::Any).await);
    // Who may delete nothing there is told that, and nothing of what is there.
    let refused = delete(&allow(&other, Operation::Delete), "a", &these(&[&first.etag])).await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
    assert_eq!(subject.get(&owner, "photos", "a").await.unwrap(), first);
    let gone = delete(&access, "a", &these(&["other", &first.etag])).await.unwrap();
    assert_eq!(gone.object.map(|object| object.version), Some(first.version));
    failed(delete(&access, "a", &these(&[&first.etag])).await);

    // Of many who saw the same object, one deletes it; nobody deletes what came after.
    subject.put(&owner, (&made, "a"), b"2", PutMode::Create).await.unwrap();
    failed(delete(&access, "a", &these(&[&first.etag])).await);
    assert!(delete(&access, "a", &ETags::Any).await.unwrap().object.is_some());
    subject.recount().await;
}

pub(crate) async fn deletes_are_idempotent(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    for at in ["a", "b", "c"] {
        subject.put(&owner, (&made, at), b"1", PutMode::Create).await.unwrap();
    }
    assert_eq!(subject.delete(&owner, "photos", "a").await.unwrap().unwrap().path, path("a"));
    assert_eq!(subject.delete(&owner, "photos", "a").await.unwrap(), None);
    let paths = ["c", "nothing", "b", "b"].map(path);
    let access = allow(&owner, Operation::Delete);
    let gone = subject.executor.delete_objects(&access, &bucket("photos"), &paths).await.unwrap();
    assert_eq!(gone.iter().map(|o| o.path.as_str()).collect::<Vec<_>>(), ["c", "b"]);
    let none = subject.executor.delete_objects(&access, &bucket("nothing"), &paths).await.unwrap();
    assert!(none.is_empty());
    assert_eq!(subject.shown("photos").await.file_count, 0);
    subject.recount().await;
}

pub(crate) async fn moves_keep_what_they_move(subject: &Subject) {
    let (owner, writer) = (user(), user());
    let from = subject.bucket(&owner, "from", BucketPolicy::Authenticated).await;
    subject.bucket(&owner, "to", BucketPolicy::Private).await;
    let (object, key) = new_blob(&from, "a", b"bytes");
    let before = subject.put_object(&writer, object, &PutMode::Create).await.unwrap().object;
    let same = subject.rename(&owner, ("from", "a"), ("from", "a"), PutMode::Create).await.unwrap();
    assert_eq!(same, before);
    let moved = subject.rename(&owner, ("from", "a"), ("to", "b/c"), PutMode::Create).await.unwrap();
    assert_eq!((moved.id, moved.owner_id, moved.checksum), (before.id, writer.user_id(), before.checksum));
    assert_ne!(moved.version, before.version);
    let access = allow(&owner, Operation::Download);
    let opened = subject.executor.open_object(&access, &bucket("to"), &path("b/c")).await.unwrap();
    assert_eq!(opened.object, moved);
    assert!(matches!(&opened.segments[0].place, Place::Blob { key: found, .. } if *found == key));
    let gone = subject.get(&owner, "from", "a").await;
    assert!(matches!(gone, Err(StorageError::ObjectNotFound { .. })), "{gone:?}");
    assert_eq!((subject.shown("from").await.file_count, subject.shown("to").await.total_bytes), (0, 5));
    subject.recount().await;
}

pub(crate) async fn moves_replace_and_refuse_like_writes(subject: &Subject) {
    let owner = user();
    let from = subject.bucket(&owner, "from", BucketPolicy::Private).await;
    let tight = BucketConfig { quota_bytes: Some(3), max_file_size: 4, ..BucketConfig::default() };
    let to = subject.bucket_with(&owner, "to", tight).await;
    for (at, bytes) in [("a", &b"12"[..]), ("b", b"1234"), ("c", b"12345")] {
        subject.put(&owner, (&from, at), bytes, PutMode::Create).await.unwrap();
    }
    subject.put(&owner, (&to, "old"), b"123", PutMode::Create).await.unwrap();
    let code = async |from, to, mode| match subject.rename(&owner, from, to, mode).await {
        Ok(_) => "moved",
        Err(error) => error.code(),
    };
    assert_eq!(code(("from", "nothing"), ("to", "x"), PutMode::Create).await, "OBJECT_NOT_FOUND");
    assert_eq!(code(("from", "a"), ("nothing", "x"), PutMode::Create).await, "BUCKET_NOT_FOUND");
    assert_eq!(code(("from", "a"), ("to", "old"), PutMode::Create).await, "OBJECT_EXISTS");
    assert_eq!(code(("from", "a"), ("to", "new"), PutMode::Create).await, "QUOTA_EXCEEDED");
    assert_eq!(code(("from", "b"), ("to", "old"), PutMode::Upsert).await, "QUOTA_EXCEEDED");
    assert_eq!(code(("from", "c"), ("to", "old"), PutMode::Upsert).await, "PAYLOAD_TOO_LARGE");
    assert_eq!(code(("from", "a"), ("to", "old"), PutMode::Upsert).await, "moved");
    assert_eq!(subject.shown("to").await.total_bytes, 2);
    assert_eq!(code(("from", "b"), ("from", "c"), PutMode::Upsert).await, "moved");
    assert_eq!(subject.shown("from").await.total_bytes, 4);
    // Bytes of a kind that the target does not take.
    let images = BucketConfig {
        allowed_mime_types: Some(vec![MimePattern::parse("image/*").unwrap()]),
        ..BucketConfig::default()
    };
    subject.bucket_with(&owner, "images", images).await;
    assert_eq!(code(("from", "c"), ("images", "x"), PutMode::Create).await, "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(code(("from", "c"), ("from", "d"), PutMode::Create).await, "moved");
    subject.recount().await;
}

pub(crate) async fn writes_to_a_bucket_made_anew_are_refused(subject: &Subject) {
    let owner = user();
    let old = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let access = allow(&owner, Operation::DeleteBucket);
    subject.executor.delete_bucket(&access, &bucket("photos")).await.unwrap();
    subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let late = subject.put(&owner, (&old, "a"), b"1", PutMode::Create).await;
    assert!(matches!(late, Err(StorageError::BucketNotFound { .. })), "{late:?}");
}

pub(crate) async fn large_and_odd_values_survive(subject: &Subject) {
    let made = subject.bucket(&service(), "photos", BucketPolicy::Private).await;
    let inline = vec![7_u8; 16 << 10];
    let long = format!("{}/'\"%_\\日本\u{10ffff}", "x".repeat(900));
    for (at, bytes) in [("empty", &[][..]), (long.as_str(), &inline)] {
        let written = subject.put(&service(), (&made, at), bytes, PutMode::Create).await.unwrap();
        let access = allow(&service(), Operation::Download);
        let opened = subject.executor.open_object(&access, &made.name, &path(at)).await.unwrap();
        assert_eq!(opened.object, written.object);
        assert_eq!(opened.segments, new_object(&made, at, bytes).segments);
        assert_eq!(opened.object.owner_id, None);
    }
    subject.recount().await;
}

pub(crate) async fn the_same_path_in_another_bucket_is_another_object(subject: &Subject) {
    let (owner, other) = (user(), user());
    let on = &subject.executor;
    // The one that is to stay was there first, in the order of names and of rows.
    let stays = subject.bucket(&owner, "a-stays", BucketPolicy::Private).await;
    let goes = subject.bucket(&other, "b-goes", BucketPolicy::Authenticated).await;
    let last = subject.bucket(&other, "c-last", BucketPolicy::Authenticated).await;
    subject.put(&owner, (&stays, "a"), b"stays", PutMode::Create).await.unwrap();
    let whole = async |caller, name: &str| {
        let access = allow(caller, Operation::Download);
        on.open_object(&access, &bucket(name), &path("a")).await.map(|it| it.object.checksum)
    };
    for round in 0..4 {
        // Not there yet, though it is in the other bucket.
        let missing = whole(&other, "b-goes").await;
        assert!(matches!(missing, Err(StorageError::ObjectNotFound { .. })), "{missing:?}");
        assert_eq!(subject.delete(&other, "b-goes", "a").await.unwrap(), None);
        subject.put(&other, (&goes, "a"), b"goes", PutMode::Create).await.unwrap();
        assert_eq!(whole(&other, "b-goes").await.unwrap(), Some(Sha256::of(b"goes")));
        let listed = subject.list(&other, "b-goes", &listing("", true)).await;
        assert_eq!((paths(&listed), listed.entries.len()), (vec!["a"], 1));
        match round {
            0 => drop(subject.delete(&other, "b-goes", "a").await.unwrap().unwrap()),
            1 => {
                let access = allow(&other, Operation::Delete);
                assert_eq!(on.delete_objects(&access, &goes.name, &[path("a")]).await.unwrap().len(), 1);
            }
            2 => {
                subject.rename(&other, ("b-goes", "a"), ("c-last", "a"), PutMode::Upsert).await.unwrap();
            }
            _ => {
                let access = allow(&other, Operation::EmptyBucket);
                assert_eq!(on.empty_bucket(&access, &goes.name, 10).await.unwrap().len(), 1);
            }
        }
        assert_eq!(whole(&owner, "a-stays").await.unwrap(), Some(Sha256::of(b"stays")), "round {round}");
        subject.recount().await;
    }
    on.delete_bucket(&allow(&other, Operation::DeleteBucket), &goes.name).await.unwrap();
    assert_eq!(subject.shown("a-stays").await.file_count, 1);
    assert_eq!(subject.get(&other, last.name.as_str(), "a").await.unwrap().size, 4);
    subject.recount().await;
}

pub(crate) async fn many_objects_are_written_at_once_and_refused_alone(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "there"), b"old", PutMode::Create).await.unwrap();
    let quota = crate::quota::QuotaScope::folder("photos/q").unwrap();
    let manage = allow(&service(), Operation::ManageQuotas);
    subject.executor.set_quota(&manage, &quota, Some(5)).await.unwrap();
    let (blob, key) = new_blob(&made, "blob", &[7; 100]);
    let objects = vec![
        new_object(&made, "a", b"1"),
        new_object(&made, "there", b"new"),
        new_object(&made, "q/x", b"123"),
        new_object(&made, "q/y", b"123"),
        new_object(&made, "q/z", b"12"),
        blob,
    ];
    let write = async |caller, objects, mode| {
        let access = allow(caller, Operation::Upload(mode));
        subject.executor.put_objects(&access, objects, mode).await
    };
    let outcomes = write(&owner, objects, &PutMode::Create).await.unwrap();
    let told: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(written) => (written.object.path.as_str(), written.created),
            Err(error) => (error.code(), false),
        })
        .collect();
    let wanted = [
        ("a", true),
        ("OBJECT_EXISTS", false),
        ("q/x", true),
        ("QUOTA_EXCEEDED", false),
        ("q/z", true),
        ("blob", true),
    ];
    assert_eq!(told, wanted);
    assert_eq!(subject.get(&owner, "photos", "there").await.unwrap().size, 3);
    let known = subject.executor.known_blobs(&super::subject::maintain(), std::slice::from_ref(&key)).await;
    assert_eq!(known.unwrap(), [key]);
    subject.recount().await;
    // Who may not, has none of it; and an upsert replaces.
    let again = vec![new_object(&made, "a", b"22"), new_object(&made, "b", b"1")];
    let outcomes = write(&other, again.clone(), &PutMode::Upsert).await.unwrap();
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, Err(StorageError::Unauthorized(_)))),
        "{outcomes:?}"
    );
    let outcomes = write(&owner, again, &PutMode::Upsert).await.unwrap();
    let created: Vec<_> = outcomes.into_iter().map(|outcome| outcome.unwrap().created).collect();
    assert_eq!(created, [false, true]);
    assert!(write(&owner, Vec::new(), &PutMode::Create).await.unwrap().is_empty());
    subject.recount().await;
}

pub(crate) async fn many_objects_meet_a_buckets_quota_one_by_one(subject: &Subject) {
    let owner = user();
    let config = BucketConfig { quota_bytes: Some(1000), ..BucketConfig::default() };
    let made = subject.bucket_with(&owner, "photos", config).await;
    for at in ["f100", "f299"] {
        subject.put(&owner, (&made, at), b"123456", PutMode::Create).await.unwrap();
    }
    // More of them than one statement writes, so that some of these fit and others do not.
    let names: Vec<String> = (0..600).map(|number| format!("f{number:03}")).collect();
    let bytes = |name: &str| if name == "f299" { &b"12345678"[..] } else { &b"12"[..] };
    let objects = names.iter().map(|name| new_object(&made, name, bytes(name))).collect();
    let access = allow(&owner, Operation::Upload(&PutMode::Upsert));
    let outcomes = subject.executor.put_objects(&access, objects, &PutMode::Upsert).await.unwrap();
    // In their order: two of them replace something, 12 bytes make way for 2 and 8, and what is left takes 495 of two.
    let (mut used, mut written) = (12_u64, 0);
    for (name, outcome) in names.iter().zip(&outcomes) {
        let old = if ["f100", "f299"].contains(&name.as_str()) { 6 } else { 0 };
        let after = used - old + bytes(name).len() as u64;
        match outcome {
            Ok(made) => {
                assert!(after <= 1000, "{name}");
                assert_eq!((made.created, made.object.path.as_str()), (old == 0, name.as_str()));
                (used, written) = (after, written + 1);
            }
            Err(error) => assert_eq!((error.code(), after > 1000), ("QUOTA_EXCEEDED", true), "{name}"),
        }
    }
    assert_eq!((used, written), (1000, 497));
    let shown = subject.shown("photos").await;
    assert_eq!((shown.total_bytes, shown.file_count), (1000, 497));
    assert_eq!(subject.get(&owner, "photos", "f299").await.unwrap().size, 8);
    subject.recount().await;
}
