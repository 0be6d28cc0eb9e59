//! `aerostore scrub`: all that is kept, read and compared with its checksums, by a job of the server's.

use clap::Args;
use serde_json::Value;

use super::{Context, job};
use crate::failure::{FAILED, Failure};
use crate::output::{plain, table};
use crate::units;

/// Options of `scrub`.
#[derive(Debug, Args)]
pub(crate) struct Scrub {
    /// Only what this provider keeps
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Only what is kept of this bucket
    #[arg(long)]
    bucket: Option<String>,
    /// Make bad bytes anew from a good copy, and bad copies from good bytes. Without it, nothing is changed
    #[arg(long)]
    repair: bool,
}

/// Runs `aerostore scrub`. What is left bad is a failure, and so is what could not be read: somebody must look.
pub(crate) async fn run(asked: &Scrub, context: &Context<'_>) -> Result<(), Failure> {
    let Context { client, out } = context;
    let started = client.scrub(asked.provider.as_deref(), asked.bucket.as_deref(), asked.repair).await?;
    let ended = job::wait_or_leave(started, context).await?;
    out.result(&ended, describe)?;
    outcome(&ended)
}

/// Whether everything was read and is good.
fn outcome(job: &Value) -> Result<(), Failure> {
    match text(job, "status") {
        "completed" => {}
        _ => return job::outcome(job),
    }
    let (left, skipped) = (count(job, "left"), count(job, "skipped"));
    match (left, skipped) {
        (0, 0) => Ok(()),
        (0, skipped) => Err(Failure::Other(anyhow::anyhow!(
            "the scrub is not complete: {skipped} could not be read, as their provider was not well. Run it again: aerostore health"
        ))),
        (left, _) => {
            let total = number(job, "done").saturating_add(count(job, "inline")).saturating_add(skipped);
            Err(Failure::Several { failed: left, total, exit_code: FAILED })
        }
    }
}

fn describe(job: &Value) -> String {
    let mut rows = vec![
        ("verified", number(job, "done").to_string()),
        ("in the database", count(job, "inline").to_string()),
        ("bytes read", units::size(number(job, "bytes"))),
    ];
    let told = [
        ("not what was stored", "mismatch"),
        ("missing", "missing"),
        ("not readable", "read_error"),
        ("repaired", "repaired"),
        ("left bad", "left"),
        ("provider not well", "skipped"),
    ];
    for (name, key) in told {
        if count(job, key) > 0 {
            rows.push((name, count(job, key).to_string()));
        }
    }
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut shown = table(&rows, &[]);
    for finding in job.pointer("/report/findings").and_then(Value::as_array).into_iter().flatten() {
        let is = |key: &str| finding.get(key).and_then(Value::as_bool).unwrap_or(false);
        let what = if is("is_copy") { "copy" } else { "bytes" };
        let end = if is("repaired") { ", repaired" } else { "" };
        shown.push_str(&format!(
            "\n{}/{}: {what} on {}: {}{end}",
            text(finding, "bucket"),
            plain(text(finding, "path")),
            text(finding, "provider"),
            text(finding, "problem"),
        ));
    }
    shown
}

fn count(job: &Value, name: &str) -> u64 {
    job.get("report").map_or(0, |report| number(report, name))
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ended(report: &Value) -> Value {
        json!({ "id": "j1", "status": "completed", "done": 7, "bytes": 2_000_000, "failures": 1, "report": report })
    }

    #[test]
    fn what_was_found_is_told_and_is_the_exit_code() {
        let code = |report: Value| outcome(&ended(&report)).err().map(|failure| failure.exit_code());
        assert_eq!(code(json!({ "inline": 3 })), None);
        assert_eq!(code(json!({ "mismatch": 2, "repaired": 2 })), None);
        assert_eq!(code(json!({ "mismatch": 2, "repaired": 1, "left": 1 })), Some(1));
        assert_eq!(code(json!({ "skipped": 1 })), Some(1));
        let failed = json!({ "status": "failed", "error": { "message": "no" }, "done": 0, "failures": 0 });
        assert_eq!(outcome(&failed).unwrap_err().exit_code(), 1);

        let finding = json!({
            "bucket": "box", "path": "a/b", "provider": "local", "problem": "mismatch", "is_copy": false,
            "repaired": true,
        });
        let shown =
            describe(&ended(&json!({ "inline": 3, "mismatch": 1, "repaired": 1, "findings": [finding] })));
        for line in [
            "verified             7",
            "repaired             1",
            "box/a/b: bytes on local: mismatch, repaired",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
        }
        assert!(!shown.contains("missing") && !shown.contains("left bad"), "{shown}");
    }
}
