//! Lifecycle rules: kept, asked page by page, and followed for just what was judged.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use uuid::Uuid;

use super::multipart::{begin, new_upload};
use super::subject::{Subject, allow, maintain, new_blob, new_object, path, service, user};
use super::versions::{kept, put, seen, turn};
use crate::bucket::{Bucket, BucketPolicy};
use crate::errors::StorageError;
use crate::executor::{
    AgedScan, ArchiveOrder, Claim, Ending, Event, JobKind, JobStatus, Judged, NewJob, QueueListing,
    QueueReason, UploadScan, Warning,
};
use crate::extra::ObjectExtra;
use crate::file::PutMode;
use crate::lifecycle::{AgedVersion, LifecycleAction, LifecycleRule, RuleSource, RuleSpec};
use crate::permissions::Operation;
use crate::versions::Versioning;

/// No version, upload or object.
const NONE: [Uuid; 0] = [];

fn named(bucket: &Bucket, source: RuleSource, name: &str) -> LifecycleRule {
    let name = Some(name.to_owned()).filter(|name| !name.is_empty());
    let spec = RuleSpec { name, enabled: true, max_age_days: Some(3), ..RuleSpec::default() };
    LifecycleRule::new(bucket.name.clone(), source, spec)
}

async fn all(subject: &Subject, bucket: &Bucket, limit: u32) -> Vec<AgedVersion> {
    let mut scan = AgedScan { from: String::new(), below: None, until: None, limit };
    let mut found = Vec::new();
    loop {
        let page = subject.executor.aged_versions(&maintain(), &bucket.name, &scan).await.unwrap();
        let Some(last) = page.last() else { return found };
        (scan.from, scan.below) = (last.path.as_str().to_owned(), Some(last.sequence));
        found.extend(page);
    }
}

/// As a rule judged it. Where it is, the executor asks its rows.
fn judged(bucket: &Bucket, id: Uuid) -> Judged {
    Judged { id, bucket: bucket.name.clone(), path: path("judged"), size: 1, rule: Uuid::from_u128(1) }
}

async fn end(subject: &Subject, bucket: &Bucket, versions: &[(Uuid, Ending)]) -> Vec<Uuid> {
    let versions: Vec<_> = versions.iter().map(|(id, ending)| (judged(bucket, *id), *ending)).collect();
    subject.executor.end_versions(&maintain(), &bucket.name, &versions).await.unwrap()
}

async fn events(subject: &Subject, kind: &str) -> Vec<Event> {
    let events = subject.executor.events(&maintain(), 0, 10_000).await.unwrap();
    events.into_iter().filter(|event| event.kind == kind).collect()
}

