//! Runs of lifecycle rules over a whole storage: what goes, what stays, what is told of, and what a run that was broken off does.

use crate::support::{self, Fixture, credential_key, keys, options, path, service, user};
use chrono::{DateTime, TimeDelta, Utc};
use file_storage::audit::{AuditFilter, AuditFormat, AuditLog, AuditOptions, export};
use file_storage::errors::StorageError;
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::lifecycle::{ArchiveTarget, LifecycleAction, LifecycleRule, RuleSource, RuleSpec};
use file_storage::storage::{
    LifecycleOptions, LifecycleReport, LifecycleRun, MultipartOptions, StorageOptions,
};
use file_storage::{BucketName, BucketPolicy, BucketUpdate, FileStorage, QuotaScope, Versioning};
use tempfile::TempDir;

fn after(days: i64) -> DateTime<Utc> {
    Utc::now() + TimeDelta::days(days)
}

fn aged(days: u32) -> RuleSpec {
    RuleSpec { enabled: true, max_age_days: Some(days), ..RuleSpec::default() }
}

async fn set(fixture: &Fixture, bucket: &BucketName, spec: RuleSpec) -> LifecycleRule {
    fixture.storage.create_lifecycle_rule(&service(), bucket.clone(), spec).await.unwrap()
}

async fn write(fixture: &Fixture, bucket: &BucketName, names: &[&str]) {
    for name in names {
        fixture.put(&user(1), (bucket, &path(name)), PutMode::Upsert, name.as_bytes()).await.unwrap();
    }
}

/// A whole run, so many days from now.
async fn run(fixture: &Fixture, days: i64) -> LifecycleReport {
    finish(fixture, LifecycleRun::at(after(days), false)).await
}

async fn finish(fixture: &Fixture, mut run: LifecycleRun) -> LifecycleReport {
    while !fixture.storage.step_lifecycle(&mut run).await.unwrap() {}
    run.report().clone()
}

/// What a bucket has, by path.
async fn left(fixture: &Fixture, bucket: &BucketName) -> Vec<String> {
    let scan =
        file_storage::executor::AgedScan { from: String::new(), below: None, until: None, limit: 1000 };
    let access = file_storage::permissions::Access::check(
        &service(),
        file_storage::Operation::Maintain,
        None,
        file_storage::permissions::AccessRules::default(),
    );
    let found = fixture.executor.aged_versions(&access.unwrap(), bucket, &scan).await.unwrap();
    let told = |version: file_storage::lifecycle::AgedVersion| {
        let mark = match (version.is_delete_marker, version.noncurrent_at.is_some()) {
            (true, _) => "x",
            (false, true) => "-",
            (false, false) => "",
        };
        format!("{}{mark}", version.path)
    };
    found.into_iter().map(told).collect()
}

#[tokio::test]
async fn old_objects_go_by_prefix_and_tags_and_others_stay() {
    let fixture = Fixture::new().await;
    let logs = fixture.bucket(&user(1), "logs", BucketPolicy::Private).await;
    let other = fixture.bucket(&user(1), "other", BucketPolicy::Private).await;
    write(&fixture, &logs, &["a", "a/1", "a/2", "ab/1", "b/1", "b/2"]).await;
    write(&fixture, &other, &["a/1"]).await;
    let tags = vec![("kind".to_owned(), "debug".to_owned())];
    fixture.storage.tag(&user(1), &logs, &path("b/2"), tags).await.unwrap();
    set(&fixture, &logs, RuleSpec { prefix: "a/".to_owned(), ..aged(3) }).await;
    let tagged = [("kind".to_owned(), "debug".to_owned())].into();
    set(&fixture, &logs, RuleSpec { prefix: "b/".to_owned(), tags: tagged, ..aged(2) }).await;
    set(&fixture, &logs, RuleSpec { enabled: false, ..aged(1) }).await;
    assert_eq!(run(&fixture, 1).await.totals.deleted, 0);
    // A dry run says what there is to do, and does none of it.
    let dry = finish(&fixture, LifecycleRun::at(after(4), true)).await;
    assert_eq!((dry.totals.deleted, dry.rules.len()), (3, 2));
    assert_eq!(dry.actions.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["a/1", "a/2", "b/2"]);
    assert_eq!(left(&fixture, &logs).await.len(), 6);
    let report = run(&fixture, 4).await;
    assert_eq!((report.totals, report.limited), (dry.totals, false));
    assert_eq!(left(&fixture, &logs).await, ["a", "ab/1", "b/1"]);
    assert_eq!(left(&fixture, &other).await, ["a/1"]);
    assert_eq!(run(&fixture, 4).await.totals, Default::default());
    fixture.audit().await;
}

