//! Quotas of users, folders and everything: what they hold back, when they tell of it, and who may ask.

use futures_util::future::join_all;

use super::quota_warnings::warnings;
use super::subject::{Subject, allow, bucket, new_object, path, service, user};
use crate::bucket::{Bucket, BucketConfig, BucketName, BucketPolicy};
use crate::errors::StorageError;
use crate::executor::Announced;
use crate::file::PutMode;
use crate::permissions::{Access, AccessRules, Operation, RlsContext};
use crate::quota::{Quota, QuotaEnforcement, QuotaScope, QuotaSettings};
use crate::versions::Versioning;

pub(super) fn folder(text: &str) -> QuotaScope {
    QuotaScope::folder(text).unwrap()
}

pub(super) fn of(caller: &RlsContext) -> QuotaScope {
    QuotaScope::User(caller.user_id().unwrap())
}

pub(super) async fn set(subject: &Subject, scope: &QuotaScope, limit: Option<u64>) -> Quota {
    let access = allow(&service(), Operation::ManageQuotas);
    subject.executor.set_quota(&access, scope, limit).await.unwrap()
}

pub(super) async fn used(subject: &Subject, scope: &QuotaScope) -> u64 {
    subject.executor.quota(&allow(&service(), Operation::ManageQuotas), scope).await.unwrap().used
}

pub(super) async fn put(subject: &Subject, caller: &RlsContext, at: (&Bucket, &str), size: usize) {
    subject.put(caller, at, &vec![0; size], PutMode::Upsert).await.unwrap();
}

/// Asserts that an upsert is refused for a quota: its scope, which one it is, and what is in use of it.
#[track_caller]
fn refused(outcome: Result<impl std::fmt::Debug, StorageError>, expected: (&str, &str, u64, u64, u64)) {
    let error = outcome.unwrap_err();
    let StorageError::QuotaExceeded { scope, name, used, limit, requested } = error else {
        panic!("{error:?}")
    };
    assert_eq!((scope, &*name, used, limit, requested), expected);
}

pub(crate) async fn a_folders_quota_holds(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    put(subject, &owner, (&made, "a/x"), 3).await;
    put(subject, &owner, (&made, "out"), 5).await;
    let quota = set(subject, &folder("photos/a"), Some(10)).await;
    assert_eq!((quota.limit, quota.used, quota.is_default), (Some(10), 3, false), "what is there counts");
    put(subject, &owner, (&made, "a/b/y"), 7).await;
    let over = subject.put(&owner, (&made, "a/z"), b"1", PutMode::Create).await;
    refused(over, ("folder", "photos/a", 10, 10, 1));
    // Another folder of which the name begins alike, and an object of the folder's name.
    put(subject, &owner, (&made, "ab"), 20).await;
    put(subject, &owner, (&made, "a"), 20).await;
    let moved = subject.rename(&owner, ("photos", "out"), ("photos", "a/out"), PutMode::Create).await;
    refused(moved, ("folder", "photos/a", 10, 10, 5));
    subject.rename(&owner, ("photos", "a/b/y"), ("photos", "a/c/y"), PutMode::Create).await.unwrap();
    assert_eq!(used(subject, &folder("photos/a")).await, 10, "a move within takes nothing");
    subject.rename(&owner, ("photos", "a/c/y"), ("photos", "y"), PutMode::Create).await.unwrap();
    assert_eq!(used(subject, &folder("photos/a")).await, 3);
    subject.rename(&owner, ("photos", "out"), ("photos", "a/out"), PutMode::Create).await.unwrap();
    // What is replaced gives its bytes back: 3 of them go, 5 come.
    put(subject, &owner, (&made, "a/x"), 5).await;
    subject.recount().await;
    // Of two folders, the tighter one decides.
    set(subject, &folder("photos/a/deep"), Some(0)).await;
    let over = subject.put(&owner, (&made, "a/deep/x"), b"", PutMode::Create).await.unwrap();
    assert_eq!(over.object.size, 0, "what is empty always fits");
    set(subject, &folder("photos/a"), Some(100)).await;
    let over = subject.put(&owner, (&made, "a/deep/y"), b"1", PutMode::Create).await;
    refused(over, ("folder", "photos/a/deep", 0, 0, 1));
    subject.delete(&owner, "photos", "a/x").await.unwrap();
    subject.recount().await;
    let gone = set(subject, &folder("photos/a/deep"), None).await;
    assert_eq!((gone.limit, gone.used), (None, 0));
    put(subject, &owner, (&made, "a/deep/y"), 1).await;
    subject.recount().await;
    // A quota goes with its bucket.
    let access = allow(&owner, Operation::EmptyBucket);
    while !subject.executor.empty_bucket(&access, &made.name, 100).await.unwrap().is_empty() {}
    subject.recount().await;
    subject.executor.delete_bucket(&allow(&owner, Operation::DeleteBucket), &made.name).await.unwrap();
    let all = subject.executor.quotas(&allow(&service(), Operation::ManageQuotas), 10).await.unwrap();
    assert_eq!(all, []);
}

