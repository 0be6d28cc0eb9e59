//! `aerostore queue`: uploads on their way to the provider where they belong, listed, shown, tried again, given up.

use clap::{Args, Subcommand};
use serde_json::Value;
use uuid::Uuid;

use super::{Context, pages};
use crate::failure::Failure;
use crate::output::table;
use crate::units;

/// What to do with the upload queue.
#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// List entries that are not completed, the newest first: one's own, or with the service key everybody's
    #[command(alias = "ls")]
    List(List),
    /// Show an entry
    Show(One),
    /// Try entries again that were given up; one that waits has its turn now
    Retry(Retry),
    /// Give an entry up: its bytes stay where they are, and readable
    Cancel(One),
}

/// Options of `queue list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that are pending, in_progress, completed or failed; `all` for completed ones besides
    #[arg(long)]
    status: Option<String>,
    /// Completed ones, too
    #[arg(long, conflicts_with = "status")]
    all: bool,
    /// Only those of this bucket
    #[arg(long)]
    bucket: Option<String>,
    /// Most entries
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// One entry.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The entry
    id: Uuid,
}

/// Options of `queue retry`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Retry {
    /// The entry
    id: Option<Uuid>,
    /// All entries that were given up
    #[arg(long)]
    all: bool,
}

/// Runs `aerostore queue`.
pub(crate) async fn run(queue: Queue, context: &Context<'_>) -> Result<(), Failure> {
    let Context { client, out } = context;
    match queue {
        Queue::List(asked) => list(&asked, context).await,
        Queue::Show(One { id }) => {
            let entry = client.queue_entry(&id.to_string()).await?;
            out.result(&entry, describe)
        }
        Queue::Retry(Retry { id: Some(id), .. }) => {
            let entry = client.retry_entry(&id.to_string()).await?;
            out.result(&entry, |entry| format!("{} is {}", text(entry, "id"), text(entry, "status")))
        }
        Queue::Retry(Retry { id: None, .. }) => {
            let done = client.retry_failed().await?;
            out.result(&done, |done| format!("{} queued again", number(done, "retried")))
        }
        Queue::Cancel(One { id }) => {
            let entry = client.cancel_entry(&id.to_string()).await?;
            out.result(&entry, |entry| format!("{} is {}", text(entry, "id"), text(entry, "status")))
        }
    }
}

impl List {
    /// The status that is asked for; `None` for any.
    fn wanted(&self) -> Option<String> {
        self.status.clone().filter(|status| status != "all")
    }

    /// Whether an entry is shown. Where nobody says what, those that have arrived are no news.
    fn shows(&self, entry: &Value) -> bool {
        self.all || self.status.is_some() || text(entry, "status") != "completed"
    }
}

async fn list(asked: &List, context: &Context<'_>) -> Result<(), Failure> {
    let Context { client, out } = context;
    let status = asked.wanted();
    let given = [("status", &status), ("bucket", &asked.bucket)];
    // All are read, and not those of one status after those of another: what is claimed meanwhile would be in neither.
    let shows = |entry: &Value| asked.shows(entry);
    let (entries, has_more) = pages::first_of(asked.limit, &given, "cursor", shows, async |query| {
        let page = client.queue_entries(&query).await?;
        Ok((page.entries, page.next_cursor))
    })
    .await?;
    if out.is_json() {
        return out.json(&entries);
    }
    if entries.is_empty() {
        out.note("nothing is queued");
        return Ok(());
    }
    if has_more {
        out.note("there are more: --limit");
    }
    out.line(&rows(&entries))
}

fn rows(entries: &[Value]) -> String {
    let mut rows = vec![["ID", "STATUS", "REASON", "TRIES", "SIZE", "OBJECT"].map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(|entry| {
        vec![
            text(entry, "id").to_owned(),
            text(entry, "status").to_owned(),
            text(entry, "reason").to_owned(),
            format!("{}/{}", number(entry, "attempt_count"), number(entry, "max_attempts")),
            units::size(number(entry, "file_size_bytes")),
            object(entry),
        ]
    }));
    table(&rows, &[3, 4])
}

fn describe(entry: &Value) -> String {
    let mut rows = vec![
        ("id", text(entry, "id").to_owned()),
        ("object", object(entry)),
        ("size", units::size(number(entry, "file_size_bytes"))),
        ("status", text(entry, "status").to_owned()),
        ("reason", text(entry, "reason").to_owned()),
        ("tries", format!("{} of {}", number(entry, "attempt_count"), number(entry, "max_attempts"))),
    ];
    let told = [
        ("from", "source_provider"),
        ("to", "target_provider"),
        ("user", "user_id"),
        ("error", "error_message"),
        ("queued", "queued_at"),
        ("started", "started_at"),
        ("ended", "completed_at"),
    ];
    rows.extend(
        told.into_iter().filter_map(|(name, key)| Some((name, entry.get(key)?.as_str()?.to_owned()))),
    );
    if text(entry, "status") == "pending" {
        rows.push(("next try", text(entry, "next_attempt_at").to_owned()));
    }
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    table(&rows, &[])
}

fn object(entry: &Value) -> String {
    format!("{}/{}", text(entry, "bucket_id"), text(entry, "storage_path"))
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or("-")
}

fn number(entry: &Value, key: &str) -> u64 {
    entry.get(key).and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_arrived_is_listed_where_it_is_asked_for() {
        let check = |status: Option<&str>, all, wanted: Option<&str>, shows_all| {
            let asked = List { status: status.map(str::to_owned), all, bucket: None, limit: 1 };
            assert_eq!(asked.wanted().as_deref(), wanted);
            assert_eq!(asked.shows(&json!({ "status": "completed" })), shows_all);
            assert!(asked.shows(&json!({ "status": "in_progress" })));
        };
        check(None, false, None, false);
        check(Some("completed"), false, Some("completed"), true);
        check(Some("all"), false, None, true);
        check(None, true, None, true);
    }

    #[test]
    fn entries_are_a_table_and_one_is_a_list() {
        let entry = json!({
            "id": "e1", "status": "pending", "reason": "failover", "attempt_count": 2, "max_attempts": 20,
            "file_size_bytes": 2_000_000, "bucket_id": "box", "storage_path": "a/b", "error_message": "no answer",
            "source_provider": "local", "target_provider": "cloud", "user_id": null, "queued_at": "then",
            "started_at": null, "completed_at": null, "next_attempt_at": "soon",
        });
        assert_eq!(
            rows(std::slice::from_ref(&entry)),
            "ID  STATUS   REASON    TRIES     SIZE  OBJECT\ne1  pending  failover   2/20  2.00 MB  box/a/b"
        );
        let shown = describe(&entry);
        for line in ["tries     2 of 20", "from      local", "error     no answer", "next try  soon"] {
            assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
        }
        assert!(!shown.contains("user") && !shown.contains("started"), "{shown}");
    }
}
