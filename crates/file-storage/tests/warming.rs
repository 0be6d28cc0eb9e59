//! Lists that are read before somebody asks: after a change and after a start, for who asked before, and never another answer than
//! the database's.
#![cfg(feature = "failpoints")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use file_storage::audit::{AuditLog, AuditOptions};
use file_storage::executor::{Delimiter, Listing};
use file_storage::failpoint::{self, Action};
use file_storage::file::PutMode;
use file_storage::permissions::{Access, AccessRules, Operation};
use file_storage::storage::{CacheOptions, StorageOptions, WarmingOptions};
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use file_storage::{BucketName, BucketPolicy, BucketUpdate, FileStorage, RlsContext};
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::json;
use support::{Fixture, anon, credential_key, everything, keys, member, options, path, service, user};
use tempfile::TempDir;
use uuid::Uuid;

const WARMED: &str = "storage_cache_warmed_total";
const HITS: &str = "storage_cache_hits_total";
const MISSES: &str = "storage_cache_misses_total";

/// Where a list is about to be read ahead: its mark was told.
const READ: &str = "lists.warm";

/// Counters by their names: of this thread, on which all of a test runs.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

struct Count(String, Counts);

impl Counts {
    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    /// Waits until so many lists were read ahead, since the test began.
    async fn warmed(&self, times: u64) {
        until(format!("{times} lists were read ahead"), async || self.of(WARMED) >= times).await;
    }

    /// Whether a list that is asked for now comes from memory; in any case it is what the database says.
    async fn comes_from_memory(
        &self,
        scene: (&FileStorage, &Fixture),
        caller: &RlsContext,
        at: &BucketName,
        listing: &Listing,
    ) -> bool {
        let (storage, fixture) = scene;
        let before = (self.of(HITS), self.of(MISSES));
        let page = storage.list(caller, at, listing).await.unwrap();
        let executor = &fixture.executor;
        let anon_by_policy = executor.anon_grants().await.unwrap();
        let rules = AccessRules { anon_by_policy, ..AccessRules::default() };
        let access = Access::check(caller, Operation::List, Some(at), rules).unwrap();
        assert_eq!(**page, executor.list_objects(&access, at, listing).await.unwrap(), "{caller:?}");
        let (hits, misses) = (self.of(HITS) - before.0, self.of(MISSES) - before.1);
        assert_eq!(hits + misses, 1, "of the request, and of nothing else");
        hits == 1
    }
}

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        *self.1.0.lock().unwrap().entry(self.0.clone()).or_default() += value;
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Count(key.name().to_owned(), self.clone())))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Waits until something is so.
async fn until(what: impl AsRef<str>, is: impl AsyncFn() -> bool) {
    for _ in 0..4000 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not in 20 seconds: {}", what.as_ref());
}

/// Where it is noted what is asked for.
fn notes(dir: &Path) -> PathBuf {
    dir.join("lists-asked-for.json")
}

fn warming(dir: &Path, lists: usize) -> StorageOptions {
    let warming = WarmingOptions { lists, notes: Some(notes(dir).into()), pause: Duration::from_millis(5) };
    StorageOptions { warming, ..options(dir) }
}

fn upkeep(storage: &FileStorage) -> Upkeep {
    Upkeep::start(storage, UpkeepOptions { interval: None, ..UpkeepOptions::default() })
}

async fn fixture(lists: usize) -> Fixture {
    let dir = TempDir::new().unwrap();
    let options = warming(dir.path(), lists);
    Fixture::open_with(dir, options, |backend| backend).await
}

/// What the next start makes of the same data.
fn started_again(fixture: &Fixture, lists: usize) -> FileStorage {
    let options = warming(fixture.dir.path(), lists);
    FileStorage::new(fixture.executor.clone(), fixture.backend.clone(), keys(), credential_key(), options)
}

async fn put(fixture: &Fixture, at: &BucketName, name: &str) {
    fixture.put(&service(), (at, &path(name)), PutMode::Upsert, b"1").await.unwrap();
}