pub(crate) async fn rules_are_kept_and_go_with_their_bucket(subject: &Subject) {
    let made = subject.bucket(&user(), "logs", BucketPolicy::Private).await;
    let other = subject.bucket(&user(), "other", BucketPolicy::Private).await;
    let (executor, access) = (&subject.executor, maintain());
    let mut rule = named(&made, RuleSource::Api, "old");
    rule.spec.tags.insert("k".to_owned(), "ü".to_owned());
    executor.set_lifecycle_rule(&access, &rule).await.unwrap();
    let same = LifecycleRule { spec: rule.spec.clone(), ..named(&made, RuleSource::Api, "old") };
    let error = executor.set_lifecycle_rule(&access, &same).await.unwrap_err();
    assert!(matches!(&error, StorageError::LifecycleRuleExists { name } if **name == *"old"), "{error}");
    // The names of S3 are others, and what has none is in nobody's way.
    let by_s3 = named(&made, RuleSource::S3, "old");
    executor.replace_lifecycle_rules(&access, &made.name, RuleSource::S3, &[by_s3]).await.unwrap();
    for _ in 0..2 {
        executor.set_lifecycle_rule(&access, &named(&other, RuleSource::Api, "")).await.unwrap();
    }
    rule.spec.max_age_days = Some(7);
    executor.set_lifecycle_rule(&access, &rule).await.unwrap();
    let found = executor.lifecycle_rules(&access, Some(&made.name)).await.unwrap();
    let said = found.iter().find(|one| one.id == rule.id).unwrap();
    assert_eq!((found.len(), &said.spec, said.source), (2, &rule.spec, RuleSource::Api));
    let fewer = [named(&made, RuleSource::S3, "new")];
    executor.replace_lifecycle_rules(&access, &made.name, RuleSource::S3, &fewer).await.unwrap();
    let twice = [named(&made, RuleSource::S3, "x"), named(&made, RuleSource::S3, "x")];
    executor.replace_lifecycle_rules(&access, &made.name, RuleSource::S3, &twice).await.unwrap_err();
    let all = executor.lifecycle_rules(&access, None).await.unwrap();
    let names: Vec<_> = all.iter().filter_map(|rule| rule.spec.name.as_deref()).collect();
    assert_eq!((all.len(), names), (4, vec!["old", "new"]), "what failed has changed nothing");
    let missing = super::subject::bucket("missing");
    let lost = LifecycleRule { bucket: missing.clone(), ..rule.clone() };
    let refused = [
        executor.set_lifecycle_rule(&access, &lost).await,
        executor.replace_lifecycle_rules(&access, &missing, RuleSource::S3, &[]).await,
    ];
    for outcome in refused {
        assert!(matches!(outcome, Err(StorageError::BucketNotFound { .. })), "{outcome:?}");
    }
    assert!(executor.remove_lifecycle_rule(&access, rule.id).await.unwrap());
    assert!(!executor.remove_lifecycle_rule(&access, rule.id).await.unwrap());
    executor.delete_bucket(&allow(&service(), Operation::DeleteBucket), &made.name).await.unwrap();
    assert_eq!(executor.lifecycle_rules(&access, None).await.unwrap().len(), 2);
}

pub(crate) async fn versions_are_looked_at_in_order(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    for (name, bytes) in [("a", "1"), ("a", "22"), ("a", "333"), ("ab", "1"), ("b/c", "1"), ("ü", "1")] {
        put(subject, &owner, (&made, name), bytes.as_bytes()).await;
    }
    let tags = vec![("k".to_owned(), "v".to_owned())];
    let access = allow(&owner, Operation::TagObject);
    subject.executor.tag_object(&access, &made.name, &path("ab"), &tags).await.unwrap();
    subject.delete(&owner, "docs", "b/c").await.unwrap();
    let whole = all(subject, &made, 1000).await;
    let told: Vec<_> = whole
        .iter()
        .map(|one| {
            let marks = (one.noncurrent_at.is_none(), one.is_delete_marker);
            (one.path.as_str(), one.size, marks)
        })
        .collect();
    let (current, older, marker) = ((true, false), (false, false), (false, true));
    assert_eq!(
        told[..4],
        [("a", 3, current), ("a", 2, older), ("a", 1, older), ("ab", 1, current)],
        "the newest first"
    );
    assert_eq!(
        (told[4].0, told[4].2, told[5], told[6]),
        ("b/c", marker, ("b/c", 1, older), ("ü", 1, current))
    );
    assert_eq!(whole[3].tags, tags);
    for limit in [1, 2, 3] {
        assert_eq!(all(subject, &made, limit).await, whole, "{limit}");
    }
    let scan = AgedScan { from: "a/".to_owned(), below: None, until: Some("b".to_owned()), limit: 10 };
    let part = subject.executor.aged_versions(&maintain(), &made.name, &scan).await.unwrap();
    assert_eq!(part.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["ab"]);
    let missing = super::subject::bucket("missing");
    assert_eq!(subject.executor.aged_versions(&maintain(), &missing, &scan).await.unwrap(), []);
}

