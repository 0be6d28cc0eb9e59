//! Lines are chained over files and starts, and whatever is done to them shows.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::errors::StorageError;
use crate::failpoint::{Action as Point, Scope, arm};

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn options(&self) -> AuditOptions {
        AuditOptions {
            directory: self.0.path().join("audit"),
            server: "a.b".to_owned(),
            data_dir: self.0.path().to_owned(),
            keeps_all: true,
            sync: true,
            continues_on_failure: false,
            max_file_size: 1 << 20,
            keep: None,
            failpoints: Scope::new(self.0.path()),
        }
    }

    fn open(&self) -> AuditLog {
        AuditLog::open(self.options()).unwrap()
    }

    fn directory(&self) -> PathBuf {
        self.0.path().join("audit")
    }

    /// Files with lines, in their order.
    fn files(&self) -> Vec<PathBuf> {
        let all = series::all(&self.directory()).unwrap();
        all.into_values().flat_map(std::collections::BTreeMap::into_values).collect()
    }

    /// What is wrong with the log.
    fn problems(&self) -> Vec<String> {
        let found = verify(&self.directory(), None).unwrap();
        assert_eq!(found.problem_count, found.problems.len() as u64);
        found.problems.into_iter().map(|problem| problem.problem).collect()
    }

    fn lines(&self) -> Vec<Line> {
        let mut out = Vec::new();
        export(&self.directory(), &AuditFilter::default(), AuditFormat::JsonLines, &mut out).unwrap();
        let parse = |line: &[u8]| Line::parse(line).unwrap();
        out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(parse).collect()
    }

    fn events(&self) -> Vec<Event> {
        self.lines().into_iter().map(|line| line.entry.event).collect()
    }
}

fn entry(path: &str) -> Entry {
    let entry =
        Entry { bucket: Some("b".to_owned()), path: Some(path.to_owned()), ..Entry::new(Event::Operation) };
    Entry { operation: Some("upload".into()), action: Some(Action::Write), ..entry }
}

async fn change(log: &AuditLog, path: &str) -> Result<(), StorageError> {
    let room = log.admit().await?;
    log.write(Some(room), vec![entry(path).ended(Outcome::Ok)]).await
}

async fn changes(log: &AuditLog, count: usize) {
    for number in 0..count {
        change(log, &format!("p{number}")).await.unwrap();
    }
}