/// Asks so often that it is noted, and kept.
async fn ask(storage: &FileStorage, caller: &RlsContext, at: &BucketName) {
    for _ in 0..3 {
        storage.list(caller, at, &everything()).await.unwrap();
    }
}

/// Somebody with a service token.
fn backend() -> RlsContext {
    let claims = json!({ "role": "service_role", "iss": "test", "exp": 4_000_000_000_u64 });
    RlsContext::service(None, claims.as_object().cloned().unwrap(), "test")
}

#[tokio::test]
async fn what_has_changed_is_in_memory_before_somebody_asks() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(8).await;
    let upkeep = upkeep(&fixture.storage);
    let at = fixture.bucket(&user(1), "docs", BucketPolicy::Public).await;
    put(&fixture, &at, "a/1").await;
    let folder = Listing { delimiter: Some(Delimiter::SLASH), ..everything() };
    let callers = [user(1), member(2, "red"), anon(), backend()];
    for listing in [&everything(), &folder] {
        for caller in &callers {
            for _ in 0..3 {
                fixture.storage.list(caller, &at, listing).await.unwrap();
            }
        }
    }
    assert_eq!(counts.of(WARMED), 0, "what is as it was is not read");
    let all = 2 * callers.len() as u64;
    for round in 1..=4 {
        put(&fixture, &at, &format!("b{round}/1")).await;
        counts.warmed(round * all).await;
        for listing in [&everything(), &folder] {
            for caller in &callers {
                let scene = (&fixture.storage, &fixture);
                assert!(counts.comes_from_memory(scene, caller, &at, listing).await, "{caller:?}");
            }
        }
        assert_eq!(counts.of(WARMED), round * all, "once each");
    }
    // Another process is heard of as well.
    let there = started_again(&fixture, 0);
    let pending = there.admit_upload(&user(1), &at, &path("there"), PutMode::Create).await.unwrap();
    pending.store(Default::default(), Some(1), support::chunked(b"1")).await.unwrap();
    counts.warmed(5 * all).await;
    assert!(counts.comes_from_memory((&fixture.storage, &fixture), &anon(), &at, &folder).await);
    upkeep.stop().await;
    fixture.storage.close().await;
}

#[tokio::test]
async fn a_list_that_nobody_asks_for_drops_out() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(4).await;
    let (storage, me) = (&fixture.storage, user(1));
    let upkeep = upkeep(storage);
    let written = fixture.bucket(&me, "written", BucketPolicy::Private).await;
    let read = fixture.bucket(&me, "read", BucketPolicy::Private).await;
    ask(storage, &me, &written).await;
    for round in 1..=4 {
        put(&fixture, &written, &format!("{round}")).await;
        counts.warmed(round).await;
    }
    ask(storage, &me, &read).await;
    for round in 1..=4 {
        put(&fixture, &written, &format!("more {round}")).await;
        put(&fixture, &read, &format!("{round}")).await;
        counts.warmed(4 + round).await;
        assert!(counts.comes_from_memory((storage, &fixture), &me, &read, &everything()).await);
    }
    assert_eq!(counts.of(WARMED), 8, "what nobody asks for is read no more");
    // Whoever asks again is back.
    assert!(!counts.comes_from_memory((storage, &fixture), &me, &written, &everything()).await);
    put(&fixture, &written, "again").await;
    counts.warmed(9).await;
    assert!(counts.comes_from_memory((storage, &fixture), &me, &written, &everything()).await);
    upkeep.stop().await;
}