pub(crate) async fn a_quota_of_everything_holds(subject: &Subject) {
    let owner = user();
    let one = subject.bucket(&owner, "one", BucketPolicy::Private).await;
    let two = subject.bucket(&service(), "two", BucketPolicy::Private).await;
    put(subject, &owner, (&one, "a"), 4).await;
    put(subject, &service(), (&two, "a"), 4).await;
    assert_eq!(set(subject, &QuotaScope::Global, Some(10)).await.used, 8);
    put(subject, &service(), (&two, "b"), 2).await;
    refused(subject.put(&owner, (&one, "b"), b"1", PutMode::Create).await, ("global", "", 10, 10, 1));
    subject.recount().await;
    // A move takes nothing, wherever it goes.
    subject.rename(&service(), ("one", "a"), ("two", "c"), PutMode::Create).await.unwrap();
    subject.delete(&service(), "two", "b").await.unwrap();
    put(subject, &owner, (&one, "b"), 2).await;
    subject.recount().await;
    // The configuration's holds where none is set.
    let settings = QuotaSettings { global: Some(11), ..QuotaSettings::default() };
    subject.executor.configure_quotas(&settings).await.unwrap();
    refused(subject.put(&owner, (&one, "c"), b"1", PutMode::Create).await, ("global", "", 10, 10, 1));
    let quota = set(subject, &QuotaScope::Global, None).await;
    assert_eq!((quota.limit, quota.used, quota.is_default), (Some(11), 10, true));
    put(subject, &owner, (&one, "c"), 1).await;
    refused(subject.put(&owner, (&one, "d"), b"1", PutMode::Create).await, ("global", "", 11, 11, 1));
    subject.executor.configure_quotas(&QuotaSettings::default()).await.unwrap();
    put(subject, &owner, (&one, "d"), 100).await;
    assert_eq!(set(subject, &QuotaScope::Global, Some(1000)).await.used, 111, "counted anew");
    subject.recount().await;
}

pub(crate) async fn users_have_quotas_of_their_own_or_the_default(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    let settings = QuotaSettings { default_user: Some(5), ..QuotaSettings::default() };
    subject.executor.configure_quotas(&settings).await.unwrap();
    // The first write of a user is held to it, too.
    let name = of(&owner).to_string();
    refused(subject.put(&owner, (&made, "a"), &[0; 6], PutMode::Create).await, ("user", &name, 0, 5, 6));
    put(subject, &owner, (&made, "a"), 5).await;
    refused(subject.put(&owner, (&made, "b"), b"1", PutMode::Create).await, ("user", &name, 5, 5, 1));
    let quota = set(subject, &of(&owner), Some(8)).await;
    assert_eq!((quota.limit, quota.used, quota.is_default), (Some(8), 5, false));
    put(subject, &owner, (&made, "b"), 3).await;
    refused(subject.put(&owner, (&made, "c"), b"1", PutMode::Create).await, ("user", &name, 8, 8, 1));
    // One who has stored nothing may have one.
    set(subject, &of(&other), Some(1)).await;
    refused(
        subject.put(&other, (&made, "c"), b"12", PutMode::Create).await,
        ("user", &of(&other).to_string(), 0, 1, 2),
    );
    // Objects of nobody are nobody's.
    put(subject, &service(), (&made, "d"), 100).await;
    let quota = set(subject, &of(&other), None).await;
    assert_eq!((quota.limit, quota.is_default), (Some(5), true));
    subject.recount().await;
}

pub(crate) async fn versions_count_in_their_folder(subject: &Subject) {
    let owner = user();
    let config = BucketConfig { versioning: Versioning::Enabled, ..BucketConfig::default() };
    let made = subject.bucket_with(&owner, "docs", config).await;
    let scope = folder("docs/in");
    set(subject, &scope, Some(10)).await;
    set(subject, &QuotaScope::Global, Some(1000)).await;
    let first = subject.put(&owner, (&made, "in/a"), &[0; 6], PutMode::Create).await.unwrap().object;
    put(subject, &owner, (&made, "in/a"), 4).await;
    refused(
        subject.put(&owner, (&made, "in/a"), b"1", PutMode::Upsert).await,
        ("folder", "docs/in", 10, 10, 1),
    );
    subject.delete(&owner, "docs", "in/a").await.unwrap();
    assert_eq!(used(subject, &scope).await, 10, "a deletion gives nothing back");
    subject.recount().await;
    let access = allow(&owner, Operation::DeleteVersion);
    let id = first.version_id();
    subject.executor.delete_version(&access, &made.name, &path("in/a"), id, None).await.unwrap();
    assert_eq!(used(subject, &scope).await, 4);
    put(subject, &owner, (&made, "in/b"), 6).await;
    subject.recount().await;
}