pub(crate) async fn only_what_was_judged_goes(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "logs", BucketPolicy::Private).await;
    let (blob, key) = new_blob(&made, "gone", b"bytes");
    let gone = subject.put_object(&owner, blob, &PutMode::Create).await.unwrap().object;
    let judged = put(subject, &owner, (&made, "again"), b"old").await;
    put(subject, &owner, (&made, "again"), b"old").await;
    let moved = put(subject, &owner, (&made, "here"), b"1").await;
    subject.rename(&owner, ("logs", "here"), ("logs", "there"), PutMode::Create).await.unwrap();
    let elsewhere = subject.bucket(&owner, "other", BucketPolicy::Private).await;
    let foreign = put(subject, &owner, (&elsewhere, "x"), b"1").await;
    let asked: Vec<_> = [&judged, &gone, &moved, &foreign].map(|one| (one.version, Ending::Object)).to_vec();
    assert_eq!(end(subject, &made, &asked).await, [gone.version]);
    assert_eq!(end(subject, &made, &asked).await, NONE, "twice is once");
    let wrong = [(moved.version, Ending::Version), (foreign.version, Ending::Marker)];
    assert_eq!(end(subject, &elsewhere, &wrong).await, NONE, "an object is no older version");
    assert_eq!(seen(subject, &service(), "logs").await, ["again3*", "there1*"]);
    let due = subject.executor.due_deletions(&maintain(), Duration::ZERO, 10).await.unwrap();
    assert_eq!(due.iter().map(|blob| &blob.key).collect::<Vec<_>>(), [&key]);
    let told = events(subject, "storage.object.deleted").await;
    let last = told.last().unwrap();
    assert_eq!((last.path.as_deref(), &last.payload["reason"]), (Some("gone"), &"lifecycle".into()));
    assert_eq!(last.owner_id, owner.user_id());
    subject.recount().await;
}

pub(crate) async fn where_versions_are_kept_an_object_is_hidden(subject: &Subject) {
    let owner = user();
    let made = kept(subject, &owner, "docs", BucketPolicy::Private).await;
    let first = put(subject, &owner, (&made, "a"), b"1").await;
    let second = put(subject, &owner, (&made, "a"), b"22").await;
    assert_eq!(end(subject, &made, &[(second.version, Ending::Object)]).await, [second.version]);
    assert_eq!(seen(subject, &service(), "docs").await, ["a0*x", "a2", "a1"]);
    let told = events(subject, "storage.object.deleted").await;
    assert!(told[0].payload["delete_marker"].is_string(), "{:?}", told[0].payload);
    let marker = all(subject, &made, 10).await[0].version;
    let both = [(marker, Ending::Marker), (first.version, Ending::Version)];
    assert_eq!(end(subject, &made, &both[..1]).await, NONE, "it hides something");
    assert_eq!(end(subject, &made, &both).await, [first.version]);
    assert_eq!(seen(subject, &service(), "docs").await, ["a0*x", "a2"], "nothing comes back");
    assert_eq!(end(subject, &made, &[(second.version, Ending::Version)]).await, [second.version]);
    assert_eq!(end(subject, &made, &[(marker, Ending::Marker)]).await, [marker]);
    assert_eq!(seen(subject, &service(), "docs").await, [""; 0]);
    // Where only null versions are written, the one among the versions makes way, and only where the object goes.
    turn(subject, &owner, "docs", Versioning::Suspended).await.unwrap();
    let null = put(subject, &owner, (&made, "n"), b"1").await;
    assert_eq!(end(subject, &made, &[(Uuid::now_v7(), Ending::Object)]).await, NONE);
    assert_eq!(end(subject, &made, &[(null.version, Ending::Object)]).await, [null.version]);
    assert_eq!(seen(subject, &service(), "docs").await, ["n0*x"]);
    subject.recount().await;
}

pub(crate) async fn old_uploads_are_given_up(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    let mut ids = Vec::new();
    for name in ["a/1", "a/2", "a/2", "ab", "b"] {
        ids.push(begin(subject, &owner, new_upload(&made, name)).await.at.id);
    }
    let scan = |before, after, limit| UploadScan { prefix: "a/".to_owned(), before, after, limit };
    let look = async |scan: UploadScan| {
        let page = subject.executor.aged_uploads(&maintain(), &made.name, &scan).await.unwrap();
        page.into_iter().map(|upload| (upload.path.as_str().to_owned(), upload.id)).collect::<Vec<_>>()
    };
    let later = Utc::now() + TimeDelta::hours(1);
    assert!(look(scan(Utc::now() - TimeDelta::hours(1), None, 10)).await.is_empty(), "too young");
    let whole = look(scan(later, None, 10)).await;
    assert_eq!(whole.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["a/1", "a/2", "a/2"]);
    let (mut after, mut paged) = (None, Vec::new());
    while let Some(one) = look(scan(later, after.take(), 1)).await.pop() {
        after = Some(one.clone());
        paged.push(one);
    }
    assert_eq!(paged, whole);
    let ends = [ids[0], Uuid::now_v7()].map(|id| judged(&made, id));
    assert_eq!(subject.executor.end_uploads(&maintain(), &ends).await.unwrap(), [ids[0]]);
    assert_eq!(subject.executor.end_uploads(&maintain(), &ends).await.unwrap(), NONE);
    assert_eq!(look(scan(later, None, 10)).await.len(), 2);
    subject.recount().await;
}