#[tokio::test]
async fn after_a_start_lists_of_anon_and_the_service_role_are_in_memory_and_no_users() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(8).await;
    let upkeep_before = upkeep(&fixture.storage);
    let (me, of_team) = (user(77), member(78, "the red ones"));
    let at = fixture.bucket(&me, "docs", BucketPolicy::Public).await;
    let gone = fixture.bucket(&me, "gone", BucketPolicy::Public).await;
    put(&fixture, &at, "a").await;
    for caller in [&me, &of_team, &anon(), &backend()] {
        ask(&fixture.storage, caller, &at).await;
    }
    ask(&fixture.storage, &anon(), &gone).await;
    // It is read before it is written.
    put(&fixture, &at, "b").await;
    counts.warmed(4).await;
    upkeep_before.stop().await;
    let file = notes(fixture.dir.path());
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    for of_users in ["authenticated", "the red ones", &Uuid::from_u128(77).to_string()] {
        assert!(!text.contains(of_users), "{text}");
    }
    fixture.storage.delete_bucket(&service(), &gone, true).await.unwrap();
    put(&fixture, &at, "written meanwhile").await;

    let storage = started_again(&fixture, 8);
    let upkeep_after = upkeep(&storage);
    counts.warmed(6).await;
    let scene = (&storage, &fixture);
    for caller in [&anon(), &backend()] {
        assert!(counts.comes_from_memory(scene, caller, &at, &everything()).await, "{caller:?}");
    }
    for caller in [&me, &of_team, &service()] {
        assert!(!counts.comes_from_memory(scene, caller, &at, &everything()).await, "{caller:?}");
    }
    assert!(!counts.comes_from_memory(scene, &anon(), &gone, &everything()).await, "a bucket that is gone");
    assert_eq!(counts.of(WARMED), 6);
    upkeep_after.stop().await;
}

#[tokio::test]
async fn a_file_that_says_nothing_is_passed_over() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(4).await;
    let at = fixture.bucket(&user(1), "docs", BucketPolicy::Public).await;
    let file = notes(fixture.dir.path());
    let list = |caller: &str, version: u32| {
        json!({ "version": version, "lists": [{
            "caller": caller, "bucket": "docs", "prefix": "", "delimiter": null, "search": "", "ignore_case": false,
            "sort": "name", "descending": false, "limit": 100, "offset": 0
        }] })
        .to_string()
    };
    let good = list("anon", 1);
    let foreign = [list("authenticated", 1), list("anon", 2), "{\"version\": 1".to_owned(), String::new()];
    let huge = format!("{good}{}", " ".repeat(2 << 20));
    let mut warmed = 0;
    for (text, is_good) in
        [(good.clone(), true), (huge, false)].into_iter().chain(foreign.map(|it| (it, false)))
    {
        std::fs::write(&file, &text).unwrap();
        let storage = started_again(&fixture, 4);
        let upkeep = upkeep(&storage);
        if is_good {
            warmed += 1;
            counts.warmed(warmed).await;
        }
        // It goes on, and has a better file in the end.
        ask(&storage, &anon(), &at).await;
        put(&fixture, &at, "a").await;
        warmed += 1;
        counts.warmed(warmed).await;
        upkeep.stop().await;
        assert_eq!(counts.of(WARMED), warmed, "{text:.100}");
        let now = std::fs::read_to_string(&file).unwrap();
        assert!(now.contains("\"anon\"") && now.len() < 1000, "{now:.1000}");
    }
    // Where it can't be written, either.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let storage = started_again(&fixture, 4);
    let upkeep = upkeep(&storage);
    ask(&storage, &anon(), &at).await;
    put(&fixture, &at, "b").await;
    counts.warmed(warmed + 1).await;
    assert!(counts.comes_from_memory((&storage, &fixture), &anon(), &at, &everything()).await);
    upkeep.stop().await;
}