#[tokio::test]
async fn versions_go_but_for_the_newest_and_markers_when_they_hide_nothing() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let update = BucketUpdate { versioning: Some(Versioning::Enabled), ..BucketUpdate::default() };
    fixture.storage.update_bucket(&user(1), &docs, &update).await.unwrap();
    write(&fixture, &docs, &["a", "a", "a", "a", "b"]).await;
    set(
        &fixture,
        &docs,
        RuleSpec { enabled: true, noncurrent_days: Some(5), noncurrent_keep: Some(1), ..RuleSpec::default() },
    )
    .await;
    assert_eq!(run(&fixture, 4).await.totals.versions, 0);
    assert_eq!(run(&fixture, 6).await.totals.versions, 2);
    assert_eq!(left(&fixture, &docs).await, ["a", "a-", "b"]);
    let expires = set(&fixture, &docs, aged(30)).await;
    assert_eq!(run(&fixture, 31).await.totals.deleted, 2);
    assert_eq!(left(&fixture, &docs).await, ["ax", "a-", "a-", "bx", "b-"]);
    fixture.storage.remove_lifecycle_rule(&service(), expires.id).await.unwrap();
    let sweep = RuleSpec {
        enabled: true,
        noncurrent_days: Some(1),
        expired_delete_markers: true,
        ..RuleSpec::default()
    };
    set(&fixture, &docs, sweep).await;
    let report = run(&fixture, 40).await;
    assert_eq!(
        (report.totals.versions, report.totals.markers),
        (3, 0),
        "they hid something when they were looked at"
    );
    assert_eq!(run(&fixture, 40).await.totals.markers, 2);
    assert_eq!(left(&fixture, &docs).await, [""; 0]);
    fixture.audit().await;
}

#[tokio::test]
async fn nothing_goes_that_was_not_told_of_in_time() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    write(&fixture, &docs, &["a", "b"]).await;
    set(&fixture, &docs, RuleSpec { warn_before_days: Some(7), ..aged(30) }).await;
    assert_eq!(run(&fixture, 22).await.totals, Default::default());
    // The server slept for a year: first it tells, and seven days later it acts.
    let told = run(&fixture, 365).await;
    assert_eq!((told.totals.warned, told.totals.deleted), (2, 0));
    assert_eq!(run(&fixture, 371).await.totals, Default::default(), "it was told of six days ago");
    write(&fixture, &docs, &["b"]).await;
    let acted = run(&fixture, 373).await;
    assert_eq!((acted.totals.warned, acted.totals.deleted), (1, 1), "what was overwritten is told of anew");
    assert_eq!(left(&fixture, &docs).await, ["b"]);
    let warn = RuleSpec { action: LifecycleAction::Warn, ..aged(1) };
    set(&fixture, &docs, warn).await;
    assert_eq!(run(&fixture, 374).await.totals.warned, 1, "by the other rule");
    assert_eq!(run(&fixture, 379).await.totals, Default::default());
    fixture.audit().await;
}