pub(crate) async fn blobs_of_old_objects_are_queued_once(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    let (object, _) = new_blob(&made, "big", b"bytes");
    let big = subject.put_object(&owner, object, &PutMode::Create).await.unwrap().object.version;
    let small = put(subject, &owner, (&made, "inline"), b"1").await.version;
    let order =
        |provider: &str, dry_run| ArchiveOrder { provider: provider.into(), max_attempts: 5, dry_run };
    let ask = async |provider: &str, dry_run| {
        let asked = [small, big, Uuid::now_v7()].map(|id| judged(&made, id));
        subject.executor.archive_versions(&maintain(), &asked, &order(provider, dry_run)).await.unwrap()
    };
    assert_eq!(ask("local", false).await, NONE, "it is there");
    assert_eq!(ask("s3", true).await, [big]);
    let listing = QueueListing { limit: 10, ..QueueListing::default() };
    let access = allow(&service(), Operation::ReadQueue);
    assert_eq!(
        subject.executor.queue_entries(&access, &listing).await.unwrap(),
        [],
        "a dry run queues nothing"
    );
    assert_eq!(ask("s3", false).await, [big]);
    assert_eq!(ask("s3", false).await, NONE, "it is on its way");
    assert_eq!(ask("s3", true).await, NONE);
    let entries = subject.executor.queue_entries(&access, &listing).await.unwrap();
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((entry.reason, &*entry.source, &*entry.target), (QueueReason::Archive, "local", "s3"));
    let told = events(subject, "storage.object.updated").await;
    assert_eq!((told.len(), &told[0].payload["archive_provider"]), (1, &"s3".into()));
    let claim = Claim {
        worker: Uuid::new_v4(),
        sources: vec!["local".into()],
        targets: vec!["s3".into()],
        limit: 10,
        lease: Duration::from_secs(60),
    };
    let claimed = subject.executor.claim_entries(&maintain(), &claim).await.unwrap().entries.remove(0);
    let copy = crate::file::BlobKey::new(made.uuid);
    assert!(
        subject.executor.complete_entry(&maintain(), claim.worker, &claimed, &copy, false).await.unwrap()
    );
    assert_eq!(ask("s3", false).await, NONE, "it is there");
}

