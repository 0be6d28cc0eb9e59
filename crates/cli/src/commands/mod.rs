//! The commands, one file each: arguments in, a result or a failure out.

pub(crate) mod bench;
pub(crate) mod bucket;
pub(crate) mod cleanup;
pub(crate) mod cp;
pub(crate) mod health;
pub(crate) mod ls;
pub(crate) mod metrics;
pub(crate) mod mv;
pub(crate) mod rm;
pub(crate) mod sign;
pub(crate) mod usage;

use anyhow::Context as _;

use crate::args::{Args, Command};
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        let context = Context { client: Client::new(&args.global)?, out };
        match args.command {
            Command::Bucket(bucket) => bucket::run(bucket, &context).await,
            Command::Ls(ls) => ls::run(&ls, &context).await,
            Command::Cp(cp) => cp::run(cp, &context).await,
            Command::Mv(mv) => mv::run(&mv, &context).await,
            Command::Rm(rm) => rm::run(&rm, &context).await,
            Command::Sign(sign) => sign::run(&sign, &context).await,
            Command::Cleanup(cleanup) => cleanup::run(&cleanup, &context).await,
            Command::Usage(usage) => usage::run(&usage, &context).await,
            Command::Health(health) => health::run(&health, &context).await,
            Command::Metrics(metrics) => metrics::run(&metrics, &context).await,
            Command::Bench(bench) => bench::run(bench, &context).await,
        }
    });
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
        Some(false) => Err(Failure::Other(anyhow::anyhow!("nothing was deleted"))),
        None => Err(Failure::Usage(format!("{what}: there is no terminal to ask on; say --yes"))),
    }
}
