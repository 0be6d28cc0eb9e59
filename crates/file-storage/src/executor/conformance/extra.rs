//! What S3 keeps beside rows, and the keys of its clients.

use chrono::DateTime;
use uuid::Uuid;

use super::subject::{Subject, allow, anon, bucket, maintain, path, service, user};
use crate::bucket::BucketPolicy;
use crate::credentials::Credential;
use crate::errors::StorageError;
use crate::extra::{BucketExtraUpdate, CorsRule, ObjectExtra, Tag};
use crate::file::{NewObject, PutMode};
use crate::permissions::{Operation, Role};

fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) async fn what_is_beside_an_object_is_kept_copied_and_replaced(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    let extra = ObjectExtra {
        headers: [("content-encoding".to_owned(), "gzip".to_owned())].into(),
        tags: tags(&[("b", "1"), ("a", "ü")]),
        checksums: [("CRC32".to_owned(), "AAAAAA==".to_owned())].into(),
        parts: None,
    };
    let mut new = super::subject::new_object(&made, "x", b"1");
    new.attributes.extra = extra.clone();
    subject.put_object(&owner, new, &PutMode::Create).await.unwrap();
    let read = allow(&owner, Operation::Info);
    let show = async || subject.executor.object(&read, &bucket("docs"), &path("x")).await.unwrap();
    let before = show().await;
    assert_eq!(before.extra, extra);
    // Tags change, and nothing else; their order is kept.
    let access = allow(&owner, Operation::TagObject);
    let other = tags(&[("z", ""), ("y", "2")]);
    subject.executor.tag_object(&access, &bucket("docs"), &path("x"), &other).await.unwrap();
    let after = show().await;
    assert_eq!(after.extra, ObjectExtra { tags: other, ..extra });
    assert_eq!(crate::StorageObject { extra: before.extra.clone(), ..after }, before);
    // An overwrite says all anew.
    let new = NewObject { version: Uuid::now_v7(), ..super::subject::new_object(&made, "x", b"2") };
    subject.put_object(&owner, new, &PutMode::Upsert).await.unwrap();
    assert!(show().await.extra.is_empty());
}

pub(crate) async fn tagging_takes_the_permission_to_overwrite(subject: &Subject) {
    let (owner, other) = (user(), user());
    for (name, policy, others_may) in [
        ("pub", BucketPolicy::Public, false),
        ("auth", BucketPolicy::Authenticated, true),
        ("priv", BucketPolicy::Private, false),
    ] {
        let made = subject.bucket(&owner, name, policy).await;
        subject.put(&owner, (&made, "x"), b"1", PutMode::Create).await.unwrap();
        for (caller, may) in [(&owner, true), (&other, others_may), (&service(), true)] {
            let access = allow(caller, Operation::TagObject);
            let done =
                subject.executor.tag_object(&access, &bucket(name), &path("x"), &tags(&[("a", "b")])).await;
            assert_eq!(done.is_ok(), may, "{name}: {done:?}");
            let missing = subject.executor.tag_object(&access, &bucket(name), &path("y"), &[]).await;
            assert!(missing.is_err(), "{name}: {missing:?}");
        }
    }
    let asleep = crate::permissions::Access::check(&anon(), Operation::TagObject, None, Default::default());
    assert!(asleep.is_err());
}

pub(crate) async fn what_is_beside_a_bucket_is_its_owners(subject: &Subject) {
    let (owner, other) = (user(), user());
    subject.bucket(&owner, "docs", BucketPolicy::Public).await;
    let own = allow(&owner, Operation::UpdateBucket);
    let show = async || subject.executor.bucket_extra(&own, &bucket("docs")).await.unwrap();
    assert_eq!(show().await, Default::default());
    let rule = CorsRule { origins: vec!["*".into()], methods: vec!["GET".into()], ..CorsRule::default() };
    let cors = BucketExtraUpdate { cors: Some(vec![rule.clone()]), tags: None };
    subject.executor.update_bucket_extra(&own, &bucket("docs"), &cors).await.unwrap();
    let both = BucketExtraUpdate { cors: None, tags: Some(tags(&[("b", "1"), ("a", "2")])) };
    subject.executor.update_bucket_extra(&own, &bucket("docs"), &both).await.unwrap();
    let kept = show().await;
    assert_eq!((kept.cors, kept.tags), (vec![rule], tags(&[("b", "1"), ("a", "2")])));
    let none = BucketExtraUpdate { cors: Some(Vec::new()), tags: None };
    subject.executor.update_bucket_extra(&own, &bucket("docs"), &none).await.unwrap();
    assert_eq!(show().await.cors, []);
    let foreign = allow(&other, Operation::UpdateBucket);
    let read = subject.executor.bucket_extra(&foreign, &bucket("docs")).await;
    assert!(matches!(read, Err(StorageError::Unauthorized(_))), "{read:?}");
    let changed = subject.executor.update_bucket_extra(&foreign, &bucket("docs"), &none).await;
    assert!(matches!(changed, Err(StorageError::Unauthorized(_))), "{changed:?}");
    let nowhere = subject.executor.bucket_extra(&own, &bucket("nowhere")).await;
    assert!(matches!(nowhere, Err(StorageError::BucketNotFound { .. })), "{nowhere:?}");
}

pub(crate) async fn credentials_are_kept_for_upkeep_alone(subject: &Subject) {
    let (executor, access) = (&subject.executor, maintain());
    let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
    let new = |id: &str, role, user_id, made| Credential {
        access_key_id: id.to_owned(),
        name: "ü".to_owned(),
        role,
        user_id,
        enabled: true,
        created_at: time(made),
        last_used_at: None,
    };
    let (one, two) = (
        new("AS1", Role::Authenticated, Some(Uuid::from_u128(7)), 2_000_000),
        new("AS2", Role::ServiceRole, None, 1_000_000),
    );
    for credential in [&one, &two] {
        let made = executor.create_credential(&access, credential, "sealed").await.unwrap();
        assert_eq!(&made, credential);
    }
    assert!(executor.create_credential(&access, &one, "other").await.is_err(), "an id is nobody else's");
    assert_eq!(executor.credentials(&access).await.unwrap(), [two, one.clone()]);
    assert_eq!(executor.credential(&access, "AS1").await.unwrap(), Some((one.clone(), "sealed".to_owned())));
    assert_eq!(executor.credential(&access, "AS3").await.unwrap(), None);
    let off = executor.enable_credential(&access, "AS1", false).await.unwrap();
    assert_eq!(off, Some(Credential { enabled: false, ..one.clone() }));
    assert_eq!(executor.enable_credential(&access, "AS3", false).await.unwrap(), None);
    for at in [5_000_000, 4_000_000] {
        executor.credential_used(&access, "AS1", time(at)).await.unwrap();
    }
    let (shown, _) = executor.credential(&access, "AS1").await.unwrap().unwrap();
    assert_eq!(shown.last_used_at, Some(time(5_000_000)), "the latest counts");
    assert!(executor.delete_credential(&access, "AS1").await.unwrap());
    assert!(!executor.delete_credential(&access, "AS1").await.unwrap());
    let foreign = allow(&user(), Operation::Info);
    assert!(executor.credentials(&foreign).await.is_err());
    assert!(executor.credential(&foreign, "AS2").await.is_err());
    assert!(executor.delete_credential(&foreign, "AS2").await.is_err());
}
