//! Who may do what: SPEC 3.2's table, operation by operation, and what a refusal gives away.

use super::subject::{Subject, allow, anon, bucket, listing, new_object, path, paths, service, user};
use crate::bucket::{BucketPolicy, BucketUpdate};
use crate::errors::StorageError;
use crate::executor::Announced;
use crate::file::{ETags, PutMode, Sha256};
use crate::permissions::{Access, AccessRules, Operation, RlsContext};

const OPERATIONS: [&str; 10] =
    ["show", "update", "empty", "read", "open", "create", "admit", "overwrite", "move", "delete"];

/// Does one operation to a bucket with an object `a` in it, and says what came of it.
async fn attempt(subject: &Subject, caller: &RlsContext, name: &str, operation: &str) -> &'static str {
    let made = subject.shown(name).await;
    let (name, a) = (&made.name, &path("a"));
    let asked = match operation {
        "show" => Operation::ShowBucket,
        "update" => Operation::UpdateBucket,
        "empty" => Operation::EmptyBucket,
        "read" => Operation::Info,
        "open" => Operation::Download,
        "create" | "admit" => Operation::Upload(&PutMode::Create),
        "overwrite" => Operation::Upload(&PutMode::Upsert),
        "move" => Operation::Move(&PutMode::Create),
        "delete" => Operation::Delete,
        other => unreachable!("{other}"),
    };
    let outcome = match Access::check(caller, asked, Some(name), AccessRules::default()) {
        Err(error) => Err(error),
        Ok(access) => {
            let on = &subject.executor;
            match operation {
                "show" => on.bucket(&access, name).await.map(drop),
                "update" => on.update_bucket(&access, name, &BucketUpdate::default()).await.map(drop),
                "empty" => on.empty_bucket(&access, name, 0).await.map(drop),
                "read" => on.object(&access, name, a).await.map(drop),
                "open" => on.open_object(&access, name, a).await.map(drop),
                "create" => {
                    on.put_object(&access, new_object(&made, "b", b"1"), &PutMode::Create).await.map(drop)
                }
                "admit" => on
                    .admit_put(&access, name, &path("c"), &PutMode::Create, &Announced::default())
                    .await
                    .map(drop),
                "overwrite" => {
                    on.put_object(&access, new_object(&made, "a", b"2"), &PutMode::Upsert).await.map(drop)
                }
                "move" => {
                    on.move_object(&access, (name, a), (name, &path("d")), &PutMode::Create).await.map(drop)
                }
                _ => on.delete_object(&access, name, a, None).await.map(drop),
            }
        }
    };
    outcome.map_or_else(|error| error.code(), |()| "ok")
}

pub(crate) async fn fs_i3_the_access_table_holds(subject: &Subject) {
    use BucketPolicy::{Authenticated, Private, Public};
    const ALL: [&str; 10] = OPERATIONS;
    let (owner, other) = (user(), user());
    let mut number = 0;
    let table: [(BucketPolicy, &str, &[&str]); 12] = [
        (Public, "anon", &["show", "read", "open"]),
        (Public, "other", &["show", "read", "open"]),
        (Public, "owner", &ALL),
        (Public, "service", &ALL),
        (Authenticated, "anon", &[]),
        (Authenticated, "other", &["show", "read", "open", "create", "admit", "overwrite"]),
        (Authenticated, "owner", &ALL),
        (Authenticated, "service", &ALL),
        (Private, "anon", &[]),
        (Private, "other", &[]),
        (Private, "owner", &ALL),
        (Private, "service", &ALL),
    ];
    for (policy, who, allowed) in table {
        let caller = match who {
            "anon" => anon(),
            "other" => other.clone(),
            "owner" => owner.clone(),
            _ => service(),
        };
        for operation in OPERATIONS {
            number += 1;
            let name = format!("bucket-{number}");
            let made = subject.bucket(&owner, &name, policy).await;
            subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
            let expected = match who {
                _ if allowed.contains(&operation) => "ok",
                "anon" => "AUTH_REQUIRED",
                _ => "STORAGE_UNAUTHORIZED",
            };
            let found = attempt(subject, &caller, &name, operation).await;
            assert_eq!(found, expected, "{policy:?} {who} {operation}");
        }
    }
    subject.recount().await;
}