#[tokio::test]
async fn who_was_told_that_it_stays_was_not_told_that_it_goes() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    write(&fixture, &docs, &["a"]).await;
    let rule = set(&fixture, &docs, RuleSpec { action: LifecycleAction::Warn, ..aged(30) }).await;
    assert_eq!(run(&fixture, 31).await.totals.warned, 1);
    let deletes = RuleSpec { warn_before_days: Some(7), ..aged(30) };
    fixture.storage.set_lifecycle_rule(&service(), rule.id, docs.clone(), deletes).await.unwrap();
    let told = run(&fixture, 60).await.totals;
    assert_eq!((told.warned, told.deleted), (1, 0), "it is told of anew");
    assert_eq!(run(&fixture, 66).await.totals, Default::default());
    assert_eq!(run(&fixture, 67).await.totals.deleted, 1);
    fixture.audit().await;
}

#[tokio::test]
async fn archived_objects_move_under_their_whole_path() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let attic = fixture.bucket(&user(1), "attic", BucketPolicy::Private).await;
    write(&fixture, &docs, &["a/1", "a/2", "b/1"]).await;
    write(&fixture, &attic, &["old/a/2"]).await;
    let to =
        |bucket: &str| Some(ArchiveTarget::Folder { bucket: bucket.to_owned(), prefix: "old".to_owned() });
    let spec = |bucket| RuleSpec {
        prefix: "a/".to_owned(),
        action: LifecycleAction::Archive,
        archive_to: to(bucket),
        ..aged(3)
    };
    let missing = fixture.storage.create_lifecycle_rule(&service(), docs.clone(), spec("nowhere")).await;
    assert!(matches!(missing, Err(StorageError::BucketNotFound { .. })), "{missing:?}");
    set(&fixture, &docs, spec("attic")).await;
    // Whoever looks first is told what the run will say, and where to.
    let dry = finish(&fixture, LifecycleRun::at(after(4), true)).await;
    assert_eq!((dry.totals.moved, dry.totals.failed), (1, 1));
    assert_eq!(dry.actions[0].target.as_deref(), Some("attic/old/a/1"));
    let failed = (dry.failed[0].error.as_deref(), dry.failed[0].target.as_deref());
    assert_eq!(failed, (Some("OBJECT_EXISTS"), Some("attic/old/a/2")));
    let report = run(&fixture, 4).await;
    assert_eq!((report.totals.moved, report.totals.failed), (1, 1));
    assert_eq!(report.failed[0].error.as_deref(), Some("OBJECT_EXISTS"));
    assert_eq!(
        left(&fixture, &docs).await,
        ["a/2", "b/1"],
        "what is there already stays, and so does the object"
    );
    assert_eq!(left(&fixture, &attic).await, ["old/a/1", "old/a/2"]);
    let provider = RuleSpec {
        action: LifecycleAction::Archive,
        archive_to: Some(ArchiveTarget::Provider("cold".to_owned())),
        ..aged(3)
    };
    let missing = fixture.storage.create_lifecycle_rule(&service(), docs, provider).await;
    assert!(matches!(missing, Err(StorageError::ProviderNotFound { .. })), "{missing:?}");
    fixture.audit().await;
}

#[tokio::test]
async fn a_dry_run_tells_what_would_not_fit_at_the_target() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let attic = fixture.bucket(&user(1), "attic", BucketPolicy::Private).await;
    write(&fixture, &docs, &["a/1", "a/2"]).await;
    let to = ArchiveTarget::Folder { bucket: "attic".to_owned(), prefix: String::new() };
    let archive = RuleSpec { action: LifecycleAction::Archive, archive_to: Some(to), ..aged(3) };
    set(&fixture, &docs, archive).await;
    // Three bytes each: one of them fits.
    let quota = QuotaScope::Bucket(attic.clone());
    fixture.storage.set_quota(&service(), &quota, Some(4)).await.unwrap();
    let dry = finish(&fixture, LifecycleRun::at(after(4), true)).await;
    let report = run(&fixture, 4).await;
    for (which, report) in [("dry", dry), ("done", report)] {
        assert_eq!((report.totals.moved, report.totals.failed), (1, 1), "{which}");
        assert_eq!(report.failed[0].error.as_deref(), Some("QUOTA_EXCEEDED"), "{which}");
        let context = report.failed[0].context.as_ref().unwrap();
        assert_eq!(
            (&context["scope"], &context["used"]),
            (&"bucket".into(), &3.into()),
            "{which}: {context}"
        );
    }
    assert_eq!(left(&fixture, &attic).await, ["a/1"]);
    fixture.audit().await;
}

