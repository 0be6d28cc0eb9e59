//! Many copies at once: a plan feeds tasks, a bounded number of them run, each may be tried again.
//!
//! Memory is bounded whatever is copied: the plan is a stream, and so is every file.

mod batch;
mod download;
mod partial;
pub(crate) mod pipe;
pub(crate) mod plan;
mod progress;
mod upload;

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;

use crate::address::Address;
use crate::client::Client;
use crate::failure::{Failure, Tally};
use crate::output::{Output, plain};
use batch::{Done, TOGETHER, Unit};
use plan::{Planned, Target, Task};
pub(crate) use progress::JobProgress;
use progress::{Meter, Progress};

/// How files are copied.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) overwrite: bool,
    pub(crate) concurrency: usize,
    pub(crate) content_type: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) retries: u32,
    /// Whole folders are copied: small files may go together.
    pub(crate) recursive: bool,
}

/// What a run did.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) copied: u64,
    pub(crate) skipped: u64,
    /// What is no file, and was told of.
    pub(crate) left_out: u64,
    pub(crate) bytes: u64,
    pub(crate) tally: Tally,
    pub(crate) elapsed: Duration,
}

impl Summary {
    /// This run, and one behind it.
    pub(crate) fn and(mut self, next: &Self) -> Self {
        self.copied += next.copied;
        self.skipped += next.skipped;
        self.left_out += next.left_out;
        self.bytes += next.bytes;
        self.tally.join(&next.tally);
        self.elapsed += next.elapsed;
        self
    }
}

enum Outcome {
    Copied(u64),
    Skipped,
    /// What, and why.
    LeftOut(String),
}

/// Copies all sources. Failures of single files are told and counted; a server that went away ends the run, and so does a token that is
/// not taken.
pub(crate) async fn run(
    client: &Client,
    sources: Vec<Address>,
    target: Target,
    options: Options,
    out: &Output,
) -> Result<Summary, Failure> {
    let started = Instant::now();
    let progress = Progress::new(out.shows_progress());
    let mut planned = plan::start(client.clone(), sources, target, options.recursive);
    let tasks = futures_util::stream::poll_fn(|context| planned.poll_recv(context));
    let mut outcomes = std::pin::pin!(
        tasks
            .inspect(|planned| if let Ok(task) = planned {
                progress.found(task.size());
            })
            .ready_chunks(TOGETHER)
            .flat_map(|planned| futures_util::stream::iter(batch::units(planned, &options)))
            .map(|unit| async {
                match unit {
                    Unit::One(planned) => vec![alone(client, planned, &options, &progress).await],
                    Unit::Many(tasks) => batch::send(client, tasks, &options, &progress).await,
                }
            })
            .buffer_unordered(options.concurrency)
            .flat_map(futures_util::stream::iter)
    );

    let mut summary = Summary::default();
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(Outcome::Copied(bytes)) => {
                summary.copied += 1;
                summary.bytes += bytes;
            }
            Ok(Outcome::Skipped) => summary.skipped += 1,
            Ok(Outcome::LeftOut(what)) => {
                progress.suspend(|| out.note(&format!("left out: {what}")));
                summary.left_out += 1;
            }
            // The token is no good, or no more: it is the same for all that is left.
            Err((_, failure)) if failure.status() == Some(401) && client.token().is_some() => {
                return Err(failure);
            }
            Err((item, failure)) => {
                progress.suspend(|| out.item_failure(&item, &failure));
                summary.tally.add(&failure);
                if matches!(failure, Failure::Unreachable { .. }) {
                    return Err(failure);
                }
            }
        }
    }
    summary.elapsed = started.elapsed();
    Ok(summary)
}

/// Runs what was planned as one file.
async fn alone(client: &Client, planned: Planned, options: &Options, progress: &Progress) -> Done {
    let task = planned.map_err(|failed| (failed.item, failed.failure))?;
    let outcome = attempt(client, &task, options, progress).await;
    progress.finished();
    outcome.map_err(|failure| (task.to_string(), failure))
}

/// Runs one task, again after a failure that may pass.
async fn attempt(
    client: &Client,
    task: &Task,
    options: &Options,
    progress: &Progress,
) -> Result<Outcome, Failure> {
    let mut tries = 0;
    loop {
        let meter = progress.meter();
        let failure = match once(client, task, options, &meter).await {
            Ok(outcome) => return Ok(outcome),
            Err(failure) if failure.is_transient() && tries < options.retries => failure,
            Err(failure) => return Err(failure),
        };
        meter.reset();
        tokio::time::sleep(pause(&failure, tries)).await;
        tries += 1;
    }
}

async fn once(client: &Client, task: &Task, options: &Options, meter: &Meter) -> Result<Outcome, Failure> {
    match task {
        Task::Upload { from, to, .. } => {
            let sent = upload::send(client, from, to, options, meter).await;
            skip_existing(sent.map(Outcome::Copied), options)
        }
        Task::Download { to, .. } if !options.overwrite && tokio::fs::try_exists(to).await? => {
            Ok(Outcome::Skipped)
        }
        Task::Download { from, to, .. } => {
            download::fetch(client, from, to, meter).await.map(Outcome::Copied)
        }
        Task::LeaveOut { from, why } => {
            let from = from.display().to_string();
            Ok(Outcome::LeftOut(format!("{}: {why}", plain(&from))))
        }
        Task::Copy { from, to, size } => {
            let copied = client.copy(from, to, options.overwrite).await;
            meter.add(*size);
            skip_existing(copied.map(|()| Outcome::Copied(*size)), options)
        }
    }
}

/// With `--no-clobber` a conflict is what was asked for.
fn skip_existing(result: Result<Outcome, Failure>, options: &Options) -> Result<Outcome, Failure> {
    match result {
        Err(failure) if !options.overwrite && failure.status() == Some(409) => Ok(Outcome::Skipped),
        other => other,
    }
}

/// As long as the server asks for, else half a second, doubled with each try up to ten.
fn pause(failure: &Failure, tries: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(10);
    let own = Duration::from_millis(500).saturating_mul(1 << tries.min(8));
    match failure {
        Failure::Server(error) => error.retry_after.unwrap_or(own).min(6 * LONGEST),
        _ => own.min(LONGEST),
    }
}
