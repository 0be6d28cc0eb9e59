//! The commands, one file each: arguments in, a result or a failure out.

pub(crate) mod adopt;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod bucket;
pub(crate) mod cleanup;
pub(crate) mod cp;
pub(crate) mod credential;
pub(crate) mod doctor;
pub(crate) mod explain;
mod folder;
pub(crate) mod health;
pub(crate) mod job;
pub(crate) mod keys;
pub(crate) mod lifecycle;
pub(crate) mod ls;
pub(crate) mod metrics;
pub(crate) mod migrate;
pub(crate) mod migrate_provider;
pub(crate) mod mv;
mod pages;
pub(crate) mod policy;
pub(crate) mod providers;
pub(crate) mod query;
pub(crate) mod queue;
pub(crate) mod quota;
pub(crate) mod restore;
pub(crate) mod rm;
pub(crate) mod s3;
pub(crate) mod scrub;
pub(crate) mod serve;
pub(crate) mod sign;
pub(crate) mod take_over;
pub(crate) mod token;
pub(crate) mod usage;
pub(crate) mod versions;
pub(crate) mod webhook;

use anyhow::Context as _;
use tokio::runtime::Builder;

use crate::args::{Args, Command, Global};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Output};

/// What a client command works with.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) client: Client,
    pub(crate) out: &'a Output,
}

/// Runs the command that was given.
pub(crate) fn run(args: Args, out: &Output) -> Result<(), Failure> {
    let Args { global, command } = args;
    match command {
        Command::Serve(serve) => serve::run(&serve, &global, out),
        Command::Migrate(migrate) => migrate::run(&migrate, &global, out),
        Command::Backup(command) => backup::run(&command, &global, out),
        Command::Audit(command) => audit::run(&command, out),
        Command::Keys(show) => keys::run(&show, &global, out),
        Command::Token(command) => token::run(command, &global, out),
        Command::Bucket(command) => with_client(&global, out, async |it| bucket::run(command, it).await),
        Command::Ls(ls) => with_client(&global, out, async |it| ls::run(&ls, it).await),
        Command::Cp(cp) => with_client(&global, out, async |it| cp::run(cp, it).await),
        Command::Mv(mv) => with_client(&global, out, async |it| mv::run(&mv, it).await),
        Command::Rm(rm) => with_client(&global, out, async |it| rm::run(&rm, it).await),
        Command::Restore(restore) => with_client(&global, out, async |it| restore::run(&restore, it).await),
        Command::Sign(sign) => with_client(&global, out, async |it| sign::run(&sign, it).await),
        Command::Query(query) => with_client(&global, out, async |it| query::run(&query, it).await),
        Command::Queue(queue) => with_client(&global, out, async |it| queue::run(queue, it).await),
        Command::Job(job) => with_client(&global, out, async |it| job::run(job, it).await),
        Command::Providers(asked) => with_client(&global, out, async |it| providers::run(&asked, it).await),
        Command::MigrateProvider(asked) => {
            with_client(&global, out, async |it| migrate_provider::run(&asked, it).await)
        }
        Command::TakeOver(asked) => with_runtime(async || take_over::run(&asked, &global, out).await),
        Command::Lifecycle(asked) => with_client(&global, out, async |it| lifecycle::run(asked, it).await),
        Command::Cleanup(cleanup) => with_client(&global, out, async |it| cleanup::run(&cleanup, it).await),
        Command::Adopt(adopt) => with_client(&global, out, async |it| adopt::run(&adopt, it).await),
        Command::Scrub(scrub) => with_client(&global, out, async |it| scrub::run(&scrub, it).await),
        Command::Credential(credential) => {
            with_client(&global, out, async |it| credential::run(credential, it).await)
        }
        Command::Webhook(webhook) => with_client(&global, out, async |it| webhook::run(webhook, it).await),
        Command::S3(s3) => with_runtime(async || s3::run(s3, &global, out).await),
        Command::Policy(policy) => with_client(&global, out, async |it| policy::run(policy, it).await),
        Command::Explain(explain) => with_client(&global, out, async |it| explain::run(&explain, it).await),
        Command::Usage(usage) => with_client(&global, out, async |it| usage::run(&usage, it).await),
        Command::Health(health) if health.ready => with_runtime(async || health::ready(&global, out).await),
        Command::Quota(quota) => with_client(&global, out, async |it| quota::run(quota, it).await),
        Command::Health(health) => with_client(&global, out, async |it| health::run(&health, it).await),
        Command::Doctor(doctor) => with_runtime(async || doctor::run(&doctor, &global, out).await),
        Command::Metrics(metrics) => with_client(&global, out, async |it| metrics::run(&metrics, it).await),
        Command::Bench(bench) => with_client(&global, out, async |it| bench::run(bench, it).await),
    }
}

/// Runs a command that talks to a server.
fn with_client(
    global: &Global,
    out: &Output,
    command: impl AsyncFnOnce(&Context<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    with_runtime(async || {
        let context = Context { client: Client::new(global)?, out };
        command(&context).await
    })
}

/// Runs a command that waits for something.
fn with_runtime(command: impl AsyncFnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let result = runtime.block_on(command());
    // A read from stdin may still be waiting; nothing else outlives a command.
    runtime.shutdown_background();
    result
}

/// Lets the user confirm something that cannot be undone; refuses where there is nobody to ask.
fn confirmed(yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    match output::confirm(&format!("{what}?"))? {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::Other(anyhow::anyhow!("nothing was done"))),
        None => Err(Failure::Usage(format!("{what}: there is no terminal to ask on; say --yes"))),
    }
}

/// What the word for several has at its end.
fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Does what may be left at any moment, until Ctrl-C. The system ends a process by it only until something has waited for it.
async fn interruptible<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        // Who waits for a job has more to say of it.
        biased;
        done = work => done,
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            Err(Failure::Interrupted)
        }
    }
}
