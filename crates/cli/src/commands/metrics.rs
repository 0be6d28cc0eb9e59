//! `aerostore metrics`: the server's counters, as Prometheus text or as JSON.

use clap::Args;
use serde_json::{Map, Value, json};

use super::Context;
use crate::failure::Failure;

/// Options of `metrics`.
#[derive(Debug, Args)]
pub(crate) struct Metrics {
    /// Only metrics whose name starts so
    #[arg(value_name = "PREFIX", default_value = "")]
    prefix: String,
}

/// Runs `aerostore metrics`.
pub(crate) async fn run(metrics: &Metrics, context: &Context<'_>) -> Result<(), Failure> {
    let text = context.client.metrics().await?;
    let lines = text.lines().filter(|line| name_of(line).starts_with(&metrics.prefix));
    if context.out.is_json() {
        return context.out.json(&lines.filter_map(sample).collect::<Vec<_>>());
    }
    context.out.text(&lines.map(|line| format!("{line}\n")).collect::<String>())
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
