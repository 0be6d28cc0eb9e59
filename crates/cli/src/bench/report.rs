//! A benchmark's results, as a table and as JSON.

use serde_json::{Value, json};

use super::{Measurement, Plan};
use crate::output::table;
use crate::units;

/// A row per measurement, and a line per kind of error.
pub(crate) fn to_table(results: &[Measurement]) -> String {
    let head = ["OP", "SIZE", "REQUESTS", "ERRORS", "OPS/S", "MB/S", "P50 MS", "P95 MS", "P99 MS", "MAX MS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for Measurement { operation, size, measured } in results {
        rows.push(vec![
            (*operation).to_owned(),
            units::exact_size(*size),
            measured.requests().to_string(),
            measured.errors().to_string(),
            format!("{:.0}", measured.per_second()),
            format!("{:.1}", measured.megabytes_per_second()),
            format!("{:.3}", measured.percentile(50.0)),
            format!("{:.3}", measured.percentile(95.0)),
            format!("{:.3}", measured.percentile(99.0)),
            format!("{:.3}", measured.slowest()),
        ]);
    }
    let mut text = table(&rows, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for Measurement { operation, size, measured } in results {
        for (kind, count) in measured.error_kinds() {
            text.push_str(&format!("\n{operation} {}: {count} × {kind}", units::exact_size(*size)));
        }
    }
    text
}

/// Everything that the table says, and what was asked for.
pub(crate) fn to_json(plan: &Plan, url: &str, results: &[Measurement]) -> Value {
    let results: Vec<Value> = results
        .iter()
        .map(|Measurement { operation, size, measured }| {
            let kinds: serde_json::Map<String, Value> = measured
                .error_kinds()
                .into_iter()
                .map(|(kind, count)| (kind.to_owned(), count.into()))
                .collect();
            json!({
                "operation": operation,
                "size": size,
                "requests": measured.requests(),
                "errors": measured.errors(),
                "error_kinds": kinds,
                "verified": measured.verified(),
                "seconds": measured.seconds(),
                "ops_per_second": measured.per_second(),
                "mb_per_second": measured.megabytes_per_second(),
                "p50_ms": measured.percentile(50.0),
                "p95_ms": measured.percentile(95.0),
                "p99_ms": measured.percentile(99.0),
                "max_ms": measured.slowest(),
            })
        })
        .collect();
    json!({
        "url": url,
        "concurrency": plan.concurrency,
        "threads": plan.threads,
        "warmup_seconds": plan.warmup.as_secs_f64(),
        "duration_seconds": plan.duration.as_secs_f64(),
        "results": results,
    })
}
