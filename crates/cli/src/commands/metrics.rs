//! `aerostore metrics`: what the server has done, as a table or as JSON; or Prometheus' own counters, by their name.

use clap::Args;
use serde_json::{Map, Value, json};

use super::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::units;

/// Options of `metrics`.
#[derive(Debug, Args)]
pub(crate) struct Metrics {
    /// Instead of the summary: Prometheus' counters whose name starts so
    #[arg(value_name = "PREFIX", conflicts_with = "reset")]
    prefix: Option<String>,
    /// Count from nothing again. Prometheus' own counters stay as they are
    #[arg(long)]
    reset: bool,
}

/// Runs `aerostore metrics`.
pub(crate) async fn run(metrics: &Metrics, context: &Context<'_>) -> Result<(), Failure> {
    match &metrics.prefix {
        Some(prefix) => counters(prefix, context).await,
        None if metrics.reset => {
            let since = context.client.reset_summary().await?;
            context.out.result(&since, |since| format!("counted anew since {}", text(since, "since")))
        }
        None => context.out.result(&context.client.summary().await?, describe),
    }
}

async fn counters(prefix: &str, context: &Context<'_>) -> Result<(), Failure> {
    let text = context.client.metrics().await?;
    let lines = text.lines().filter(|line| name_of(line).starts_with(prefix));
    if context.out.is_json() {
        return context.out.json(&lines.filter_map(sample).collect::<Vec<_>>());
    }
    context.out.text(&lines.map(|line| format!("{line}\n")).collect::<String>())
}

/// The summary as tables: requests, backends, transfers, the process.
fn describe(summary: &Value) -> String {
    let each = |key: &str| summary.get(key).and_then(Value::as_array).into_iter().flatten();
    let head = |names: &[&str]| {
        let times = ["count", "p50 ms", "p95 ms", "p99 ms"];
        names.iter().copied().chain(times).map(str::to_owned).collect::<Vec<_>>()
    };
    let times = |row: &Value| ["count", "p50_ms", "p95_ms", "p99_ms"].map(|key| number(row, key));
    let mut requests = vec![head(&["operation", "refused", "failed"])];
    requests.extend(each("requests").map(|row| {
        let cells = [text(row, "operation"), number(row, "refused"), number(row, "failed")];
        cells.into_iter().chain(times(row)).collect()
    }));
    let mut backend = vec![head(&["provider", "operation", "errors"])];
    backend.extend(each("backend").map(|row| {
        let cells = [text(row, "provider"), text(row, "operation"), number(row, "errors")];
        cells.into_iter().chain(times(row)).collect()
    }));
    let mut rest = vec![vec!["since".to_owned(), text(summary, "since")]];
    for direction in ["uploads", "downloads"] {
        let bytes =
            summary.pointer(&format!("/{direction}/bytes")).and_then(Value::as_u64).unwrap_or_default();
        let [count, errors] = ["count", "errors"].map(|key| number(&summary[direction], key));
        rest.push(vec![direction.to_owned(), format!("{count} ({}), {errors} failed", units::size(bytes))]);
    }
    let memory = summary.pointer("/process/resident_memory_bytes").and_then(Value::as_u64);
    rest.push(vec!["memory".to_owned(), units::size(memory.unwrap_or_default())]);
    rest.push(vec!["connections".to_owned(), number(&summary["connections"], "open")]);
    [table(&requests, &[1, 2, 3, 4, 5, 6]), table(&backend, &[2, 3, 4, 5, 6]), table(&rest, &[])].join("\n\n")
}

fn text(row: &Value, key: &str) -> String {
    row.get(key).and_then(Value::as_str).unwrap_or("?").to_owned()
}

fn number(row: &Value, key: &str) -> String {
    row.get(key).map_or("?".to_owned(), ToString::to_string)
}

/// The metric that a line is about, also for `# HELP` and `# TYPE`.
fn name_of(line: &str) -> &str {
    let line = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
    line.split(['{', ' ']).next().unwrap_or_default()
}

/// `name{label="value"} 1` as JSON; none for comments and blank lines.
fn sample(line: &str) -> Option<Value> {
    if line.starts_with('#') || line.is_empty() {
        return None;
    }
    let (head, value) = line.rsplit_once(' ')?;
    let (name, labels) =
        head.split_once('{').map_or((head, ""), |(name, rest)| (name, rest.trim_end_matches('}')));
    let value: f64 = value.parse().ok()?;
    Some(json!({ "name": name, "labels": parse_labels(labels), "value": value }))
}

/// Label pairs; a value may hold escaped quotes, backslashes and newlines.
fn parse_labels(text: &str) -> Map<String, Value> {
    let mut labels = Map::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let (mut value, mut end, mut escaped) = (String::new(), after.len(), false);
        for (at, c) in after.char_indices() {
            match (escaped, c) {
                (false, '"') => {
                    end = at + 1;
                    break;
                }
                (false, '\\') => escaped = true,
                (true, 'n') => {
                    value.push('\n');
                    escaped = false;
                }
                (_, c) => {
                    value.push(c);
                    escaped = false;
                }
            }
        }
        labels.insert(name.trim_start_matches(',').trim().to_owned(), value.into());
        rest = after.get(end..).unwrap_or_default();
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_the_text_format() {
        let check = |line: &str, expected: Option<Value>| assert_eq!(sample(line), expected, "{line}");
        check("up 1", Some(json!({ "name": "up", "labels": {}, "value": 1.0 })));
        check(
            r#"a_total{bucket="x\"y\\",status="ok, fine"} 2.5"#,
            Some(
                json!({ "name": "a_total", "labels": { "bucket": "x\"y\\", "status": "ok, fine" }, "value": 2.5 }),
            ),
        );
        check("# HELP up words", None);
        check("", None);
        assert_eq!(name_of("# TYPE up gauge"), "up");
    }
}
