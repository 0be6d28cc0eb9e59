//! `GET /metrics` and `POST /metrics/reset`: the figures that a person looks at, without Prometheus between.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::health::ProviderHealth;
use super::{Maintainer, answer};
use crate::app::AppState;
use crate::rest::json;
use crate::telemetry::{Distribution, Snapshot, uptime};

const OPERATION: &str = "metrics";

/// What a server has done since it was started, or since the figures were reset.
#[derive(Serialize, ToSchema)]
pub(super) struct Metrics {
    /// Since when it is counted.
    since: DateTime<Utc>,
    /// Requests, by operation.
    requests: Vec<Requests>,
    /// Operations in providers of bytes.
    backend: Vec<BackendCalls>,
    /// Uploads over all protocols.
    uploads: Transfers,
    /// Downloads over all protocols.
    downloads: Transfers,
    /// Commits of SQLite's writer; null on PostgreSQL, or where there was none.
    commits: Option<Commits>,
    /// Lists and objects that are kept in memory.
    cache: Cache,
    /// The providers, as of the last look at each.
    providers: Vec<ProviderHealth>,
    /// Connections.
    connections: Connections,
    /// The process.
    process: Process,
}

/// Requests of one operation.
#[derive(Serialize, ToSchema)]
struct Requests {
    /// The operation, as log lines name it.
    #[schema(example = "download")]
    operation: String,
    /// Those that were refused: 4xx, 501, and 507 for a quota.
    refused: u64,
    /// Those that failed: any other 5xx.
    failed: u64,
    /// How long they took, from their head to the end of their answer.
    #[serde(flatten)]
    latency: Latency,
}

/// Calls of one operation in one provider.
#[derive(Serialize, ToSchema)]
struct BackendCalls {
    /// The provider.
    provider: String,
    /// The operation.
    #[schema(example = "write")]
    operation: String,
    /// Calls that failed, with those that were given up.
    errors: u64,
    /// Calls that were tried again.
    retries: u64,
    /// Calls that were given up, as they took too long. How long they took does not hold them.
    timeouts: u64,
    /// How long they took.
    #[serde(flatten)]
    latency: Latency,
}

/// A number of times. Percentiles are within 1% of what was measured, up to an hour.
#[derive(Serialize, ToSchema)]
struct Latency {
    /// How many.
    count: u64,
    /// Their mean, in milliseconds.
    mean_ms: f64,
    /// The median, in milliseconds.
    p50_ms: f64,
    /// The 95th percentile, in milliseconds.
    p95_ms: f64,
    /// The 99th percentile, in milliseconds.
    p99_ms: f64,
}

/// Transfers in one direction.
#[derive(Serialize, ToSchema)]
struct Transfers {
    /// Those that succeeded.
    count: u64,
    /// Those that failed.
    errors: u64,
    /// Bytes of those that succeeded.
    bytes: u64,
    /// Failures, by the error's code.
    errors_by_code: BTreeMap<String, u64>,
}

/// Commits of the database.
#[derive(Serialize, ToSchema)]
struct Commits {
    /// Writes that share a commit, on average.
    mean_size: f64,
    /// How long they took.
    #[serde(flatten)]
    latency: Latency,
}

/// Lists and objects that are kept in memory.
#[derive(Serialize, ToSchema)]
struct Cache {
    /// Lists and objects that were answered from there.
    hits: u64,
    /// Those that were read from the database.
    misses: u64,
    /// Of those, the ones that were kept and had changed.
    invalidations: u64,
    /// Kept answers that went for lack of room, or as they were too old.
    evictions: u64,
    /// Lists that were read before somebody asked for them.
    warmed: u64,
    /// Memory in use now, more or less.
    bytes: u64,
}

/// Connections of clients.
#[derive(Serialize, ToSchema)]
struct Connections {
    /// Open now.
    open: u64,
    /// Answers that ended early.
    interrupted: u64,
    /// Connections that could not be accepted, for lack of file descriptors or memory.
    accept_errors: u64,
}

