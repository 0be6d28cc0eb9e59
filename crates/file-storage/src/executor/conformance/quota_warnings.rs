//! Warnings of quotas that fill up: when they are told, once for each step, and to whom.

use super::quotas::{folder, of, put, set};
use super::subject::{Subject, allow, anon, bucket, maintain, new_object, service, user};
use crate::bucket::{BucketConfig, BucketPolicy, BucketUpdate};
use crate::executor::{Event, Sight};
use crate::file::PutMode;
use crate::permissions::{Operation, RlsContext};
use crate::quota::{QuotaEnforcement, QuotaScope, QuotaSettings};

/// The warnings so far.
async fn warnings_whole(subject: &Subject) -> Vec<Event> {
    let events = subject.executor.events(&maintain(), 0, 10_000).await.unwrap();
    events.into_iter().filter(|event| event.kind == "storage.quota.warning").collect()
}

/// The same in short: scope, name, bytes in use, percent.
pub(super) async fn warnings(subject: &Subject) -> Vec<(String, String, u64, u64)> {
    let told = warnings_whole(subject).await.into_iter().map(|event| {
        let text = |key: &str| event.payload[key].as_str().unwrap().to_owned();
        let number = |key: &str| event.payload[key].as_u64().unwrap();
        (text("scope"), text("name"), number("used"), number("percent"))
    });
    told.collect()
}

/// Of files that are written in one go the sum is told: also where one of them first gives something back.
pub(crate) async fn a_batch_tells_of_the_step_that_it_takes(subject: &Subject) {
    let owner = user();
    let config = BucketConfig { quota_bytes: Some(100), ..BucketConfig::default() };
    let made = subject.bucket_with(&owner, "photos", config).await;
    set(subject, &of(&owner), Some(100)).await;
    put(subject, &owner, (&made, "large"), 50).await;
    put(subject, &owner, (&made, "other"), 25).await;
    let sizes = [("large", 1), ("more", 30), ("last", 40)];
    let objects = sizes.iter().map(|(name, size)| new_object(&made, name, &vec![0; *size])).collect();
    let access = allow(&owner, Operation::Upload(&PutMode::Upsert));
    let written = subject.executor.put_objects(&access, objects, &PutMode::Upsert).await.unwrap();
    assert!(written.iter().all(Result::is_ok), "{written:?}");
    let mut told = warnings(subject).await;
    told.sort();
    let name = owner.user_id().unwrap().to_string();
    let expected = [("bucket", "photos"), ("user", &*name)];
    let expected = expected.map(|(scope, name)| (scope.to_owned(), name.to_owned(), 96, 95));
    assert_eq!(told, expected);
}

pub(crate) async fn each_step_is_told_once(subject: &Subject) {
    let owner = user();
    let config = BucketConfig { quota_bytes: Some(100), ..BucketConfig::default() };
    let made = subject.bucket_with(&owner, "photos", config).await;
    set(subject, &folder("photos/in"), Some(100)).await;
    set(subject, &of(&owner), Some(100)).await;
    set(subject, &QuotaScope::Global, Some(100)).await;
    put(subject, &owner, (&made, "in/a"), 79).await;
    assert_eq!(warnings(subject).await, []);
    put(subject, &owner, (&made, "in/b"), 1).await;
    let name = owner.user_id().unwrap().to_string();
    let scopes = [("bucket", "photos"), ("folder", "photos/in"), ("global", ""), ("user", &*name)];
    let expected = |used: u64, percent: u64| -> Vec<_> {
        scopes.iter().map(|(scope, name)| (scope.to_string(), name.to_string(), used, percent)).collect()
    };
    let told = async |from: usize| {
        let mut told = warnings(subject).await.split_off(from);
        told.sort();
        told
    };
    assert_eq!(told(0).await, expected(80, 80));
    put(subject, &owner, (&made, "in/c"), 14).await;
    assert_eq!(warnings(subject).await.len(), 4, "80% was told of");
    put(subject, &owner, (&made, "in/d"), 6).await;
    assert_eq!(told(4).await, expected(100, 95));
    // Overwritten by its like, moved and deleted, nothing is new.
    put(subject, &owner, (&made, "in/a"), 79).await;
    subject.rename(&owner, ("photos", "in/a"), ("photos", "in/e"), PutMode::Create).await.unwrap();
    subject.delete(&owner, "photos", "in/d").await.unwrap();
    assert_eq!(warnings(subject).await.len(), 8);
    // It was below, and comes again.
    put(subject, &owner, (&made, "in/d"), 2).await;
    assert_eq!(told(8).await, expected(96, 95));
    let whole = warnings_whole(subject).await;
    let event = whole.first().unwrap();
    assert_eq!((event.bucket.as_deref(), event.payload["limit"].as_u64()), (Some("photos"), Some(100)));
    warnings_are_their_owners_business(subject, &owner).await;
    subject.recount().await;
}