/// What the sum of a batch holds, it takes, whatever was refused among it for other reasons, and wherever what gives back stands.
pub(crate) async fn a_batch_is_held_to_the_sum_of_what_is_let_in(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    put(subject, &owner, (&made, "in/large"), 60).await;
    put(subject, &owner, (&made, "in/there"), 30).await;
    set(subject, &folder("photos/in"), Some(100)).await;
    let access = allow(&owner, Operation::Upload(&PutMode::Upsert));
    let batch = async |sizes: &[(&str, usize)], bucket_of_second: Option<uuid::Uuid>| {
        let mut objects: Vec<_> =
            sizes.iter().map(|(name, size)| new_object(&made, name, &vec![0; *size])).collect();
        if let (Some(uuid), Some(second)) = (bucket_of_second, objects.get_mut(1)) {
            second.bucket_uuid = uuid;
        }
        subject.executor.put_objects(&access, objects, &PutMode::Upsert).await.unwrap()
    };
    // One of them is for a bucket that is another one by now.
    let sizes = [("in/a", 8), ("in/b", 1), ("in/c", 8), ("in/large", 40)];
    let written = batch(&sizes, Some(uuid::Uuid::now_v7())).await;
    let went: Vec<bool> = written.iter().map(Result::is_ok).collect();
    assert_eq!(went, [true, false, true, true], "{written:?}");
    assert_eq!(used(subject, &folder("photos/in")).await, 86);
    // Where the sum is too much, each is asked for alone.
    let mut written = batch(&[("in/d", 10), ("in/e", 5), ("in/f", 4)], None).await.into_iter();
    assert!(written.next().unwrap().is_ok());
    refused(written.next().unwrap(), ("folder", "photos/in", 96, 100, 5));
    assert!(written.next().unwrap().is_ok());
    subject.recount().await;
}

pub(crate) async fn quotas_warn_or_are_off(subject: &Subject) {
    let owner = user();
    let config = BucketConfig { quota_bytes: Some(10), ..BucketConfig::default() };
    let made = subject.bucket_with(&owner, "photos", config).await;
    for (scope, limit) in [(folder("photos/in"), 10), (of(&owner), 10), (QuotaScope::Global, 10)] {
        set(subject, &scope, Some(limit)).await;
    }
    let enforce = async |enforcement| {
        let settings = QuotaSettings { enforcement, ..QuotaSettings::default() };
        subject.executor.configure_quotas(&settings).await.unwrap();
    };
    enforce(QuotaEnforcement::Off).await;
    put(subject, &owner, (&made, "in/a"), 20).await;
    assert_eq!(warnings(subject).await, [], "off says nothing");
    subject.delete(&owner, "photos", "in/a").await.unwrap();
    enforce(QuotaEnforcement::Warn).await;
    put(subject, &owner, (&made, "in/a"), 11).await;
    let told = warnings(subject).await;
    assert!(told.len() == 4 && told.iter().all(|told| (told.2, told.3) == (11, 100)), "{told:?}");
    put(subject, &owner, (&made, "in/b"), 1).await;
    assert_eq!(warnings(subject).await.len(), 4, "once");
    enforce(QuotaEnforcement::Enforce).await;
    let over = subject.put(&owner, (&made, "in/c"), b"1", PutMode::Create).await;
    assert!(matches!(over, Err(StorageError::QuotaExceeded { used: 12, limit: 10, .. })), "{over:?}");
    assert_eq!(used(subject, &QuotaScope::Global).await, 12, "counted all the time");
    subject.recount().await;
}