#[tokio::test]
async fn a_line_is_there_when_its_change_is_answered_and_a_start_goes_on_behind_the_last() {
    let place = Place::new();
    let log = place.open();
    for number in 0..5 {
        change(&log, &format!("p{number}")).await.unwrap();
        assert_eq!(place.lines().last().unwrap().entry.path.as_deref(), Some(&*format!("p{number}")));
    }
    log.close().await;
    assert!(change(&log, "late").await.is_err(), "what is not written is not answered");
    let log = place.open();
    changes(&log, 1).await;
    drop(log);
    let lines = place.lines();
    assert_eq!(lines.iter().map(|line| line.sequence).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    assert_eq!(place.problems(), [""; 0]);
    let found = verify(&place.directory(), None).unwrap();
    let [series] = &found.series[..] else { panic!("{found:?}") };
    assert_eq!((&*series.server, series.first, series.last, series.lines), ("a.b", 1, 9, 9));
    assert_eq!(verify(&place.directory(), Some(&series.hash)).unwrap().problem_count, 0);
}

#[tokio::test]
async fn whatever_is_done_to_lines_shows() {
    async fn check(what: &str, tamper: impl Fn(&mut Vec<String>), says: &str) {
        let place = Place::new();
        let log = place.open();
        changes(&log, 5).await;
        log.close().await;
        let head = verify(&place.directory(), None).unwrap().series[0].hash.clone();
        let file = place.files().remove(0);
        let mut lines: Vec<_> = fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
        tamper(&mut lines);
        fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        let found = verify(&place.directory(), Some(&head)).unwrap();
        let said: Vec<_> = found.problems.iter().map(|problem| &*problem.problem).collect();
        assert!(said.iter().any(|problem| problem.contains(says)), "{what}: {said:?}");
    }
    check("another path", |lines| lines[2] = lines[2].replace("p1", "p9"), "does not follow from line 3")
        .await;
    check("a line less", |lines| drop(lines.remove(2)), "has the number 4, and follows 2").await;
    check("two lines the other way round", |lines| lines.swap(2, 3), "has the number 4, and follows 2").await;
    check("a line twice", |lines| lines.insert(3, lines[2].clone()), "has the number 3, and follows 3").await;
    check("no line", |lines| lines[2] = "{}".to_owned(), "is no line").await;
    check("the end cut off", |lines| lines.truncate(4), "no line has the hash").await;
    check(
        "the last line changed",
        |lines| lines[6] = lines[6].replace("stop", "start"),
        "no line has the hash",
    )
    .await;
    check("the beginning cut off", |lines| drop(lines.drain(..2)), "lines 1 to 2 are missing").await;
    check("another server's", |lines| lines[2] = lines[2].replace("a.b", "b.b"), "is a line of b.b").await;
}

#[tokio::test]
async fn a_torn_line_is_cut_off_and_what_cannot_be_gone_on_with_stops_the_start() {
    let place = Place::new();
    let log = place.open();
    changes(&log, 2).await;
    log.close().await;
    let append = |bytes: &[u8]| {
        let file = place.files().pop().unwrap();
        OpenOptions::new().append(true).open(file).unwrap().write_all(bytes).unwrap();
    };
    append(br#"{"sequence":5,"serv"#);
    assert!(verify(&place.directory(), None).unwrap().series[0].is_torn);
    place.open().close().await;
    assert_eq!(place.problems(), [""; 0]);
    let starts: Vec<_> = place.lines().into_iter().filter(|line| line.entry.event == Event::Start).collect();
    assert_eq!(starts[1].entry.bytes, Some(19), "a start says what it cut off");
    append(b"{}\n");
    let refused = AuditLog::open(place.options()).err().unwrap();
    assert!(matches!(refused, AuditError::Damaged { .. }), "{refused}");
}

#[tokio::test]
async fn a_place_is_looked_at_without_beginning_a_log_or_disturbing_one() {
    let place = Place::new();
    let listed = |directory: &Path| {
        let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
        let lengths = entries.map(|entry| (entry.path(), entry.metadata().unwrap().len()));
        lengths.collect::<std::collections::BTreeMap<_, _>>()
    };
    check(&place.options()).unwrap();
    assert!(!place.directory().exists(), "it is only looked at");
    let log = place.open();
    changes(&log, 1).await;
    let before = listed(&place.directory());
    check(&place.options()).unwrap();
    assert_eq!(listed(&place.directory()), before, "beside the one who has it");
    changes(&log, 1).await;
    log.close().await;

    let file = place.files().pop().unwrap();
    let append = |bytes: &[u8]| {
        OpenOptions::new().append(true).open(&file).unwrap().write_all(bytes).unwrap();
    };
    append(b"{torn");
    let before = listed(&place.directory());
    check(&place.options()).unwrap();
    assert_eq!(listed(&place.directory()), before, "a start cuts it off");
    append(b"}\n");
    let refused = check(&place.options()).unwrap_err();
    assert!(matches!(refused, AuditError::Damaged { .. }), "{refused}");
    for directory in [file.clone(), file.join("below"), PathBuf::from("/proc/x")] {
        let refused = check(&AuditOptions { directory, ..place.options() }).unwrap_err();
        assert!(matches!(refused, AuditError::Place { .. }), "{refused}");
    }
}

#[tokio::test]
async fn who_has_a_name_is_told_beside_whoever_has_it() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let of_another = AuditOptions { data_dir: elsewhere.path().to_owned(), ..place.options() };
    let of_none = AuditOptions { data_dir: elsewhere.path().join("none"), ..place.options() };
    assert_eq!(holder(&place.options()).unwrap(), Holder::Nobody);
    let log = place.open();
    assert_eq!(holder(&place.options()).unwrap(), Holder::Ours);
    for other in [&of_another, &of_none] {
        assert!(matches!(holder(other), Err(AuditError::Taken { .. })), "{other:?}");
        assert!(matches!(check(other), Err(AuditError::Taken { .. })), "{other:?}");
    }
    // A directory that another one shares, and one in which nothing was kept yet.
    assert_eq!(
        holder(&AuditOptions { server: "c".to_owned(), ..of_another.clone() }).unwrap(),
        Holder::Nobody
    );
    // An older version says nothing of itself, which is no reason to refuse anything.
    let lock = series::lock(&place.directory(), "a.b");
    let said = fs::read(&lock).unwrap();
    fs::write(&lock, "").unwrap();
    assert_eq!(holder(&place.options()).unwrap(), Holder::Unknown);
    check(&of_another).unwrap();
    // In a sandbox that hides when the machine was booted, it says the rest.
    let mut sandboxed: serde_json::Value = serde_json::from_slice(&said).unwrap();
    assert!(sandboxed["boot"].take().is_string());
    fs::write(&lock, sandboxed.to_string()).unwrap();
    assert_eq!(holder(&place.options()).unwrap(), Holder::Ours);
    assert!(matches!(check(&of_another), Err(AuditError::Taken { .. })));
    fs::write(&lock, said).unwrap();
    changes(&log, 1).await;
    log.close().await;
    assert_eq!(holder(&of_another).unwrap(), Holder::Nobody, "whoever had it has ended");
    AuditLog::open(of_another.clone()).unwrap().close().await;
    assert_eq!(holder(&place.options()).unwrap(), Holder::Nobody);
}

#[tokio::test]
async fn a_look_at_a_name_keeps_no_server_from_starting() {
    let place = Place::new();
    place.open().close().await;
    let lock = fs::File::open(series::lock(&place.directory(), "a.b")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockShared).unwrap();
    assert_eq!(holder(&place.options()).unwrap(), Holder::Nobody, "nor another look from telling");
    let looks = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        drop(lock);
    });
    place.open().close().await;
    looks.join().unwrap();
}

