//! `aerostore job`: long work that was asked for, listed, shown, waited for, cancelled.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use uuid::Uuid;

use super::{Context, pages};
use crate::failure::Failure;
use crate::output::{plain, table};
use crate::transfer::JobProgress;
use crate::units;

/// Time between two looks at a job that is waited for, at first and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// List jobs, the newest first: one's own, or with the service key all
    #[command(alias = "ls")]
    List(List),
    /// Show a job, how far it is, and what it could not do
    Show(One),
    /// Wait until a job has ended; the exit code says whether all of it was done
    Wait(One),
    /// End a job before it is done. What it has done stays done
    Cancel(One),
}

/// Options of `job list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that are pending, running, completed, failed or cancelled
    #[arg(long)]
    status: Option<String>,
    /// Only those of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Most jobs
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// One job.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The job
    id: Uuid,
}

/// Runs `aerostore job`.
pub(crate) async fn run(job: Job, context: &Context<'_>) -> Result<(), Failure> {
    let Context { client, out } = context;
    match job {
        Job::List(asked) => list(&asked, context).await,
        Job::Show(One { id }) => {
            let job = client.job(&id.to_string()).await?;
            out.result(&job, describe)
        }
        Job::Wait(One { id }) => {
            let job = wait(client.job(&id.to_string()).await?, context).await?;
            out.result(&job, describe)?;
            outcome(&job)
        }
        Job::Cancel(One { id }) => {
            let job = client.cancel_job(&id.to_string()).await?;
            out.result(&job, |job| match text(job, "status") {
                "running" => format!("{id} ends after the step that it is at"),
                status => format!("{id} is {status}"),
            })
        }
    }
}

/// Waits as [`wait`] does for what the command itself has asked for. Who presses Ctrl-C is told that the server goes on, and how to end it.
pub(crate) async fn wait_or_leave(started: Value, context: &Context<'_>) -> Result<Value, Failure> {
    let id = text(&started, "id").to_owned();
    tokio::select! {
        ended = wait(started, context) => ended,
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            Err(Failure::Left { job: id })
        }
    }
}

/// Waits until a job has ended, and gives it as it then is.
pub(crate) async fn wait(mut job: Value, context: &Context<'_>) -> Result<Value, Failure> {
    let id = text(&job, "id").to_owned();
    let progress = JobProgress::new(context.out.shows_progress());
    let (mut pause, mut failed) = (LOOKS.0, 0);
    while matches!(text(&job, "status"), "pending" | "running") {
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(LOOKS.1);
        job = match context.client.job(&id).await {
            // The job goes on while its server is started again.
            Err(failure) if failure.is_transient() && failed < 30 => {
                failed += 1;
                continue;
            }
            Err(failure) if failure.is_transient() => {
                context
                    .out
                    .note(&format!("the job goes on when its server is back: aerostore job wait {id}"));
                return Err(failure);
            }
            asked => asked?,
        };
        failed = 0;
        progress.set(number(&job, "done"), job.get("total").and_then(Value::as_u64));
    }
    Ok(job)
}

/// Whether all of a job was done.
pub(crate) fn outcome(job: &Value) -> Result<(), Failure> {
    let (done, failures) = (number(job, "done"), number(job, "failures"));
    // What was there already went well, too.
    let present = job.pointer("/report/present").and_then(Value::as_u64).unwrap_or(0);
    match text(job, "status") {
        "completed" if failures == 0 => Ok(()),
        "completed" => Err(Failure::Several {
            failed: failures,
            total: done.saturating_add(present).saturating_add(failures),
            exit_code: crate::failure::FAILED,
        }),
        status => {
            let why = job.pointer("/error/message").and_then(Value::as_str).unwrap_or("somebody ended it");
            Err(Failure::Other(anyhow::anyhow!("the job is {status}: {why}")))
        }
    }
}

async fn list(asked: &List, context: &Context<'_>) -> Result<(), Failure> {
    let Context { client, out } = context;
    let given = [("status", &asked.status), ("kind", &asked.kind)];
    let (jobs, has_more) = pages::first(asked.limit, &given, "before", async |query| {
        let page = client.jobs(&query).await?;
        Ok((page.jobs, page.next_before))
    })
    .await?;
    if out.is_json() {
        return out.json(&jobs);
    }
    if jobs.is_empty() {
        out.note("there are no jobs");
        return Ok(());
    }
    if has_more {
        out.note("there are more: --limit");
    }
    out.line(&rows(&jobs))
}