/// The process.
#[derive(Serialize, ToSchema)]
struct Process {
    /// The version that runs.
    version: &'static str,
    /// How long it has been running.
    uptime_seconds: u64,
    /// Memory in use.
    resident_memory_bytes: u64,
    /// Open file descriptors.
    open_fds: u64,
    /// How many there may be.
    max_fds: u64,
    /// Handlers that panicked.
    panics: u64,
    /// Log lines that were lost.
    log_lines_dropped: u64,
}

/// Since when is counted anew.
#[derive(Serialize, ToSchema)]
pub(super) struct Reset {
    /// The moment.
    since: DateTime<Utc>,
}

/// Shows what the server has done: counts, and how long things took.
#[utoipa::path(
    get, path = "/metrics", tag = "Management", operation_id = "metrics",
    responses(
        (status = 200, description = "The figures", body = Metrics),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn show(State(app): State<AppState>, caller: Maintainer) -> Response {
    let (figures, since) = app.figures.recent();
    let providers = app.storage.provider_statuses().into_iter().map(ProviderHealth::from).collect();
    answer(&caller, OPERATION, Ok(Metrics::of(&figures, shown(since), providers)))
}

/// Counts from nothing again. Prometheus' own counters are not touched.
#[utoipa::path(
    post, path = "/metrics/reset", tag = "Management", operation_id = "resetMetrics",
    responses(
        (status = 200, description = "Counted from now on", body = Reset),
        (status = 400, description = "There is a body that asks for something"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn reset(State(app): State<AppState>, caller: Maintainer, body: Body) -> Response {
    let outcome = json::none(body).await.map(|()| Reset { since: shown(app.figures.reset()) });
    answer(&caller, OPERATION, outcome)
}

/// A moment as exact as all others are told.
fn shown(moment: SystemTime) -> DateTime<Utc> {
    DateTime::<Utc>::from(moment).trunc_subsecs(6)
}

impl Metrics {
    fn of(figures: &Snapshot, since: DateTime<Utc>, providers: Vec<ProviderHealth>) -> Self {
        let total = |name: &str| whole(figures.total(name));
        Self {
            since,
            requests: requests(figures),
            backend: backend(figures),
            uploads: transfers(figures, "upload"),
            downloads: transfers(figures, "download"),
            commits: commits(figures),
            cache: Cache {
                hits: total("storage_cache_hits_total"),
                misses: total("storage_cache_misses_total"),
                invalidations: total("storage_cache_invalidations_total"),
                evictions: total("storage_cache_evictions_total"),
                warmed: total("storage_cache_warmed_total"),
                bytes: total("storage_cache_bytes"),
            },
            providers,
            connections: Connections {
                open: total("http_connections"),
                interrupted: total("http_interrupted_total"),
                accept_errors: total("http_accept_errors_total"),
            },
            process: Process {
                version: env!("CARGO_PKG_VERSION"),
                uptime_seconds: uptime().as_secs(),
                resident_memory_bytes: total("process_resident_memory_bytes"),
                open_fds: total("process_open_fds"),
                max_fds: total("process_max_fds"),
                panics: total("http_panics_total"),
                log_lines_dropped: total("log_lines_dropped_total"),
            },
        }
    }
}

fn requests(figures: &Snapshot) -> Vec<Requests> {
    const NAME: &str = "http_request_duration_seconds";
    let by_class = figures.by(&format!("{NAME}_count"), ["operation", "status"]);
    let of_classes = |operation: &str, classes: &[&str]| {
        let keys = classes.iter().map(|class| [operation.to_owned(), (*class).to_owned()]);
        whole(keys.filter_map(|key| by_class.get(&key)).sum())
    };
    let by_operation = figures.distributions(NAME, ["operation"]).into_iter();
    let shown = by_operation.map(|([operation], times)| Requests {
        refused: of_classes(&operation, &["4xx", "501", "quota"]),
        failed: of_classes(&operation, &["5xx"]),
        latency: Latency::of(&times),
        operation,
    });
    shown.collect()
}

fn backend(figures: &Snapshot) -> Vec<BackendCalls> {
    const LABELS: [&str; 2] = ["backend", "operation"];
    let [errors, retries, timeouts] = ["errors", "retries", "timeouts"]
        .map(|what| figures.by(&format!("storage_backend_{what}_total"), LABELS));
    let mut calls = figures.distributions("storage_backend_latency_seconds", LABELS);
    // What was given up every time never took a time.
    for (key, _) in errors.iter().filter(|(_, count)| **count > 0.0) {
        calls.entry(key.clone()).or_default();
    }
    let shown = calls.into_iter().map(|(key, times)| {
        let of = |counts: &BTreeMap<_, f64>| whole(counts.get(&key).copied().unwrap_or_default());
        let (errors, retries, timeouts) = (of(&errors), of(&retries), of(&timeouts));
        let [provider, operation] = key;
        BackendCalls { provider, operation, errors, retries, timeouts, latency: Latency::of(&times) }
    });
    shown.collect()
}

fn transfers(figures: &Snapshot, direction: &str) -> Transfers {
    let by_status = figures.by(&format!("storage_{direction}_total"), ["status"]);
    let of = |status: &str| whole(by_status.get(&[status.to_owned()]).copied().unwrap_or_default());
    let errors_by_code = figures.by(&format!("storage_{direction}_errors_total"), ["error"]).into_iter();
    Transfers {
        count: of("success"),
        errors: of("error"),
        bytes: whole(figures.total(&format!("storage_{direction}_bytes_total"))),
        errors_by_code: errors_by_code
            .map(|([code], count)| (code, whole(count)))
            .filter(|(_, count)| *count > 0)
            .collect(),
    }
}

fn commits(figures: &Snapshot) -> Option<Commits> {
    let one = |name: &str| figures.distributions(name, []).into_values().next();
    let times = one("storage_group_commit_seconds")?;
    let mean_size = one("storage_group_commit_size").map_or(0.0, |sizes| sizes.mean());
    Some(Commits { mean_size, latency: Latency::of(&times) })
}

impl Latency {
    fn of(times: &Distribution) -> Self {
        // A thousandth of a millisecond is all that can be told.
        let millis = |seconds: f64| (seconds * 1_000_000.0).round() / 1000.0;
        Self {
            count: times.count,
            mean_ms: millis(times.mean()),
            p50_ms: millis(times.quantile(0.5)),
            p95_ms: millis(times.quantile(0.95)),
            p99_ms: millis(times.quantile(0.99)),
        }
    }
}

/// A count: whole and not negative, far below what a double holds.
fn whole(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const TEXT: &str = r#"
http_request_duration_seconds_count{operation="upload",status="2xx"} 5
http_request_duration_seconds_count{operation="upload",status="4xx"} 4
http_request_duration_seconds_count{operation="upload",status="501"} 1
http_request_duration_seconds_count{operation="upload",status="quota"} 8
http_request_duration_seconds_count{operation="upload",status="5xx"} 2
storage_backend_latency_seconds_count{operation="read",backend="s3"} 9
storage_backend_errors_total{operation="read",backend="s3"} 1
storage_backend_errors_total{operation="probe",backend="s3"} 8
storage_backend_timeouts_total{operation="probe",backend="s3"} 8
storage_backend_errors_total{operation="copy",backend="s3"} 0
"#;

    #[test]
    fn quotas_are_refusals() {
        let rows = requests(&Snapshot::parse(TEXT, HashMap::new()));
        let told: Vec<_> = rows.iter().map(|row| (row.latency.count, row.refused, row.failed)).collect();
        assert_eq!(told, [(20, 13, 2)]);
    }

    #[test]
    fn what_was_only_ever_given_up_is_shown() {
        let rows = backend(&Snapshot::parse(TEXT, HashMap::new()));
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.operation.as_str(), row.latency.count, row.errors, row.timeouts))
            .collect();
        assert_eq!(told, [("probe", 0, 8, 8), ("read", 9, 1, 0)]);
    }
}