pub(crate) async fn quotas_are_told_to_owners_and_set_by_the_service_role(subject: &Subject) {
    let (owner, other) = (user(), user());
    subject.bucket(&owner, "photos", BucketPolicy::Public).await;
    subject.bucket(&service(), "system", BucketPolicy::Public).await;
    let scopes = [QuotaScope::Global, of(&owner), folder("photos"), folder("photos/in"), folder("system/in")];
    for scope in &scopes {
        set(subject, scope, Some(100)).await;
    }
    let ask = async |caller: &RlsContext, scope: &QuotaScope| {
        let access = Access::check(caller, Operation::ReadQuota, None, AccessRules::default())?;
        subject.executor.quota(&access, scope).await.map(|quota| quota.limit)
    };
    for (at, scope) in scopes.iter().enumerate() {
        let seen = ask(&owner, scope).await;
        assert_eq!(seen.is_ok(), (1..=3).contains(&at), "{scope:?} {seen:?}");
        let seen = ask(&other, scope).await;
        assert!(matches!(seen, Err(StorageError::Unauthorized(_))), "{scope:?} {seen:?}");
        let access = allow(&owner, Operation::ReadQuota);
        let set = subject.executor.set_quota(&access, scope, Some(1)).await;
        assert!(matches!(set, Err(StorageError::Unauthorized(_))), "{scope:?} {set:?}");
    }
    let listed = async |caller: &RlsContext| {
        let all = subject.executor.quotas(&allow(caller, Operation::ReadQuota), 10).await.unwrap();
        all.into_iter().map(|quota| quota.scope).collect::<Vec<_>>()
    };
    assert_eq!(listed(&service()).await, scopes);
    assert_eq!(listed(&owner).await, scopes[1..4]);
    assert_eq!(listed(&other).await, []);
    let access = allow(&service(), Operation::ManageQuotas);
    for scope in [folder("missing"), folder("missing/in")] {
        let missing = subject.executor.set_quota(&access, &scope, Some(1)).await;
        assert!(matches!(missing, Err(StorageError::BucketNotFound { .. })), "{missing:?}");
    }
}

pub(crate) async fn a_quota_may_be_below_what_is_used(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    put(subject, &owner, (&made, "in/a"), 10).await;
    let scopes = [
        ("folder", folder("photos/in")),
        ("bucket", folder("photos")),
        ("user", of(&owner)),
        ("global", QuotaScope::Global),
    ];
    for (word, scope) in scopes {
        assert_eq!(set(subject, &scope, Some(6)).await.used, 10);
        let name = scope.to_string();
        refused(subject.put(&owner, (&made, "in/b"), b"1", PutMode::Create).await, (word, &name, 10, 6, 1));
        // What makes less of it is let in, though it is still too much.
        put(subject, &owner, (&made, "in/a"), 9).await;
        put(subject, &owner, (&made, "in/a"), 6).await;
        refused(subject.put(&owner, (&made, "in/b"), b"1", PutMode::Create).await, (word, &name, 6, 6, 1));
        put(subject, &owner, (&made, "in/a"), 5).await;
        put(subject, &owner, (&made, "in/b"), 1).await;
        subject.delete(&owner, "photos", "in/b").await.unwrap();
        set(subject, &scope, None).await;
        put(subject, &owner, (&made, "in/a"), 10).await;
    }
    subject.recount().await;
}

pub(crate) async fn admission_tells_the_tightest_quota(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    put(subject, &owner, (&made, "in/a"), 10).await;
    let left = async |at: &str| {
        let access = allow(&owner, Operation::Upload(&PutMode::Upsert));
        let (at, announced) = (path(at), Announced::default());
        let asked = subject.executor.admit_put(&access, &made.name, &at, &PutMode::Upsert, &announced).await;
        asked.unwrap().quota_left.map(|left| (left.scope, left.used, left.limit, left.returned))
    };
    assert_eq!(left("in/a").await, None);
    set(subject, &QuotaScope::Global, Some(500)).await;
    assert_eq!(left("in/b").await, Some(("global", 10, 500, 0)));
    set(subject, &of(&owner), Some(400)).await;
    assert_eq!(left("in/b").await, Some(("user", 10, 400, 0)));
    set(subject, &folder("photos"), Some(300)).await;
    assert_eq!(left("in/b").await, Some(("bucket", 10, 300, 0)));
    set(subject, &folder("photos/in"), Some(200)).await;
    assert_eq!(left("in/a").await, Some(("folder", 10, 200, 10)));
    assert_eq!(left("in2/a").await, Some(("bucket", 10, 300, 0)));
    // And all the others beside it.
    set(subject, &folder("photos/in/deep"), Some(250)).await;
    let all = async |at: &str| {
        let access = allow(&owner, Operation::Upload(&PutMode::Upsert));
        let wanted = [(path(at), Announced::default())];
        let asked = subject.executor.admit_puts(&access, &made.name, &wanted, &PutMode::Upsert).await;
        let quotas = asked.unwrap().pop().unwrap().unwrap().quotas.into_iter();
        let mut quotas: Vec<_> = quotas.map(|left| (left.name.to_string(), left.used, left.limit)).collect();
        quotas.sort_by_key(|(_, _, limit)| *limit);
        quotas
    };
    let user = of(&owner).to_string();
    let over = |folders: &[(&str, u64, u64)]| {
        let others = [("photos", 10, 300), (user.as_str(), 10, 400), ("", 10, 500)];
        folders
            .iter()
            .chain(&others)
            .map(|(name, used, limit)| ((*name).to_owned(), *used, *limit))
            .collect::<Vec<_>>()
    };
    assert_eq!(all("in2/a").await, over(&[]));
    assert_eq!(all("in/b").await, over(&[("photos/in", 10, 200)]));
    assert_eq!(all("in/deep/a").await, over(&[("photos/in", 10, 200), ("photos/in/deep", 0, 250)]));
    let off = QuotaSettings { enforcement: QuotaEnforcement::Off, ..QuotaSettings::default() };
    subject.executor.configure_quotas(&off).await.unwrap();
    assert_eq!(left("in/a").await, None);
    assert_eq!(all("in/a").await, []);
}