#[tokio::test]
async fn a_dry_run_looks_at_every_quota_behind_the_moves_before() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    fixture.bucket(&user(1), "attic", BucketPolicy::Private).await;
    write(&fixture, &docs, &["a/x/1", "a/y/1", "a/y/2", "b/1", "b/2"]).await;
    let archive = |from: &str, bucket: &str, prefix: &str| {
        let to = ArchiveTarget::Folder { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
        let prefix = from.to_owned();
        RuleSpec { action: LifecycleAction::Archive, archive_to: Some(to), prefix, ..aged(3) }
    };
    set(&fixture, &docs, archive("a/", "attic", "")).await;
    // Within a bucket, only folders hold more by a move.
    set(&fixture, &docs, archive("b/", "docs", "old/")).await;
    let folder = |text: &str| QuotaScope::folder(text).unwrap();
    let owner = QuotaScope::User(user(1).user_id().unwrap());
    for (scope, limit) in [
        // Five bytes each: the bucket has room for three, and a/y for one.
        (folder("attic"), 16),
        (folder("attic/a/y"), 9),
        (folder("docs"), 21),
        (folder("docs/old"), 4),
        (owner, 21),
        (QuotaScope::Global, 21),
    ] {
        fixture.storage.set_quota(&service(), &scope, Some(limit)).await.unwrap();
    }
    let dry = finish(&fixture, LifecycleRun::at(after(4), true)).await;
    let report = run(&fixture, 4).await;
    for (which, report) in [("dry", dry), ("done", report)] {
        let failed: Vec<_> = report
            .failed
            .iter()
            .map(|one| (one.path.as_str(), one.context.as_ref().unwrap()["name"].as_str().unwrap()))
            .collect();
        assert_eq!(failed, [("a/y/2", "attic/a/y"), ("b/2", "docs/old")], "{which}");
        assert_eq!(report.totals.moved, 3, "{which}");
    }
    fixture.audit().await;
}