pub(crate) async fn rows_decide_in_a_system_bucket(subject: &Subject) {
    let (mine, theirs) = (user(), user());
    for (name, policy) in [("private", BucketPolicy::Private), ("public", BucketPolicy::Public)] {
        let made = subject.bucket(&service(), name, policy).await;
        let written = subject.put(&mine, (&made, "mine"), b"1", PutMode::Create).await.unwrap();
        assert_eq!(written.object.owner_id, mine.user_id());
        subject.put(&theirs, (&made, "theirs"), b"1", PutMode::Create).await.unwrap();
        subject.put(&mine, (&made, "mine"), b"22", PutMode::Upsert).await.unwrap();
        let over = subject.put(&mine, (&made, "theirs"), b"2", PutMode::Upsert).await;
        assert!(matches!(over, Err(StorageError::Unauthorized(_))), "{over:?}");
        assert!(subject.delete(&mine, name, "mine").await.unwrap().is_some());
        assert!(subject.put(&anon(), (&made, "x"), b"1", PutMode::Create).await.is_err());
    }
    // An invisible row and a missing one are the same.
    assert_eq!(subject.delete(&mine, "private", "theirs").await.unwrap(), None);
    assert_eq!(subject.delete(&mine, "private", "nothing").await.unwrap(), None);
    for at in ["theirs", "nothing"] {
        let read = subject.get(&mine, "private", at).await;
        assert!(matches!(read, Err(StorageError::ObjectNotFound { .. })), "{at}: {read:?}");
        let moved = subject.rename(&mine, ("private", at), ("private", "x"), PutMode::Create).await;
        assert!(matches!(moved, Err(StorageError::ObjectNotFound { .. })), "{at}: {moved:?}");
    }
    // In a public one the row is seen, and not theirs to delete.
    assert!(subject.get(&mine, "public", "theirs").await.is_ok());
    let seen = subject.delete(&mine, "public", "theirs").await;
    assert!(matches!(seen, Err(StorageError::Unauthorized(_))), "{seen:?}");
    // Of many, those that are not theirs are left out, seen or not.
    for name in ["private", "public"] {
        let access = allow(&mine, Operation::Delete);
        let paths = ["theirs", "nothing"].map(path);
        assert_eq!(subject.executor.delete_objects(&access, &bucket(name), &paths).await.unwrap(), []);
        assert!(subject.get(&theirs, name, "theirs").await.is_ok(), "{name}");
    }
    subject.recount().await;
}

pub(crate) async fn misses_tell_nothing(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "closed", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "there"), b"1", PutMode::Create).await.unwrap();
    for caller in [&other, &anon()] {
        let mut answers = Vec::new();
        for at in ["there", "nothing"] {
            let read = subject.get(caller, "closed", at).await.unwrap_err();
            let deleted = subject.delete(caller, "closed", at).await.unwrap_err();
            let mut told = vec![format!("{read:?}"), format!("{deleted:?}")];
            for mode in [PutMode::Create, PutMode::Upsert] {
                let put = subject.put(caller, (&made, at), b"1", mode.clone()).await.unwrap_err();
                let moved = subject.rename(caller, ("closed", at), ("closed", "x"), mode).await.unwrap_err();
                told.extend([format!("{put:?}"), format!("{moved:?}")]);
            }
            answers.push(told);
        }
        assert_eq!(answers[0], answers[1]);
    }
    // A bucket that is not there: anon is asked for a token, a user is told.
    let missing = subject.get(&anon(), "nothing", "a").await;
    assert!(matches!(missing, Err(StorageError::AuthRequired(_))), "{missing:?}");
    let missing = subject.get(&other, "nothing", "a").await;
    assert!(matches!(missing, Err(StorageError::BucketNotFound { .. })), "{missing:?}");
}

pub(crate) async fn signed_access_is_for_one_object(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "closed", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    subject.put(&owner, (&made, "b"), b"1", PutMode::Create).await.unwrap();
    let signed =
        |operation| Access::signed(operation, &RlsContext::anon("test"), bucket("closed"), path("a"));
    let on = &subject.executor;
    let read = signed(Operation::Download);
    assert!(on.open_object(&read, &made.name, &path("a")).await.is_ok());
    assert!(on.open_object(&read, &made.name, &path("b")).await.is_err());
    assert!(on.list_objects(&read, &made.name, &listing("", false)).await.is_err());
    assert!(on.delete_object(&read, &made.name, &path("a"), None).await.is_err());
    let upsert = Operation::Upload(&PutMode::Upsert);
    let write = allow(&owner, upsert).narrowed(bucket("closed"), path("a"));
    let replaced = on.put_object(&write, new_object(&made, "a", b"2"), &PutMode::Upsert).await.unwrap();
    assert_eq!(replaced.object.owner_id, owner.user_id());
    assert!(on.put_object(&write, new_object(&made, "c", b"2"), &PutMode::Create).await.is_err());
    // Narrowed, it still is its caller's, and opens nothing that is not theirs.
    let others = allow(&user(), upsert).narrowed(bucket("closed"), path("a"));
    let refused = on.put_object(&others, new_object(&made, "a", b"3"), &PutMode::Upsert).await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
}

