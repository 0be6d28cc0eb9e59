//! What is told while lines can't be written for so long that some are lost.

use std::collections::BTreeMap;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use super::*;
use crate::failpoint::{Action, Scope, arm};

/// Figures by their names.
#[derive(Clone, Default)]
struct Figures(Arc<Mutex<BTreeMap<String, f64>>>);

struct Figure(String, Figures);

impl Figures {
    fn of(&self, name: &str) -> f64 {
        lock(&self.0).get(name).copied().unwrap_or_default()
    }
}

impl Figure {
    fn change(&self, change: impl Fn(f64) -> f64) {
        let mut all = lock(&self.1.0);
        let figure = all.entry(self.0.clone()).or_default();
        *figure = change(*figure);
    }
}

impl CounterFn for Figure {
    fn increment(&self, value: u64) {
        self.change(|before| before + value as f64);
    }

    fn absolute(&self, value: u64) {
        self.change(|_| value as f64);
    }
}

impl GaugeFn for Figure {
    fn increment(&self, value: f64) {
        self.change(|before| before + value);
    }

    fn decrement(&self, value: f64) {
        self.change(|before| before - value);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl Recorder for Figures {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Figure(key.name().to_owned(), self.clone())))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Figure(key.name().to_owned(), self.clone())))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn what_there_is_no_room_for_is_counted_and_said_by_the_line_after() {
    let figures = Figures::default();
    let _recording = metrics::set_default_local_recorder(&figures);
    let place = tempfile::tempdir().unwrap();
    let options = AuditOptions {
        directory: place.path().join("audit"),
        server: "one".to_owned(),
        data_dir: place.path().to_owned(),
        keeps_all: true,
        sync: false,
        continues_on_failure: true,
        max_file_size: 1 << 30,
        keep: None,
        failpoints: Scope::new(place.path()),
    };
    let (mut writer, _) = Writer::open(options).unwrap();
    let shared = Shared {
        keeps_all: true,
        continues_on_failure: true,
        room: Arc::new(Semaphore::new(ROOM)),
        state: Mutex::default(),
        changed: Condvar::new(),
        is_failing: AtomicBool::new(false),
        is_full: AtomicBool::new(false),
        thread: Mutex::default(),
    };
    let (mut kept, mut lost) = (vec![Entry::new(Event::Operation); MOST_KEPT + 50], 0);
    let told = |figure: &str| figures.of(&format!("storage_audit_{figure}"));
    let full = arm(place.path(), "audit.write", Action::DiskFull);
    assert!(!write(&shared, &mut writer, &mut kept, &mut lost));
    assert_eq!((kept.len(), lost), (MOST_KEPT, 50));
    assert_eq!((told("failing"), told("lost_total"), told("lines_total")), (1.0, 50.0, 0.0));
    kept.push(Entry::new(Event::Operation));
    assert!(!write(&shared, &mut writer, &mut kept, &mut lost));
    assert_eq!((told("failing"), told("lost_total")), (1.0, 51.0), "each is counted once");

    drop(full);
    assert!(write(&shared, &mut writer, &mut kept, &mut lost));
    assert_eq!((told("failing"), told("lost_total")), (0.0, 51.0));
    assert_eq!((told("lines_total"), lost), (MOST_KEPT as f64, 0));
    let said = std::fs::read_dir(place.path().join("audit")).unwrap();
    let files = said
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "jsonl"));
    let text: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let resume = text.lines().find(|line| line.contains("\"event\":\"resume\"")).unwrap();
    assert!(resume.contains("\"count\":51"), "{resume}");
}
