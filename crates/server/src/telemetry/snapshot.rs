//! The figures of one moment: counts and sums, read back from what Prometheus is told, as the exporter has no other door; and times,
//! of which percentiles are taken.

use std::collections::{BTreeMap, HashMap};

use super::describe::{DESCRIPTIONS, Kind};
use super::times::{Series, Times};

/// What those of a histogram's lines end with that are read. Its buckets are not.
const PARTS: [&str; 2] = ["_sum", "_count"];

/// The figures of one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    samples: Vec<Sample>,
    times: HashMap<Series, Times>,
}

/// A line: a name, its labels, and a value.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Values of one figure since some moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// What they come to together.
    pub sum: f64,
    /// They themselves, where they are times.
    times: Option<Times>,
}

/// What growing figures stood at when somebody wanted to count from nothing.
#[derive(Default)]
pub(super) struct Baseline {
    figures: HashMap<Series, f64>,
    times: HashMap<Series, Times>,
}

impl Snapshot {
    /// Reads Prometheus' text form, and takes times as they stand.
    pub(crate) fn parse(text: &str, times: HashMap<Series, Times>) -> Self {
        Self { samples: text.lines().filter_map(Sample::parse).collect(), times }
    }

    /// All that only grows, as it stands.
    pub(super) fn baseline(self) -> Baseline {
        let growing = self.samples.into_iter().filter(Sample::grows);
        let figures = growing.map(|sample| ((sample.name, sample.labels), sample.value)).collect();
        Baseline { figures, times: self.times }
    }

    /// What has been added to growing figures since; gauges stay as they are.
    #[must_use]
    pub(super) fn since(mut self, baseline: &Baseline) -> Self {
        for sample in &mut self.samples {
            let key = (std::mem::take(&mut sample.name), std::mem::take(&mut sample.labels));
            sample.value -= baseline.figures.get(&key).copied().unwrap_or_default();
            (sample.name, sample.labels) = key;
        }
        for (series, times) in &mut self.times {
            if let Some(before) = baseline.times.get(series) {
                // Times are only ever added, so that those of before are there to be taken off.
                let _ = times.subtract(before);
            }
        }
        self
    }

    /// The sum of a figure over all its labels.
    pub fn total(&self, name: &str) -> f64 {
        self.of(name).map(|sample| sample.value).sum()
    }

    /// The sums of a figure by the values of some of its labels.
    pub fn by<const N: usize>(&self, name: &str, labels: [&str; N]) -> BTreeMap<[String; N], f64> {
        let mut sums = BTreeMap::new();
        for sample in self.of(name) {
            *sums.entry(values(&sample.labels, labels)).or_default() += sample.value;
        }
        sums
    }

    /// A histogram's values by those of some of its labels. Percentiles are of all statuses together.
    pub fn distributions<const N: usize>(
        &self,
        name: &str,
        labels: [&str; N],
    ) -> BTreeMap<[String; N], Distribution> {
        let mut found = BTreeMap::<_, Distribution>::new();
        for sample in self.of(&format!("{name}_sum")) {
            found.entry(values(&sample.labels, labels)).or_default().sum += sample.value;
        }
        for sample in self.of(&format!("{name}_count")) {
            // Counts are whole numbers, and far below 2^52.
            found.entry(values(&sample.labels, labels)).or_default().count += sample.value.max(0.0) as u64;
        }
        for ((_, labelled), times) in self.times.iter().filter(|((known, _), _)| known == name) {
            found.entry(values(labelled, labels)).or_default().add(times);
        }
        found.retain(|_, distribution| distribution.count > 0);
        found
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }
}

impl Distribution {
    fn add(&mut self, times: &Times) {
        match &mut self.times {
            Some(all) => {
                // It grows as they need it.
                let _ = all.add(times);
            }
            None => self.times = Some(times.clone()),
        }
    }

    /// The time that a share of all values does not exceed (0.99 for the 99th percentile), in seconds and within 1%; 0 without any.
    pub fn quantile(&self, share: f64) -> f64 {
        let micros = self.times.as_ref().filter(|times| !times.is_empty()).map_or(0, |times| {
            // The middle of what can't be told apart.
            times.median_equivalent(times.value_at_quantile(share))
        });
        micros as f64 / 1_000_000.0
    }

    /// The mean of all values.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }
}

impl Sample {
    /// `name{label="value"} 1`; none for comments and blank lines.
    fn parse(line: &str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let (head, value) = line.rsplit_once(' ')?;
        let (name, labels) = match head.split_once('{') {
            Some((name, rest)) => (name, parse_labels(rest.strip_suffix('}')?)?),
            None => (head, BTreeMap::new()),
        };
        Some(Self { name: name.to_owned(), labels, value: value.parse().ok()? })
    }

