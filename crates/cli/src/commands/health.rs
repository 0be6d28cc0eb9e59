//! `aerostore health`: whether the server is well; exit code 0 says yes.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::Context;
use crate::args::Global;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Output, table};

/// Options of `health`.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// Only whether the server can do its work, which needs no token and no data directory: for supervisors and containers
    #[arg(long)]
    pub(crate) ready: bool,
}

/// Runs `aerostore health`.
pub(crate) async fn run(_health: &Health, context: &Context<'_>) -> Result<(), Failure> {
    let report = context.client.health().await?;
    context.out.result(&report, describe)?;
    // What is wrong was told; one that stands in for another is well enough to go on.
    match report.get("status").and_then(Value::as_str) {
        Some("unavailable") => Err(Failure::Other(anyhow::anyhow!("the server is not well"))),
        _ => Ok(()),
    }
}

/// Runs `aerostore health --ready`.
pub(crate) async fn ready(global: &Global, out: &Output) -> Result<(), Failure> {
    Client::anonymous(global)?.ready().await?;
    out.result(&serde_json::json!({ "ready": true }), |_| "ready".to_owned())
}

fn describe(report: &Value) -> String {
    let text = |key: &str| report.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    let number = |key: &str| report.get(key).and_then(Value::as_u64);
    let mut rows = vec![
        ("status", text("status")),
        ("version", text("version")),
        ("uptime", number("uptime_seconds").map_or("?".to_owned(), uptime)),
        ("provider", text("provider")),
        ("probe", number("probe_ms").map_or("?".to_owned(), |millis| format!("{millis} ms"))),
    ];
    if let Some(problem) = report.get("problem").and_then(Value::as_str) {
        rows.push(("problem", problem.to_owned()));
    }
    for provider in report.get("providers").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| provider.get(key).and_then(Value::as_str);
        if let (Some(name), Some(error)) = (text("provider"), text("error")) {
            rows.push(("unhealthy", format!("{name}: {error}")));
        }
    }
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    table(&rows, &[])
}

/// A time as people say it: its two largest units.
fn uptime(seconds: u64) -> String {
    let whole = server::config::Setting::show(&Duration::from_secs(seconds));
    let mut units = 0;
    let end = whole.char_indices().find(|(_, c)| {
        units += usize::from(c.is_ascii_alphabetic());
        units == 2
    });
    end.map_or(whole.as_str(), |(at, _)| whole.get(..=at).unwrap_or_default()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_a_table() {
        let report = serde_json::json!({
            "status": "ok", "version": "1.2.3", "uptime_seconds": 93_784, "provider": "local", "probe_ms": 4, "problem": null,
        });
        assert_eq!(
            describe(&report),
            "status    ok\nversion   1.2.3\nuptime    1d2h\nprovider  local\nprobe     4 ms"
        );
        let report = serde_json::json!({
            "status": "degraded", "version": "1.2.3", "uptime_seconds": 1, "provider": "local", "probe_ms": 4,
            "providers": [
                { "provider": "cloud", "healthy": false, "error": "no connection" },
                { "provider": "local", "healthy": true, "error": null },
            ],
        });
        assert!(describe(&report).ends_with("unhealthy  cloud: no connection"), "{}", describe(&report));
        for (seconds, text) in [(0, "0s"), (59, "59s"), (61, "1m1s"), (7200, "2h"), (86_400 * 400, "400d")] {
            assert_eq!(uptime(seconds), text);
        }
    }
}