#[tokio::test]
async fn a_run_that_is_broken_off_goes_on_and_one_that_did_enough_ends() {
    let dir = TempDir::new().unwrap();
    let lifecycle = LifecycleOptions { max_per_run: 7, ..LifecycleOptions::default() };
    let with = StorageOptions { lifecycle, ..options(dir.path()) };
    let fixture = Fixture::open_with(dir, with, |backend| backend).await;
    let logs = fixture.bucket(&user(1), "logs", BucketPolicy::Private).await;
    let names: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    write(&fixture, &logs, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    set(&fixture, &logs, aged(3)).await;
    let mut first = LifecycleRun::at(after(4), false);
    fixture.storage.step_lifecycle(&mut first).await.unwrap();
    // What is kept of it is all that another process needs, which does the step again.
    let kept = serde_json::to_string(&LifecycleRun::at(after(4), false)).unwrap();
    let again: LifecycleRun = serde_json::from_str(&kept).unwrap();
    let report = finish(&fixture, again).await;
    assert_eq!((report.totals.deleted, report.limited), (7, true));
    assert_eq!(left(&fixture, &logs).await.len(), 6, "seven each");
    let last = run(&fixture, 4).await;
    assert_eq!((last.totals.deleted, last.limited), (6, false));
    fixture.audit().await;
}

#[tokio::test]
async fn rules_of_the_configuration_are_followed_and_changed_there_alone() {
    let dir = TempDir::new().unwrap();
    let name = Some("nightly".to_owned());
    let logs = support::bucket("logs");
    let rule = LifecycleRule::configured(logs.clone(), RuleSpec { name, ..aged(3) });
    let lifecycle = LifecycleOptions { rules: [rule.clone()].into(), ..LifecycleOptions::default() };
    let with = StorageOptions { lifecycle, ..options(dir.path()) };
    let fixture = Fixture::open_with(dir, with, |backend| backend).await;
    // A rule of a bucket that is not there yet.
    assert_eq!(run(&fixture, 4).await.totals, Default::default());
    fixture.bucket(&user(1), "logs", BucketPolicy::Private).await;
    write(&fixture, &logs, &["a"]).await;
    let shown = fixture.storage.lifecycle_rules(&service(), Some(&logs)).await.unwrap();
    assert_eq!((shown.len(), shown[0].source, shown[0].id), (1, RuleSource::Configuration, rule.id));
    let storage = &fixture.storage;
    let refused = [
        storage.remove_lifecycle_rule(&service(), rule.id).await,
        storage.set_lifecycle_rule(&service(), rule.id, logs.clone(), aged(9)).await.map(drop),
    ];
    for outcome in refused {
        assert!(matches!(outcome, Err(StorageError::InvalidRequest { .. })), "{outcome:?}");
    }
    assert_eq!(run(&fixture, 4).await.totals.deleted, 1);
}

#[tokio::test]
async fn rules_are_the_service_roles_business() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let rule = set(&fixture, &docs, aged(3)).await;
    let storage = &fixture.storage;
    for caller in [user(1), user(2), support::anon()] {
        let refused = [
            storage.lifecycle_rules(&caller, None).await.map(drop),
            storage.lifecycle_rule(&caller, rule.id).await.map(drop),
            storage.create_lifecycle_rule(&caller, docs.clone(), aged(1)).await.map(drop),
            storage.set_lifecycle_rule(&caller, rule.id, docs.clone(), aged(1)).await.map(drop),
            storage.remove_lifecycle_rule(&caller, rule.id).await,
            storage.replace_s3_lifecycle(&caller, &docs, Vec::new()).await,
        ];
        for (number, outcome) in refused.into_iter().enumerate() {
            let is_denied =
                matches!(outcome, Err(StorageError::Unauthorized(_) | StorageError::AuthRequired(_)));
            assert!(is_denied, "{number}: {outcome:?}");
        }
    }
    assert!(storage.s3_lifecycle(&user(1), &docs).await.is_ok(), "who may change the bucket is shown");
    assert!(storage.s3_lifecycle(&user(2), &docs).await.is_err());
    assert_eq!(storage.lifecycle_rules(&service(), None).await.unwrap(), [rule]);
}

/// A storage like the fixture's, whose changes, reads and refusals are in an audit log.
fn audited(fixture: &Fixture, options: StorageOptions) -> FileStorage {
    let log = AuditLog::open(AuditOptions {
        directory: fixture.dir.path().join("audit"),
        server: "one".to_owned(),
        data_dir: fixture.dir.path().to_owned(),
        keeps_all: true,
        sync: false,
        continues_on_failure: false,
        max_file_size: 1 << 20,
        keep: None,
        failpoints: file_storage::failpoint::Scope::new(fixture.dir.path()),
    });
    let (executor, backend) = (fixture.executor.clone(), fixture.backend.clone());
    FileStorage::watched(executor, Some(log.unwrap()), backend, keys(), credential_key(), options)
}