    /// Whether it only grows: a counter, or part of a histogram.
    fn grows(&self) -> bool {
        let kind =
            |name: &str| DESCRIPTIONS.iter().find(|(known, ..)| *known == name).map(|(_, _, kind, _)| *kind);
        let part = PARTS.iter().find_map(|part| self.name.strip_suffix(part));
        kind(&self.name) == Some(Kind::Counter) || part.and_then(kind) == Some(Kind::Histogram)
    }
}

/// What some labels say.
fn values<const N: usize>(labelled: &BTreeMap<String, String>, labels: [&str; N]) -> [String; N] {
    labels.map(|label| labelled.get(label).cloned().unwrap_or_default())
}

/// Label pairs; a value may hold escaped quotes, backslashes and newlines.
fn parse_labels(text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at + 1,
                (_, '\\') => match chars.next()? {
                    (_, 'n') => value.push('\n'),
                    (_, other) => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.insert(name.trim_start_matches(',').to_owned(), value);
        rest = after.get(end..)?;
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP storage_backend_latency_seconds words
# TYPE storage_backend_latency_seconds histogram
storage_backend_latency_seconds_bucket{operation="read",backend="a\"b\\",le="0.1"} 50
storage_backend_latency_seconds_bucket{operation="read",backend="a\"b\\",le="1"} 100
storage_backend_latency_seconds_bucket{operation="read",backend="a\"b\\",le="+Inf"} 100
storage_backend_latency_seconds_sum{operation="read",backend="a\"b\\"} 30
storage_backend_latency_seconds_count{operation="read",backend="a\"b\\"} 100
storage_upload_total{bucket="x",status="success"} 7
storage_upload_total{bucket="y",status="success"} 2
storage_upload_total{bucket="x",status="error"} 1
http_connections 3
"#;

    /// Times of the read that the text counts, in microseconds.
    fn times(micros: impl IntoIterator<Item = u64>) -> HashMap<Series, Times> {
        let mut times = Times::new(2).unwrap();
        micros.into_iter().for_each(|each| times.record(each).unwrap());
        let labels = [("operation", "read"), ("backend", "a\"b\\")];
        let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned()));
        HashMap::from([(("storage_backend_latency_seconds".to_owned(), labels.into()), times)])
    }

    #[track_caller]
    fn check(found: &Distribution, share: f64, expected: f64) {
        let got = found.quantile(share);
        assert!((got / expected - 1.0).abs() < 0.01, "{share}: {got}, not {expected}");
    }

    #[test]
    fn figures_are_summed_by_their_labels() {
        let snapshot = Snapshot::parse(TEXT, HashMap::new());
        assert_eq!(snapshot.total("storage_upload_total"), 10.0);
        let by_status = snapshot.by("storage_upload_total", ["status"]);
        assert_eq!(by_status[&["error".to_owned()]], 1.0);
        assert_eq!(by_status[&["success".to_owned()]], 9.0);
        assert_eq!(snapshot.total("nothing"), 0.0);
    }

    #[test]
    fn percentiles_are_of_the_times_themselves() {
        let snapshot = Snapshot::parse(TEXT, times((1..=100).map(|each| each * 6_000)));
        let found = snapshot.distributions("storage_backend_latency_seconds", ["operation", "backend"]);
        let read = &found[&["read".to_owned(), "a\"b\\".to_owned()]];
        for (share, expected) in [(0.25, 0.15), (0.5, 0.3), (0.95, 0.57), (1.0, 0.6)] {
            check(read, share, expected);
        }
        assert!((read.mean() - 0.3).abs() < 1e-9);
        assert_eq!(Distribution::default().quantile(0.99), 0.0);
    }

    #[test]
    fn times_of_several_are_put_together() {
        let mut both = Distribution::default();
        for micros in [[1_000; 4].to_vec(), vec![400_000_000]] {
            times(micros).values().for_each(|times| both.add(times));
        }
        check(&both, 0.5, 0.001);
        check(&both, 0.99, 400.0);
    }

    #[test]
    fn a_baseline_is_taken_off_what_grows_and_not_off_gauges() {
        let baseline = Snapshot::parse(TEXT, times([50_000; 100])).baseline();
        let later = TEXT.replace("success\"} 7", "success\"} 9").replace("b\\\\\"} 100", "b\\\\\"} 104");
        let now = times([50_000; 100].into_iter().chain([2_278_000; 4]));
        let since = Snapshot::parse(&later, now).since(&baseline);
        assert_eq!(since.total("storage_upload_total"), 2.0);
        assert_eq!(since.total("http_connections"), 3.0);
        let found = since.distributions("storage_backend_latency_seconds", ["operation"]);
        let read = &found[&["read".to_owned()]];
        assert_eq!(read.count, 4);
        check(read, 0.01, 2.278);
    }
}
