//! The figures of one moment, read back from what Prometheus is told: the exporter has no other door, and a request pays
//! nothing for it.

use std::collections::{BTreeMap, HashMap};

use super::describe::{DESCRIPTIONS, Kind};

/// What a histogram's lines end with.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The figures of one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot(Vec<Sample>);

/// A line: a name, its labels, and a value.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Values of one figure since some moment, in the bounds of its histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// What they come to together.
    pub sum: f64,
    /// Upper bounds, rising, and how many values are within each.
    bounds: Vec<(f64, f64)>,
}

/// What growing figures stood at when somebody wanted to count from nothing, by name and labels.
pub(super) type Baseline = HashMap<(String, BTreeMap<String, String>), f64>;

impl Snapshot {
    /// Reads Prometheus' text form.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(Sample::parse).collect())
    }

    /// All that only grows, as it stands.
    pub(super) fn baseline(self) -> Baseline {
        let growing = self.0.into_iter().filter(Sample::grows);
        growing.map(|sample| ((sample.name, sample.labels), sample.value)).collect()
    }

    /// What has been added to growing figures since; gauges stay as they are.
    #[must_use]
    pub(super) fn since(mut self, baseline: &Baseline) -> Self {
        for sample in &mut self.0 {
            let key = (std::mem::take(&mut sample.name), std::mem::take(&mut sample.labels));
            sample.value -= baseline.get(&key).copied().unwrap_or_default();
            (sample.name, sample.labels) = key;
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
            *sums.entry(sample.key(labels)).or_default() += sample.value;
        }
        sums
    }

    /// A histogram's values by those of some of its labels.
    pub fn distributions<const N: usize>(
        &self,
        name: &str,
        labels: [&str; N],
    ) -> BTreeMap<[String; N], Distribution> {
        let mut found = BTreeMap::<_, Distribution>::new();
        for sample in self.of(&format!("{name}_sum")) {
            found.entry(sample.key(labels)).or_default().sum += sample.value;
        }
        for sample in self.of(&format!("{name}_count")) {
            // Counts are whole numbers, and far below 2^52.
            found.entry(sample.key(labels)).or_default().count += sample.value.max(0.0) as u64;
        }
        for sample in self.of(&format!("{name}_bucket")) {
            let Some(bound) = sample.labels.get("le").and_then(|le| le.parse().ok()) else { continue };
            found.entry(sample.key(labels)).or_default().add(bound, sample.value);
        }
        found.retain(|_, distribution| distribution.count > 0);
        found
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }
}

impl Distribution {
    fn add(&mut self, bound: f64, within: f64) {
        match self.bounds.binary_search_by(|(known, _)| known.total_cmp(&bound)) {
            Ok(at) => {
                if let Some((_, sum)) = self.bounds.get_mut(at) {
                    *sum += within;
                }
            }
            Err(at) => self.bounds.insert(at, (bound, within)),
        }
    }

    /// The value that a share of all values does not exceed (0.99 for the 99th percentile), estimated as Prometheus does:
    /// evenly spread between two bounds. Beyond the last finite bound, that bound.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = share * self.count as f64;
        let (mut below, mut before) = (0.0, 0.0);
        for (bound, within) in &self.bounds {
            if *within >= rank && *within > before {
                return if bound.is_finite() {
                    below + (bound - below) * ((rank - before) / (within - before)).clamp(0.0, 1.0)
                } else {
                    below
                };
            }
            (below, before) = (*bound, *within);
        }
        below
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

    fn key<const N: usize>(&self, labels: [&str; N]) -> [String; N] {
        labels.map(|label| self.labels.get(label).cloned().unwrap_or_default())
    }

    /// Whether it only grows: a counter, or part of a histogram.
    fn grows(&self) -> bool {
        let kind =
            |name: &str| DESCRIPTIONS.iter().find(|(known, ..)| *known == name).map(|(_, _, kind, _)| *kind);
        let part = PARTS.iter().find_map(|part| self.name.strip_suffix(part));
        kind(&self.name) == Some(Kind::Counter) || part.and_then(kind) == Some(Kind::Histogram)
    }
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

    #[test]
    fn figures_are_summed_by_their_labels() {
        let snapshot = Snapshot::parse(TEXT);
        assert_eq!(snapshot.total("storage_upload_total"), 10.0);
        let by_status = snapshot.by("storage_upload_total", ["status"]);
        assert_eq!(by_status[&["error".to_owned()]], 1.0);
        assert_eq!(by_status[&["success".to_owned()]], 9.0);
        assert_eq!(snapshot.total("nothing"), 0.0);
    }

    #[test]
    fn percentiles_lie_between_the_bounds() {
        let snapshot = Snapshot::parse(TEXT);
        let found = snapshot.distributions("storage_backend_latency_seconds", ["operation", "backend"]);
        let read = &found[&["read".to_owned(), "a\"b\\".to_owned()]];
        let check = |share: f64, expected: f64| {
            let got = read.quantile(share);
            assert!((got - expected).abs() < 1e-9, "{share}: {got}, not {expected}");
        };
        check(0.25, 0.05);
        check(0.5, 0.1);
        check(0.95, 0.91);
        check(1.0, 1.0);
        assert!((read.mean() - 0.3).abs() < 1e-9);
        assert_eq!(Distribution::default().quantile(0.99), 0.0);
    }

    #[test]
    fn what_exceeds_all_bounds_counts_as_the_last_one() {
        let mut slow = Distribution { count: 4, ..Distribution::default() };
        for (bound, within) in [(f64::INFINITY, 4.0), (300.0, 1.0)] {
            slow.add(bound, within);
        }
        assert_eq!(slow.quantile(0.99), 300.0);
    }

    #[test]
    fn a_baseline_is_taken_off_what_grows_and_not_off_gauges() {
        let baseline = Snapshot::parse(TEXT).baseline();
        let later = TEXT
            .replace("success\"} 7", "success\"} 9")
            .replace("le=\"1\"} 100", "le=\"1\"} 104")
            .replace("le=\"+Inf\"} 100", "le=\"+Inf\"} 104")
            .replace("b\\\\\"} 100", "b\\\\\"} 104");
        let since = Snapshot::parse(&later).since(&baseline);
        assert_eq!(since.total("storage_upload_total"), 2.0);
        assert_eq!(since.total("http_connections"), 3.0);
        let found = since.distributions("storage_backend_latency_seconds", ["operation"]);
        let read = &found[&["read".to_owned()]];
        assert_eq!(read.count, 4);
        assert!(read.quantile(0.01) > 0.1, "all four are above the first bound");
    }
}