#[tokio::test]
async fn a_name_is_one_processs_at_a_time() {
    let place = Place::new();
    let log = place.open();
    let refused = AuditLog::open(place.options()).err().unwrap();
    assert!(matches!(refused, AuditError::Taken { .. }), "{refused}");
    let other = AuditLog::open(AuditOptions { server: "c".to_owned(), ..place.options() }).unwrap();
    changes(&other, 1).await;
    changes(&log, 1).await;
    other.close().await;
    log.close().await;
    assert_eq!(verify(&place.directory(), None).unwrap().series.len(), 2);
    assert_eq!(place.problems(), [""; 0]);
    let times: Vec<_> = place.lines().into_iter().map(|line| line.entry.time).collect();
    assert!(times.is_sorted(), "an export is in the order of times: {times:?}");
}

#[tokio::test]
async fn while_nothing_can_be_written_changes_are_refused_and_no_line_is_lost() {
    for (point, action, code) in
        [("audit.write", Point::DiskFull, "DISK_FULL"), ("audit.sync", Point::Io, "PROVIDER_UNAVAILABLE")]
    {
        let place = Place::new();
        let log = place.open();
        change(&log, "before").await.unwrap();
        let full = arm(place.0.path(), point, action);
        assert_eq!(change(&log, "amid").await.unwrap_err().code(), code);
        assert_eq!(change(&log, "refused").await.unwrap_err().code(), code, "before it is begun");
        drop(full);
        for _ in 0..1000 {
            if change(&log, "after").await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        log.close().await;
        let paths: Vec<_> = place.lines().into_iter().filter_map(|line| line.entry.path).collect();
        assert_eq!(paths, ["before", "amid", "after"], "{point}");
        use Event::{Operation, Resume, Start, Stop};
        assert_eq!(place.events(), [Start, Operation, Operation, Resume, Operation, Stop]);
        assert_eq!(place.problems(), [""; 0], "{point}");
    }
}

#[tokio::test]
async fn changes_go_on_where_that_was_chosen_and_their_lines_come_later() {
    let place = Place::new();
    let log = AuditLog::open(AuditOptions { continues_on_failure: true, ..place.options() }).unwrap();
    let full = arm(place.0.path(), "audit.write", Point::DiskFull);
    changes(&log, 3).await;
    assert_eq!(place.lines().len(), 1);
    drop(full);
    log.close().await;
    let paths: Vec<_> = place.lines().into_iter().filter_map(|line| line.entry.path).collect();
    assert_eq!(paths, ["p0", "p1", "p2"]);
    assert_eq!(place.problems(), [""; 0]);
}

#[tokio::test]
async fn a_full_disk_stops_a_start_only_where_it_stops_changes() {
    let place = Place::new();
    let full = arm(place.0.path(), "audit.write", Point::DiskFull);
    assert!(AuditLog::open(place.options()).is_err());
    let log = AuditLog::open(AuditOptions { continues_on_failure: true, ..place.options() }).unwrap();
    changes(&log, 2).await;
    assert_eq!(place.lines().len(), 0);
    drop(full);
    log.close().await;
    use Event::{Operation, Resume, Start, Stop};
    assert_eq!(place.events(), [Start, Operation, Operation, Resume, Stop]);
    assert_eq!(place.problems(), [""; 0]);
}

#[tokio::test]
async fn a_file_that_was_deleted_is_not_written_to() {
    let place = Place::new();
    let log = place.open();
    change(&log, "gone").await.unwrap();
    fs::remove_file(place.files().remove(0)).unwrap();
    assert!(change(&log, "kept").await.is_err(), "nobody would ever read it");
    for _ in 0..1000 {
        if change(&log, "after").await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    log.close().await;
    let paths: Vec<_> = place.lines().into_iter().filter_map(|line| line.entry.path).collect();
    assert_eq!(paths, ["kept", "after"]);
    assert_eq!(
        place.problems(),
        ["lines 1 to 2 are missing, and were not deleted by the server for their age"]
    );
}

#[tokio::test]
async fn files_end_at_a_length_and_go_at_an_age_and_that_shows_from_a_deletion_by_hand() {
    let place = Place::new();
    let small = AuditOptions { max_file_size: 500, ..place.options() };
    let log = AuditLog::open(small.clone()).unwrap();
    changes(&log, 20).await;
    log.close().await;
    let files = place.files();
    assert!(files.len() > 5, "{files:?}");
    assert_eq!(place.problems(), [""; 0], "the chain goes over files");
    for file in &files[..3] {
        age(file, Duration::from_secs(3 * 86_400));
    }
    let keep = AuditOptions { keep: Some(Duration::from_secs(2 * 86_400)), ..small };
    AuditLog::open(keep).unwrap().close().await;
    assert_eq!(place.files()[0], files[3]);
    assert_eq!(place.problems(), [""; 0], "the server itself let them go");
    fs::remove_file(&files[3]).unwrap();
    let problems = place.problems();
    assert!(problems[0].ends_with("were not deleted by the server for their age"), "{problems:?}");
}

fn age(file: &Path, by: Duration) {
    let file = OpenOptions::new().append(true).open(file).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

#[tokio::test]
async fn a_change_whose_caller_goes_away_has_a_line() {
    let place = Place::new();
    let log = place.open();
    let room = log.admit().await.unwrap();
    drop(Unanswered::new(&log, room, entry("dropped")));
    log.close().await;
    let line = place.lines().into_iter().find(|line| line.entry.path.as_deref() == Some("dropped")).unwrap();
    assert_eq!(line.entry.outcome, Some(Outcome::Unknown));
}

#[tokio::test]
async fn an_export_has_the_lines_that_are_asked_for_and_no_formula() {
    let place = Place::new();
    let log = place.open();
    for path in ["x/1", "x/2", "y/1", "=SUM(A1)\",\""] {
        change(&log, path).await.unwrap();
    }
    log.close().await;
    let check = |filter: AuditFilter, wanted: u64| {
        let mut out = Vec::new();
        assert_eq!(
            export(&place.directory(), &filter, AuditFormat::JsonLines, &mut out).unwrap(),
            wanted,
            "{filter:?}"
        );
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count() as u64, wanted, "{filter:?}");
    };
    let all = AuditFilter::default;
    check(all(), 6);
    check(AuditFilter { bucket: Some("b".to_owned()), ..all() }, 4);
    check(AuditFilter { bucket: Some("c".to_owned()), ..all() }, 0);
    check(AuditFilter { path: Some("x/".to_owned()), ..all() }, 2);
    check(AuditFilter { user: Some(uuid::Uuid::nil()), ..all() }, 0);
    check(AuditFilter { from: Some(chrono::Utc::now()), ..all() }, 0);
    check(AuditFilter { to: Some(chrono::Utc::now()), ..all() }, 6);
    let mut table = Vec::new();
    export(&place.directory(), &all(), AuditFormat::Csv, &mut table).unwrap();
    let table = String::from_utf8(table).unwrap();
    assert_eq!(table.lines().count(), 7);
    assert!(table.contains(r#","'=SUM(A1)"",""","#), "{table}");
}

#[test]
fn a_line_of_before_there_were_rules_and_settings_is_read() {
    let line = br#"{"sequence":7,"server":"a.b","time":"2026-01-02T03:04:05.678901Z","event":"operation",
        "operation":"maintain","action":"delete","outcome":"ok","role":"system",
        "request_id":"follow lifecycle rules","bucket":"b","version":"v","previous":"00"}"#;
    let entry = Line::parse(line).unwrap().entry;
    assert_eq!((entry.purpose, entry.rule, entry.settings), (None, None, None));
    assert_eq!(entry.request_id.as_deref(), Some("follow lifecycle rules"));
}

#[test]
fn what_was_set_is_told_as_it_is_unless_it_is_long() {
    let told =
        |settings: serde_json::Value| Entry::new(Event::Operation).settings(settings).settings.unwrap();
    let short = serde_json::json!({ "prefix": "a/", "max_age_days": 3 });
    assert_eq!(told(short.clone()), short);
    let long = told(serde_json::json!({ "prefix": "ü".repeat(5000) }));
    assert_eq!(long["bytes"], 10_000 + r#"{"prefix":""}"#.len());
    let cut = long["cut"].as_str().unwrap();
    assert!(cut.starts_with(r#"{"prefix":"ü"#) && (4000..=4096).contains(&cut.len()), "{}", cut.len());
}