#[tokio::test]
async fn nobody_sees_what_he_may_not_though_it_was_read_ahead() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(8).await;
    let (storage, red, blue) = (&fixture.storage, member(2, "red"), member(3, "blue"));
    let upkeep = upkeep(storage);
    let at = fixture.bucket(&user(1), "teams", BucketPolicy::Private).await;
    for name in ["red/1", "blue/1"] {
        put(&fixture, &at, name).await;
    }
    let grant = "CREATE POLICY teams ON storage_objects FOR SELECT TO authenticated \
         USING (bucket_id = 'teams' AND (storage.foldername(name))[1] = auth.jwt() ->> 'team')";
    let seen = async |caller: &RlsContext| -> Vec<String> {
        let page = storage.list(caller, &at, &everything()).await.unwrap();
        page.entries.iter().map(|entry| entry.path().to_owned()).collect()
    };
    storage.change_policies(&service(), grant).await.unwrap();
    ask(storage, &red, &at).await;
    ask(storage, &blue, &at).await;
    put(&fixture, &at, "red/2").await;
    counts.warmed(2).await;
    for (caller, expected) in [(&red, vec!["red/1", "red/2"]), (&blue, vec!["blue/1"])] {
        assert!(counts.comes_from_memory((storage, &fixture), caller, &at, &everything()).await);
        assert_eq!(seen(caller).await, expected);
    }
    // Taken back while a list is read ahead, between its mark and the list.
    let paused = failpoint::arm(fixture.dir.path(), READ, Action::Pause);
    put(&fixture, &at, "red/3").await;
    paused.reached(1).await;
    storage.drop_policy(&service(), "teams").await.unwrap();
    assert!(seen(&red).await.is_empty() && seen(&blue).await.is_empty());
    let before = counts.of(WARMED);
    drop(paused);
    counts.warmed(before + 2).await;
    assert!(seen(&red).await.is_empty() && seen(&blue).await.is_empty());
    // The other way round: what came in between is not missing.
    let paused = failpoint::arm(fixture.dir.path(), READ, Action::Pause);
    storage.change_policies(&service(), grant).await.unwrap();
    paused.reached(1).await;
    put(&fixture, &at, "blue/2").await;
    let before = counts.of(WARMED);
    drop(paused);
    // One of them twice: what was read then has a mark that is told no more.
    counts.warmed(before + 3).await;
    assert_eq!(seen(&blue).await, ["blue/1", "blue/2"]);
    assert_eq!(seen(&red).await, ["red/1", "red/2", "red/3"]);
    // A bucket that closes, and anon, who is then asked for a token or shown nothing.
    let open = fixture.bucket(&user(1), "open", BucketPolicy::Public).await;
    ask(storage, &anon(), &open).await;
    let before = counts.of(WARMED);
    put(&fixture, &open, "a").await;
    counts.warmed(before + 1).await;
    let close = BucketUpdate { policy: Some(BucketPolicy::Private), ..BucketUpdate::default() };
    storage.update_bucket(&user(1), &open, &close).await.unwrap();
    counts.warmed(before + 2).await;
    assert!(counts.comes_from_memory((storage, &fixture), &anon(), &open, &everything()).await);
    assert!(storage.list(&anon(), &open, &everything()).await.unwrap().entries.is_empty());
    upkeep.stop().await;
}

#[tokio::test]
async fn it_stops_amid_a_list_and_backs_off_from_a_database_that_fails() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(4).await;
    let (storage, me) = (&fixture.storage, user(1));
    let running = upkeep(storage);
    let at = fixture.bucket(&me, "docs", BucketPolicy::Private).await;
    ask(storage, &me, &at).await;

    let failing = failpoint::arm(fixture.dir.path(), READ, Action::Io);
    put(&fixture, &at, "a").await;
    // More often than a list is read for nobody: that it can't be read is nobody's fault.
    failing.reached(7).await;
    assert_eq!(counts.of(WARMED), 0);
    drop(failing);
    counts.warmed(1).await;
    assert!(counts.comes_from_memory((storage, &fixture), &me, &at, &everything()).await);

    let paused = failpoint::arm(fixture.dir.path(), READ, Action::Pause);
    put(&fixture, &at, "b").await;
    paused.reached(1).await;
    tokio::time::timeout(Duration::from_secs(10), running.stop()).await.unwrap();
    drop(paused);
    assert!(!counts.comes_from_memory((storage, &fixture), &me, &at, &everything()).await);
    assert_eq!(counts.of(WARMED), 1);
    storage.close().await;
}