/// How much somebody uses is told to nobody else who sees the bucket; how much everybody does, to the service alone.
async fn warnings_are_their_owners_business(subject: &Subject, owner: &RlsContext) {
    let open = BucketUpdate { policy: Some(BucketPolicy::Public), ..BucketUpdate::default() };
    let change = allow(owner, Operation::UpdateBucket);
    subject.executor.update_bucket(&change, &bucket("photos"), &open).await.unwrap();
    let events = warnings_whole(subject).await;
    let asked: Vec<&Event> = events.iter().collect();
    for caller in [owner.clone(), user(), anon(), service()] {
        let access = allow(&caller, Operation::Subscribe);
        let sights = subject.executor.sights(&access, &asked).await.unwrap();
        for (event, sight) in events.iter().zip(sights) {
            let is_own = caller.user_id() == owner.user_id() && event.payload["scope"] != "global";
            let wanted = if is_own || caller.is_service() { Sight::Whole } else { Sight::Hidden };
            assert_eq!(sight, wanted, "{event:?} for {caller:?}");
        }
    }
}

pub(crate) async fn a_quota_that_is_set_low_is_told_of(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    put(subject, &owner, (&made, "in/a"), 100).await;
    let scopes = [("folder", folder("photos/in"), "photos/in"), ("bucket", folder("photos"), "photos")];
    for (word, scope, name) in scopes {
        let from = warnings(subject).await.len();
        // Nothing, 80%, the same, past it, and then less of that: what was told of is not told of again.
        for limit in [Some(1000), Some(125), Some(120), Some(50), Some(40), Some(1000), None, Some(105)] {
            set(subject, &scope, limit).await;
        }
        set(subject, &scope, None).await;
        let told = warnings(subject).await.split_off(from);
        let expected = [80, 100, 95].map(|percent| (word.to_owned(), name.to_owned(), 100, percent));
        assert_eq!(told, expected, "{word}");
    }
    // An event is a bucket's.
    for scope in [of(&owner), QuotaScope::Global] {
        set(subject, &scope, Some(50)).await;
        set(subject, &scope, None).await;
    }
    let events = warnings_whole(subject).await;
    let asked: Vec<&Event> = events.iter().collect();
    for (caller, sees) in [(&owner, 6), (&service(), 6), (&user(), 0), (&anon(), 0)] {
        let sights = subject.executor.sights(&allow(caller, Operation::Subscribe), &asked).await.unwrap();
        let seen = sights.iter().filter(|sight| **sight != Sight::Hidden).count();
        assert_eq!(seen, sees, "{caller:?}");
    }
    let off = QuotaSettings { enforcement: QuotaEnforcement::Off, ..QuotaSettings::default() };
    subject.executor.configure_quotas(&off).await.unwrap();
    set(subject, &folder("photos"), Some(1)).await;
    assert_eq!(warnings(subject).await.len(), 6, "off says nothing");
}