fn rows(jobs: &[Value]) -> String {
    let mut rows = vec![["ID", "KIND", "STATUS", "DONE", "FAILED", "ASKED FOR"].map(str::to_owned).to_vec()];
    rows.extend(jobs.iter().map(|job| {
        vec![
            text(job, "id").to_owned(),
            kind(job),
            text(job, "status").to_owned(),
            done(job),
            number(job, "failures").to_string(),
            text(job, "created_at").to_owned(),
        ]
    }));
    table(&rows, &[3, 4])
}

fn describe(job: &Value) -> String {
    let mut rows = vec![
        ("id", text(job, "id").to_owned()),
        ("kind", kind(job)),
        ("status", text(job, "status").to_owned()),
        ("done", done(job)),
        ("bytes", units::size(number(job, "bytes"))),
        ("failed", number(job, "failures").to_string()),
    ];
    if let Some(params) = job.get("params").and_then(Value::as_object) {
        let shown = params.iter().map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}={text}"),
            None => format!("{name}={value}"),
        });
        rows.push(("of", shown.collect::<Vec<_>>().join(" ")));
    }
    let told = [
        ("user", "/user_id"),
        ("error", "/error/message"),
        ("asked for", "/created_at"),
        ("started", "/started_at"),
        ("ended", "/completed_at"),
    ];
    rows.extend(
        told.into_iter().filter_map(|(name, at)| Some((name, job.pointer(at)?.as_str()?.to_owned()))),
    );
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut shown = table(&rows, &[]);
    for failure in job.pointer("/report/failures").and_then(Value::as_array).into_iter().flatten() {
        let (path, message) = (plain(text(failure, "path")), plain(text(failure, "message")));
        shown.push_str(&format!("\n{path}: {message}"));
    }
    shown
}

fn kind(job: &Value) -> String {
    let is = |at: &str| job.pointer(at).and_then(Value::as_bool).unwrap_or(false);
    let kind = text(job, "kind");
    match (kind, is("/dry_run"), is("/params/repair")) {
        ("scrub", _, true) => format!("{kind} (repair)"),
        // One that repairs nothing reads for real all the same.
        ("scrub", _, false) | (_, false, _) => kind.to_owned(),
        (_, true, _) => format!("{kind} (dry run)"),
    }
}

fn done(job: &Value) -> String {
    match job.get("total").and_then(Value::as_u64) {
        Some(total) => format!("{}/{total}", number(job, "done")),
        None => number(job, "done").to_string(),
    }
}

pub(super) fn text<'a>(job: &'a Value, key: &str) -> &'a str {
    job.get(key).and_then(Value::as_str).unwrap_or("-")
}

pub(super) fn number(job: &Value, key: &str) -> u64 {
    job.get(key).and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(status: &str, failures: u64) -> Value {
        json!({
            "id": "j1", "kind": "delete_folder", "status": status, "dry_run": true, "done": 5, "bytes": 2_000_000,
            "total": 7, "failures": failures, "params": { "bucket": "box", "prefix": "a/" }, "user_id": null,
            "report": { "failures": [{ "path": "a/x", "code": "C", "message": "may not" }] },
            "error": null, "created_at": "then", "started_at": null, "completed_at": null,
        })
    }

    #[test]
    fn jobs_are_a_table_and_one_is_a_list() {
        let job = job("running", 1);
        assert_eq!(
            rows(std::slice::from_ref(&job)),
            "ID  KIND                     STATUS   DONE  FAILED  ASKED FOR\n\
             j1  delete_folder (dry run)  running   5/7       1  then"
        );
        let shown = describe(&job);
        for line in ["of         bucket=box prefix=a/", "bytes      2.00 MB", "a/x: may not"] {
            assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
        }
        assert!(!shown.contains("user") && !shown.contains("started"), "{shown}");
    }

    #[test]
    fn a_scrub_says_whether_it_repairs_and_is_no_dry_run() {
        let shown = |kind: &str, dry_run: bool, repair: bool| {
            super::kind(&json!({ "kind": kind, "dry_run": dry_run, "params": { "repair": repair } }))
        };
        assert_eq!(shown("scrub", false, false), "scrub");
        assert_eq!(shown("scrub", false, true), "scrub (repair)");
        assert_eq!(shown("lifecycle", true, false), "lifecycle (dry run)");
    }

    #[test]
    fn what_was_not_done_is_told_by_the_exit_code() {
        let code =
            |status, failures| outcome(&job(status, failures)).err().map(|failure| failure.exit_code());
        assert_eq!(code("completed", 0), None);
        for (status, failures) in [("completed", 1), ("failed", 0), ("cancelled", 0)] {
            assert_eq!(code(status, failures), Some(1), "{status} {failures}");
        }
    }
}