pub(crate) async fn an_object_is_told_of_once(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    let object = put(subject, &owner, (&made, "a"), b"1").await;
    let (now, rule) = (crate::executor::columns::now(), Uuid::now_v7());
    let warning = |version, days| Warning {
        version,
        rule,
        due_at: now + TimeDelta::days(days),
        goes_at: now + TimeDelta::days(days),
        action: LifecycleAction::Delete,
    };
    let executor = &subject.executor;
    let asked = [warning(object.version, 3), warning(Uuid::now_v7(), 3)];
    let told = executor.warn_of_versions(&maintain(), &asked, now).await.unwrap();
    assert_eq!(told, [(object.version, rule)], "only of what is there");
    assert_eq!(executor.warn_of_versions(&maintain(), &asked, now).await.unwrap(), []);
    // For another time, it is told of again.
    let other = [warning(object.version, 5)];
    assert_eq!(executor.warn_of_versions(&maintain(), &other, now).await.unwrap().len(), 1);
    let given = executor.lifecycle_warnings(&maintain(), &[object.version]).await.unwrap();
    assert_eq!(given.len(), 1);
    assert_eq!((given[0].due_at, given[0].warned_at), (now + TimeDelta::days(5), now));
    assert_eq!(given[0].action, Some(LifecycleAction::Delete));
    // So it is where something else becomes of it.
    let other = [Warning { action: LifecycleAction::Archive, ..other[0].clone() }];
    assert_eq!(executor.warn_of_versions(&maintain(), &other, now).await.unwrap().len(), 1);
    assert_eq!(executor.warn_of_versions(&maintain(), &other, now).await.unwrap(), []);
    let given = executor.lifecycle_warnings(&maintain(), &[object.version]).await.unwrap();
    assert_eq!(given[0].action, Some(LifecycleAction::Archive));
    let events = events(subject, "storage.object.expiring").await;
    assert_eq!(events.len(), 3);
    let payload = &events[0].payload;
    assert_eq!((&payload["action"], &payload["rule"]), (&"delete".into(), &rule.to_string().into()));
    assert_eq!(payload["expires_at"], serde_json::json!(now + TimeDelta::days(3)));
    // What is forgotten: objects that are gone, and rules.
    let kept = put(subject, &owner, (&made, "b"), b"1").await;
    executor.warn_of_versions(&maintain(), &[warning(kept.version, 3)], now).await.unwrap();
    subject.delete(&owner, "docs", "a").await.unwrap();
    let mut after = None;
    loop {
        after = executor.forget_warnings(&maintain(), after, &[rule], 1).await.unwrap();
        if after.is_none() {
            break;
        }
    }
    let both = [object.version, kept.version];
    let left = executor.lifecycle_warnings(&maintain(), &both).await.unwrap();
    assert_eq!(left.iter().map(|one| one.version).collect::<Vec<_>>(), [kept.version]);
    executor.forget_warnings(&maintain(), None, &[], 10).await.unwrap();
    assert_eq!(executor.lifecycle_warnings(&maintain(), &both).await.unwrap(), []);
}

pub(crate) async fn a_clock_that_leaps_has_rules_wait(subject: &Subject) {
    let start = crate::executor::columns::now();
    let look = async |hours: i64| {
        let at = start + TimeDelta::hours(hours);
        let clock = subject.executor.lifecycle_clock(&maintain(), Some(at)).await.unwrap();
        assert_eq!(clock.now, at);
        clock.held_until.map(|until| (until - start).num_hours())
    };
    assert_eq!(look(0).await, None, "the first look");
    assert_eq!(look(24).await, None);
    let years = 24 * 365 * 10;
    assert_eq!(look(years).await, Some(years + 24), "ten years ahead");
    assert_eq!(look(years + 1).await, Some(years + 24));
    assert_eq!(look(25).await, None, "it was set right");
    assert_eq!(look(24 * 4).await, Some(24 * 5), "nobody looked for three days");
    assert_eq!(look(24 * 5 - 1).await, Some(24 * 5));
    assert_eq!(look(24 * 5).await, None);
    let due = start;
    let executor = &subject.executor;
    let take = async |due| executor.take_lifecycle_turn(&maintain(), due, None).await.unwrap();
    assert!(take(due).await);
    assert!(!take(due).await, "one has it");
    assert!(take(due + TimeDelta::days(1)).await);
    assert!(!take(due).await, "it is over");
    assert!(take(due + TimeDelta::days(9)).await);
    assert!(take(due + TimeDelta::days(2)).await, "that was a leap");
}

