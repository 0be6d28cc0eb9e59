//! `aerostore usage`: bytes and files by user and bucket, by provider, and in a folder.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Context;
use crate::address::Remote;
use crate::failure::Failure;
use crate::output::table;
use crate::units;

/// Options of `usage`.
#[derive(Debug, Args)]
pub(crate) struct Usage {
    /// Count anew and say what differs from the counters: it must be nothing, else the exit code is 1
    #[arg(long)]
    recalculate: bool,
    /// Also set right the counters that differ
    #[arg(long, conflicts_with = "recalculate")]
    repair: bool,
    /// What objects in a bucket, or in a folder of it (BUCKET/FOLDER), take, and how old they are
    #[arg(long, value_name = "BUCKET[/FOLDER]", conflicts_with_all = ["recalculate", "repair"])]
    folder: Option<Remote>,
    /// What objects take by user, bucket or provider, and how old they are: by a look at all of them
    #[arg(long, value_enum, conflicts_with_all = ["recalculate", "repair", "folder"])]
    by: Option<By>,
    /// Look anew, where the server may answer with what it found in the last five minutes
    #[arg(long)]
    refresh: bool,
}

/// By what usage is told.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum By {
    /// By owner
    User,
    /// By bucket
    Bucket,
    /// By the provider that the bytes are on (service role)
    Provider,
}

impl By {
    /// The word that the server has for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Bucket => "bucket",
            Self::Provider => "provider",
        }
    }
}

/// Runs `aerostore usage`.
pub(crate) async fn run(usage: &Usage, context: &Context<'_>) -> Result<(), Failure> {
    if let Some(folder) = &usage.folder {
        let report = context.client.folder_usage(&folder.name(), usage.refresh).await?;
        return context.out.result(&report, |report| entries("FOLDER", std::slice::from_ref(report)));
    }
    if let Some(by) = usage.by {
        let report = context.client.usage_by(by.word(), usage.refresh).await?;
        say_if_truncated(&report, context);
        return context.out.result(&report, |report| {
            let found = report.get("entries").and_then(Value::as_array);
            entries(&by.word().to_uppercase(), found.map(Vec::as_slice).unwrap_or_default())
        });
    }
    let report = match usage.repair {
        true => context.client.repair_usage().await?,
        false => context.client.usage(usage.recalculate).await?,
    };
    say_if_truncated(&report, context);
    context.out.result(&report, describe)?;
    if usage.recalculate { confirmed(&report) } else { Ok(()) }
}

fn say_if_truncated(report: &Value, context: &Context<'_>) {
    if report.get("truncated").and_then(Value::as_bool).unwrap_or(false) {
        context
            .out
            .note("there is more than the 10 000 that the server tells of: what they add up to is not all");
    }
}

/// Whether a recount found what the counters say. Else it is a failure: somebody must look.
fn confirmed(report: &Value) -> Result<(), Failure> {
    match report.get("differences").and_then(Value::as_array).map_or(0, Vec::len) {
        0 => Ok(()),
        found => Err(Failure::Other(anyhow::anyhow!(
            "{found} counters differ from what was counted: aerostore usage --repair sets them right"
        ))),
    }
}

/// What was found by a look at objects.
fn entries(title: &str, found: &[Value]) -> String {
    let titles = [title, "FILES", "SIZE", "AVERAGE", "OLDEST", "NEWEST"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(found.iter().map(|entry| {
        let average = entry.get("average_bytes").and_then(Value::as_u64);
        vec![
            word(entry, "name"),
            number(entry, "file_count").to_string(),
            units::size(number(entry, "total_bytes")),
            average.map_or("-".to_owned(), units::size),
            day(entry, "oldest"),
            day(entry, "newest"),
        ]
    }));
    table(&rows, &[1, 2, 3])
}

/// The day of a moment.
fn day(entry: &Value, key: &str) -> String {
    word(entry, key).split('T').next().unwrap_or("-").to_owned()
}

/// The caller's own usage, or a table of users and one of buckets.
fn describe(report: &Value) -> String {
    let list = |key: &str| report.get(key).and_then(Value::as_array);
    let Some(users) = list("users") else {
        return rows("USER", "user_id", std::slice::from_ref(report));
    };
    let mut text = rows("USER", "user_id", users);
    let buckets = list("buckets").map(Vec::as_slice).unwrap_or_default();
    text = format!("{text}\n\n{}", rows("BUCKET", "bucket_id", buckets));
    match list("differences") {
        None => text,
        Some(found) if found.is_empty() => format!("{text}\n\nthe recount found no difference"),
        Some(found) => format!("{text}\n\n{}", differences(found)),
    }
}

fn rows(title: &str, name: &str, entries: &[Value]) -> String {
    let mut rows = vec![[title, "FILES", "SIZE", "QUOTA"].map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(|entry| {
        let quota = entry.get("quota_bytes").and_then(Value::as_u64);
        vec![
            word(entry, name),
            number(entry, "file_count").to_string(),
            units::size(number(entry, "total_bytes")),
            quota.map_or("-".to_owned(), units::size),
        ]
    }));
    table(&rows, &[1, 2, 3])
}

fn differences(found: &[Value]) -> String {
    let titles = ["SCOPE", "NAME", "FILES COUNTED", "FILES FOUND", "BYTES COUNTED", "BYTES FOUND"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(found.iter().map(|entry| {
        let numbers = ["counted_files", "actual_files", "counted_bytes", "actual_bytes"];
        let numbers = numbers.map(|key| number(entry, key).to_string());
        [word(entry, "scope"), word(entry, "name")].into_iter().chain(numbers).collect()
    }));
    table(&rows, &[2, 3, 4, 5])
}

fn word(entry: &Value, key: &str) -> String {
    entry.get(key).and_then(Value::as_str).unwrap_or("-").to_owned()
}

fn number(entry: &Value, key: &str) -> u64 {
    entry.get(key).and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_looked_at_is_a_table() {
        let found = json!({
            "name": "box/a", "file_count": 2, "total_bytes": 5_000_000, "average_bytes": 2_000_000,
            "oldest": "2026-01-02T03:04:05Z", "newest": null,
        });
        assert_eq!(
            entries("FOLDER", &[found]),
            "FOLDER  FILES     SIZE  AVERAGE  OLDEST      NEWEST\nbox/a       2  5.00 MB  2.00 MB  2026-01-02  -"
        );
    }

    #[test]
    fn usage_is_a_table() {
        let own = json!({ "user_id": "u1", "total_bytes": 5, "file_count": 1, "quota_bytes": null });
        assert_eq!(describe(&own), "USER  FILES  SIZE  QUOTA\nu1        1   5 B      -");
        let all = json!({
            "users": [own],
            "buckets": [{ "bucket_id": "box", "total_bytes": 2_000_000, "file_count": 12, "quota_bytes": 5_000_000 }],
            "differences": [],
        });
        let text = describe(&all);
        assert!(text.contains("BUCKET  FILES     SIZE    QUOTA\nbox        12  2.00 MB  5.00 MB"), "{text}");
        assert!(text.ends_with("the recount found no difference"), "{text}");
        confirmed(&all).unwrap();
        let mut wrong = all;
        wrong["differences"] = json!([{
            "scope": "bucket", "name": "box", "counted_files": 1, "actual_files": 2, "counted_bytes": 3, "actual_bytes": 4,
        }]);
        assert_eq!(confirmed(&wrong).unwrap_err().exit_code(), 1);
        let text = describe(&wrong);
        assert!(text.lines().last().unwrap().starts_with("bucket  box"), "{text}");
    }
}