/// What is answered to a caller who wants a URL that writes at a path.
async fn signing(subject: &Subject, caller: &RlsContext, at: (&str, &str), mode: &PutMode) -> String {
    let name = bucket(at.0);
    match Access::check(caller, Operation::SignUpload(mode), Some(&name), AccessRules::default()) {
        Err(error) => format!("{error:?}"),
        Ok(access) => {
            let outcome = subject.executor.admit_signing(&access, &name, &path(at.1), mode).await;
            outcome.map_or_else(|error| format!("{error:?}"), |()| "signed".to_owned())
        }
    }
}

pub(crate) async fn signing_an_upload_tells_nothing_that_is_not_seen(subject: &Subject) {
    let (writer, other) = (user(), user());
    let tags = ETags::These(vec!["x".to_owned()]);
    let modes = [
        PutMode::Create,
        PutMode::Upsert,
        PutMode::IfMatch(ETags::Any),
        PutMode::IfMatch(tags.clone()),
        PutMode::IfNoneMatch(ETags::Any),
        PutMode::IfNoneMatch(tags),
    ];
    let makers = [("system", service()), ("owned", user())];
    for (name, maker) in &makers {
        let made = subject.bucket(maker, name, BucketPolicy::Private).await;
        for mode in &modes {
            for caller in [&other, &anon()] {
                let before = signing(subject, caller, (name, "a"), mode).await;
                let by = if maker.is_service() { &writer } else { maker };
                subject.put(by, (&made, "a"), b"1", PutMode::Create).await.unwrap();
                let after = signing(subject, caller, (name, "a"), mode).await;
                assert_eq!(before, after, "{name} {mode:?} {:?}", caller.role());
                subject.delete(by, name, "a").await.unwrap().unwrap();
            }
        }
    }
    let mode = PutMode::Upsert;
    assert_eq!(signing(subject, &other, ("system", "a"), &mode).await, "signed");
}

pub(crate) async fn signing_an_upload_is_decided_by_what_is_seen(subject: &Subject) {
    let (owner, other) = (user(), user());
    let public = subject.bucket(&service(), "public", BucketPolicy::Public).await;
    subject.put(&owner, (&public, "a"), b"1", PutMode::Create).await.unwrap();
    let check = async |caller: &RlsContext, at: &str, mode: PutMode, wanted: &str| {
        let said = signing(subject, caller, ("public", at), &mode).await;
        assert!(said.starts_with(wanted), "{:?} {at} {mode:?}: {said}", caller.role());
    };
    for caller in [&owner, &other, &service()] {
        check(caller, "a", PutMode::Create, "ObjectExists").await;
        check(caller, "b", PutMode::Create, "signed").await;
        check(caller, "b", PutMode::Upsert, "signed").await;
    }
    check(&owner, "a", PutMode::Upsert, "signed").await;
    check(&service(), "a", PutMode::Upsert, "signed").await;
    check(&other, "a", PutMode::Upsert, "Unauthorized").await;
    check(&anon(), "b", PutMode::Create, "AuthRequired").await;
    let missing = signing(subject, &other, ("nothing", "a"), &PutMode::Create).await;
    assert!(missing.starts_with("BucketNotFound"), "{missing}");
    // Nothing was written.
    assert_eq!(subject.shown("public").await.file_count, 1);
}