/// Lines of an audit log, those that are wanted.
fn lines(fixture: &Fixture, filter: &AuditFilter) -> Vec<serde_json::Value> {
    let mut out = Vec::new();
    export(&fixture.dir.path().join("audit"), filter, AuditFormat::JsonLines, &mut out).unwrap();
    out.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[tokio::test]
async fn the_audit_log_names_what_a_rule_ends_and_the_rule_and_what_it_said() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    fixture.bucket(&user(1), "attic", BucketPolicy::Private).await;
    write(&fixture, &docs, &["mm/1", "mm/2", "old/1", "other"]).await;
    let (attributes, begun, big) = (ObjectAttributes::default(), MultipartOptions::default(), path("mm/big"));
    let (owner, at) = (user(1), (&docs, &big));
    fixture.storage.create_multipart(&owner, at, PutMode::Upsert, attributes, begun).await.unwrap();
    let storage = audited(&fixture, options(fixture.dir.path()));
    let make = async |spec| storage.create_lifecycle_rule(&service(), docs.clone(), spec).await.unwrap();
    let ends = RuleSpec { prefix: "mm/".to_owned(), abort_incomplete_days: Some(1), ..aged(3) };
    let archive_to = Some(ArchiveTarget::Folder { bucket: "attic".to_owned(), prefix: String::new() });
    let action = LifecycleAction::Archive;
    let moves = RuleSpec { prefix: "old/".to_owned(), action, archive_to, ..aged(3) };
    let (ends, moves) = (make(ends).await, make(moves).await);
    let mut run = LifecycleRun::at(after(4), false);
    while !storage.step_lifecycle(&mut run).await.unwrap() {}
    storage.remove_lifecycle_rule(&service(), ends.id).await.unwrap();

    let of = |bucket: &str, path: &str| AuditFilter {
        bucket: Some(bucket.to_owned()),
        path: Some(path.to_owned()),
        ..AuditFilter::default()
    };
    let gone = lines(&fixture, &of("docs", "mm/"));
    let told: Vec<_> = gone.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(told, ["mm/1", "mm/2", "mm/big"], "{gone:#?}");
    for line in &gone {
        assert_eq!((&line["action"], &line["role"]), (&"delete".into(), &"system".into()), "{line}");
        assert_eq!(line["rule"], ends.id.to_string(), "{line}");
        assert_eq!(line["purpose"], "follow lifecycle rules", "{line}");
        assert!(line.get("request_id").is_none() && line.get("count").is_none(), "{line}");
    }
    assert_eq!(gone[0]["bytes"], 4);
    let moved = lines(&fixture, &of("attic", "old/1"));
    assert_eq!(moved.len(), 1, "{moved:#?}");
    assert_eq!((&moved[0]["rule"], &moved[0]["from_bucket"]), (&moves.id.to_string().into(), &"docs".into()));

    // What the rule said is there when it is gone.
    let all = lines(&fixture, &AuditFilter::default());
    let of_rule: Vec<_> =
        all.iter().filter(|line| line["subject"] == format!("lifecycle rule {}", ends.id)).collect();
    let actions: Vec<_> = of_rule.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["change", "delete"], "{of_rule:#?}");
    let spec = &of_rule[0]["settings"]["spec"];
    assert_eq!((&spec["prefix"], &spec["max_age_days"]), (&"mm/".into(), &3.into()), "{of_rule:#?}");
    storage.close().await;
}

#[tokio::test]
async fn the_audit_log_says_that_a_configured_rule_was_not_removed() {
    let fixture = Fixture::new().await;
    let logs = fixture.bucket(&user(1), "logs", BucketPolicy::Private).await;
    let rule = LifecycleRule::configured(logs, RuleSpec { name: Some("old".to_owned()), ..aged(3) });
    let lifecycle = LifecycleOptions { rules: [rule.clone()].into(), ..LifecycleOptions::default() };
    let storage = audited(&fixture, StorageOptions { lifecycle, ..options(fixture.dir.path()) });
    storage.remove_lifecycle_rule(&service(), rule.id).await.unwrap_err();
    // Such lines come behind their answers: closing waits for them.
    storage.close().await;
    let all = lines(&fixture, &AuditFilter::default());
    let told: Vec<_> = all.iter().filter(|line| line["action"] == "delete").collect();
    let [line] = &told[..] else { panic!("{all:#?}") };
    assert_eq!((&line["outcome"], &line["code"]), (&"refused".into(), &"INVALID_REQUEST".into()), "{line}");
}