pub(crate) async fn sixty_four_writers_meet_every_quota_at_once(subject: &Subject) {
    meet_every_quota(&[subject]).await;
}

/// 64 writers of two users, two buckets and two folders at once, through as many processes as there are subjects.
pub(crate) async fn meet_every_quota(processes: &[&Subject]) {
    let subject = processes[0];
    let users = [user(), user()];
    let mut buckets = Vec::new();
    for name in ["one", "two"] {
        let config = BucketConfig {
            policy: BucketPolicy::Authenticated,
            quota_bytes: Some(600),
            ..BucketConfig::default()
        };
        buckets.push(subject.bucket_with(&service(), name, config).await);
    }
    let scopes = [
        (folder("one/in"), 250),
        (folder("one/in/deep"), 100),
        (folder("two/in"), 300),
        (of(&users[0]), 500),
        (of(&users[1]), 450),
        (QuotaScope::Global, 800),
    ];
    for (scope, limit) in &scopes {
        set(subject, scope, Some(*limit)).await;
    }
    let work = (0..64_usize).map(|n| {
        let (process, caller) = (processes[n % processes.len()], &users[n % 2]);
        let (here, there) = (&buckets[n / 2 % 2], &buckets[(n / 2 + 1) % 2]);
        async move {
            for round in 0..8_usize {
                let dir = ["in/deep/", "in/", ""][(n + round) % 3];
                let at = format!("{dir}f{}", (n * 7 + round * 5) % 24);
                let outcome = match (n + round) % 6 {
                    0..=3 => {
                        let body = vec![0; 5 + (n * 3 + round) % 23];
                        process.put(caller, (here, &at), &body, PutMode::Upsert).await.map(drop)
                    }
                    4 => process.delete(caller, here.name.as_str(), &at).await.map(drop),
                    _ => {
                        let to = format!("in/m{n}");
                        let (from, to) = ((here.name.as_str(), &*at), (there.name.as_str(), &*to));
                        process.rename(caller, from, to, PutMode::Upsert).await.map(drop)
                    }
                };
                match outcome {
                    Ok(())
                    | Err(
                        StorageError::QuotaExceeded { .. }
                        | StorageError::ObjectNotFound { .. }
                        | StorageError::Unauthorized(_),
                    ) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    });
    join_all(work).await;
    subject.recount().await;
    for (scope, limit) in scopes.iter().chain(&[(folder("one"), 600), (folder("two"), 600)]) {
        let used = used(subject, scope).await;
        assert!(used <= *limit, "{scope:?}: {used} of {limit}");
    }
    // Full to the last byte: what is left of the tightest quota fits, and one more does not.
    let total = used(subject, &QuotaScope::Global).await;
    let room =
        scopes.iter().filter(|(scope, _)| *scope == of(&users[0])).map(|(_, limit)| *limit).sum::<u64>();
    let room = room - used(subject, &of(&users[0])).await;
    let bucket_room = 600 - used(subject, &QuotaScope::Bucket(name("two"))).await;
    let rest = usize::try_from(room.min(800 - total).min(bucket_room)).unwrap();
    put(subject, &users[0], (&buckets[1], "rest"), rest).await;
    let over = processes.last().unwrap().put(&users[0], (&buckets[1], "over"), b"1", PutMode::Create).await;
    assert!(matches!(over, Err(StorageError::QuotaExceeded { .. })), "{over:?}");
    subject.recount().await;
}

fn name(text: &str) -> BucketName {
    bucket(text)
}