pub(crate) async fn conditions_tell_nothing_of_rows_that_are_not_seen(subject: &Subject) {
    let (owner, other) = (user(), user());
    let hidden = subject.bucket(&service(), "hidden", BucketPolicy::Private).await;
    let shown = subject.bucket(&service(), "shown", BucketPolicy::Public).await;
    for made in [&hidden, &shown] {
        subject.put(&owner, (made, "a"), b"1", PutMode::Create).await.unwrap();
    }
    let tags = |bytes: &[u8]| ETags::These(vec![Sha256::of(bytes).to_hex()]);
    let say = async |made, at: &str, mode| {
        let outcome = subject.put(&other, (made, at), b"2", mode).await;
        format!("{:?}", outcome.map(|written| written.created).map_err(|error| error.code()))
    };
    // Whether a tag fits is not told to who cannot see the object, nor that there is one.
    for (name, mode) in
        [("If-Match", PutMode::IfMatch as fn(ETags) -> PutMode), ("If-None-Match", PutMode::IfNoneMatch)]
    {
        let (right, wrong) =
            (say(&hidden, "a", mode(tags(b"1"))).await, say(&hidden, "a", mode(tags(b"x"))).await);
        assert_eq!(right, wrong, "{name} on a hidden object");
    }
    for tags in [tags(b"1"), tags(b"x"), ETags::Any] {
        let there = say(&hidden, "a", PutMode::IfMatch(tags.clone())).await;
        assert_eq!(
            there,
            say(&hidden, "b", PutMode::IfMatch(tags)).await,
            "If-Match on a hidden object and on none"
        );
    }
    // Who sees it, and may not overwrite it, is told that, whatever the tag.
    for tags in [tags(b"1"), tags(b"x"), ETags::Any] {
        let said = say(&shown, "a", PutMode::IfMatch(tags)).await;
        assert_eq!(said, r#"Err("STORAGE_UNAUTHORIZED")"#);
    }
    for name in ["hidden", "shown"] {
        assert_eq!(subject.get(&owner, name, "a").await.unwrap().checksum, Some(Sha256::of(b"1")));
    }
}

pub(crate) async fn taken_paths_are_told_to_those_who_may_write(subject: &Subject) {
    let (owner, other) = (user(), user());
    for (name, policy, said) in [
        ("public", BucketPolicy::Public, "STORAGE_UNAUTHORIZED"),
        ("authenticated", BucketPolicy::Authenticated, "OBJECT_EXISTS"),
        ("private", BucketPolicy::Private, "STORAGE_UNAUTHORIZED"),
    ] {
        let made = subject.bucket(&owner, name, policy).await;
        subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
        let refused = subject.put(&other, (&made, "a"), b"2", PutMode::Create).await.unwrap_err();
        assert_eq!(refused.code(), said, "{name}");
        let refused = subject.put(&owner, (&made, "a"), b"2", PutMode::Create).await.unwrap_err();
        assert_eq!(refused.code(), "OBJECT_EXISTS", "{name}");
    }
}

pub(crate) async fn a_permission_not_asked_for_is_not_used(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "own", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    let create = allow(&owner, Operation::Upload(&PutMode::Create));
    let on = &subject.executor;
    let over = on.put_object(&create, new_object(&made, "a", b"2"), &PutMode::Upsert).await;
    assert!(matches!(over, Err(StorageError::Unauthorized(_))), "{over:?}");
    let read = allow(&owner, Operation::Download);
    assert!(on.delete_objects(&read, &made.name, &[path("a")]).await.is_err());
    assert!(on.delete_bucket(&read, &made.name).await.is_err());
    assert!(on.open_object(&create, &made.name, &path("a")).await.is_err());
}

pub(crate) async fn owners_keep_their_rows_when_a_bucket_closes(subject: &Subject) {
    let (owner, writer, other) = (user(), user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    subject.put(&writer, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    subject.put(&owner, (&made, "b"), b"1", PutMode::Create).await.unwrap();
    let close = BucketUpdate { policy: Some(BucketPolicy::Private), ..BucketUpdate::default() };
    let access = allow(&owner, Operation::UpdateBucket);
    subject.executor.update_bucket(&access, &made.name, &close).await.unwrap();
    assert!(subject.get(&writer, "photos", "a").await.is_ok());
    assert!(subject.get(&other, "photos", "a").await.is_err());
    let denied = subject.get(&writer, "photos", "b").await;
    assert!(matches!(denied, Err(StorageError::Unauthorized(_))), "{denied:?}");
    assert_eq!(paths(&subject.list(&writer, "photos", &listing("", true)).await), ["a"]);
    assert!(subject.put(&writer, (&made, "c"), b"1", PutMode::Create).await.is_err());
    subject.put(&writer, (&made, "a"), b"2", PutMode::Upsert).await.unwrap();
    assert!(subject.delete(&writer, "photos", "a").await.unwrap().is_some());
}