#[tokio::test]
async fn none_are_read_where_none_are_wanted() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(0).await;
    let (storage, file) = (&fixture.storage, notes(fixture.dir.path()));
    std::fs::write(&file, "of a start before").unwrap();
    let running = upkeep(storage);
    until("the file is gone", async || !file.exists()).await;
    // Another one does, by which it is seen that there was time.
    let other = started_again(&fixture, 4);
    let options = StorageOptions { cache: None, ..warming(fixture.dir.path(), 4) };
    let beside = upkeep(&other);
    let at = fixture.bucket(&user(1), "docs", BucketPolicy::Public).await;
    let check = async |first: u64, what: &str| {
        ask(storage, &anon(), &at).await;
        ask(&other, &anon(), &at).await;
        for round in 1..=3 {
            put(&fixture, &at, &format!("{what} {round}")).await;
            counts.warmed(first + round).await;
            assert!(counts.comes_from_memory((&other, &fixture), &anon(), &at, &everything()).await);
        }
        assert!(!counts.comes_from_memory((storage, &fixture), &anon(), &at, &everything()).await, "{what}");
        assert_eq!(counts.of(WARMED), first + 3, "{what}");
    };
    check(0, "none are wanted").await;
    // A reload has some be read ahead.
    storage.reconfigure(warming(fixture.dir.path(), 4), keys());
    ask(storage, &anon(), &at).await;
    put(&fixture, &at, "now").await;
    counts.warmed(5).await;
    assert!(counts.comes_from_memory((storage, &fixture), &anon(), &at, &everything()).await);
    // One that has other lists kept leaves it at that, and one that has none kept ends it.
    let smaller = Some(CacheOptions { max_bytes: 1 << 20, ..CacheOptions::default() });
    storage.reconfigure(StorageOptions { cache: smaller, ..warming(fixture.dir.path(), 4) }, keys());
    counts.warmed(6).await;
    assert!(counts.comes_from_memory((storage, &fixture), &anon(), &at, &everything()).await);
    storage.reconfigure(warming(fixture.dir.path(), 0), keys());
    check(6, "none are wanted any more").await;
    storage.reconfigure(options, keys());
    running.stop().await;
    assert!(!file.exists());
    beside.stop().await;
    assert!(file.exists());
}

#[tokio::test]
async fn it_is_told_to_no_audit_log() {
    let counts = Counts::default();
    let _recording = metrics::set_default_local_recorder(&counts);
    let fixture = fixture(0).await;
    let dir = fixture.dir.path();
    let log = AuditLog::open(AuditOptions {
        directory: dir.join("audit"),
        data_dir: dir.to_owned(),
        server: "one".to_owned(),
        keeps_all: true,
        sync: false,
        continues_on_failure: false,
        max_file_size: 1 << 20,
        keep: None,
        failpoints: failpoint::Scope::new(dir),
    });
    let (executor, backend) = (fixture.executor.clone(), fixture.backend.clone());
    let storage = FileStorage::watched(
        executor,
        Some(log.unwrap()),
        backend,
        keys(),
        credential_key(),
        warming(dir, 4),
    );
    let upkeep = upkeep(&storage);
    let at = fixture.bucket(&user(1), "docs", BucketPolicy::Public).await;
    ask(&storage, &anon(), &at).await;
    for round in 1..=3 {
        put(&fixture, &at, &format!("{round}")).await;
        counts.warmed(round).await;
    }
    upkeep.stop().await;
    storage.close().await;
    let logs = std::fs::read_dir(dir.join("audit")).unwrap().map(|entry| entry.unwrap().path());
    let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let text: String = logs.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert_eq!(text.matches("\"docs\"").count(), 3, "the requests of anon, and nothing else: {text}");
}