pub(crate) async fn a_turn_is_taken_with_its_job_or_not_at_all(subject: &Subject) {
    let executor = &subject.executor;
    // A user may have fewer jobs than the service role: as good for this.
    let access = allow(&user(), Operation::ChangeJobs);
    let new = |kind, dry_run| NewJob { id: Uuid::now_v7(), kind, params: Default::default(), dry_run };
    let due = crate::executor::columns::now();
    let take = async |days: i64, job: &NewJob| {
        executor.take_lifecycle_turn(&maintain(), due + TimeDelta::days(days), Some((&access, job))).await
    };
    // No room for the job: the turn is not taken either, and comes again.
    let mut others = Vec::new();
    let full = loop {
        let other = new(JobKind::Lifecycle, true);
        match executor.create_job(&access, &other).await {
            Ok(made) => others.push(made.id),
            Err(error) => break error,
        }
    };
    let job = new(JobKind::Lifecycle, false);
    let refused = take(0, &job).await.unwrap_err();
    assert_eq!((refused.code(), full.code()), ("TOO_MANY_JOBS", "TOO_MANY_JOBS"));
    for other in others {
        executor.cancel_job(&access, other).await.unwrap();
    }
    assert!(take(0, &job).await.unwrap(), "nobody has it yet");
    assert_eq!(executor.job(&access, job.id).await.unwrap().status, JobStatus::Pending);
    // One who comes late makes no job, and neither does the next turn while the run is under way.
    for (days, is_taken) in [(0, false), (1, true)] {
        let another = new(JobKind::Lifecycle, false);
        assert_eq!(take(days, &another).await.unwrap(), is_taken, "{days}");
        let missing = executor.job(&access, another.id).await;
        assert!(matches!(missing, Err(StorageError::JobNotFound { .. })), "{missing:?}");
    }
}

pub(crate) async fn rules_are_the_service_roles(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    let object = put(subject, &owner, (&made, "a"), b"1").await;
    let rule = named(&made, RuleSource::Api, "old");
    let access = allow(&owner, Operation::Delete);
    let executor = &subject.executor;
    let scan = AgedScan { from: String::new(), below: None, until: None, limit: 10 };
    let uploads = UploadScan { prefix: String::new(), before: Utc::now(), after: None, limit: 10 };
    let order = ArchiveOrder { provider: "s3".into(), max_attempts: 1, dry_run: false };
    let one = judged(&made, object.version);
    let refused = [
        executor.lifecycle_rules(&access, None).await.map(drop),
        executor.set_lifecycle_rule(&access, &rule).await,
        executor.remove_lifecycle_rule(&access, rule.id).await.map(drop),
        executor.replace_lifecycle_rules(&access, &made.name, RuleSource::S3, &[]).await,
        executor.aged_versions(&access, &made.name, &scan).await.map(drop),
        executor.aged_uploads(&access, &made.name, &uploads).await.map(drop),
        executor.end_versions(&access, &made.name, &[(one.clone(), Ending::Object)]).await.map(drop),
        executor.end_uploads(&access, &[]).await.map(drop),
        executor.archive_versions(&access, &[one], &order).await.map(drop),
        executor.lifecycle_warnings(&access, &[]).await.map(drop),
        executor.warn_of_versions(&access, &[], Utc::now()).await.map(drop),
        executor.forget_warnings(&access, None, &[], 1).await.map(drop),
        executor.lifecycle_clock(&access, None).await.map(drop),
        executor.take_lifecycle_turn(&access, Utc::now(), None).await.map(drop),
    ];
    for (number, outcome) in refused.into_iter().enumerate() {
        assert!(outcome.is_err(), "{number}");
    }
    assert_eq!(seen(subject, &service(), "docs").await, ["a1*"]);
}

pub(crate) async fn a_version_moves_while_it_is_the_one(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    let attic = subject.bucket(&owner, "attic", BucketPolicy::Private).await;
    let mut object = new_object(&made, "a", b"1");
    object.attributes.extra = ObjectExtra { tags: vec![("k".into(), "v".into())], ..Default::default() };
    let old = subject.put_object(&owner, object, &PutMode::Create).await.unwrap().object;
    let mode = PutMode::Create;
    let access = allow(&service(), Operation::Move(&mode));
    let (from, to) = ((&made.name, &path("a")), (&attic.name, &path("old/a")));
    let executor = &subject.executor;
    let other = executor.move_version(&access, from, Uuid::now_v7(), to, &mode).await;
    assert!(matches!(other, Err(StorageError::PreconditionFailed { .. })), "{other:?}");
    executor.move_version(&access, from, old.version, to, &mode).await.unwrap();
    let moved = subject.get(&owner, "attic", "old/a").await.unwrap();
    assert_eq!((moved.id, moved.owner_id, moved.extra), (old.id, owner.user_id(), old.extra));
    subject.recount().await;
}
