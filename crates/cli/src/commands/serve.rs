//! `aerostore serve`: runs the server, or only checks how it is configured.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use server::config::{Flag, Loaded};
use tokio::runtime::Builder;

use crate::args::Global;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings;

/// Options of `serve`. What they may be is said once, by the configuration.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 takes a free one [env: AEROSTORE_LISTEN] [default: 127.0.0.1:8000]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where the metadata is [env: AEROSTORE_DATABASE] [default: sqlite, in the data directory]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Check the configuration and what a start needs, show what is in force, and end; changes nothing
    #[arg(long)]
    check: bool,
    /// `text` for people, `json` for machines [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Serve {
    fn flags(&self) -> Vec<Flag> {
        let flags = [
            ("--listen", "listen", &self.listen),
            ("--database", "database", &self.database),
            ("--log-format", "log.format", &self.log_format),
            ("--log-level", "log.level", &self.log_level),
        ];
        let given = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value.clone()?)));
        given.map(|(flag, key, value)| Flag { flag, key, value }).collect()
    }
}

/// How many threads may wait for disks at once: what the local disk takes turns for (40 writers, 16 readers, 8 flushes),
/// and 16 more for the database. The allocator keeps memory for each, and under load the runtime starts as many as it may:
/// 64 uploads of 1 MiB took 325 MiB with 192 threads and 175 MiB with 64, and were no faster.
const BLOCKING_THREADS: usize = 80;

/// How long a server that has stopped waits for threads that wait for something.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// Runs `aerostore serve`.
pub(crate) fn run(serve: &Serve, global: &Global, out: &Output) -> Result<(), Failure> {
    let loaded = settings::load(global, serve.flags())?;
    let sources = settings::sources(global, serve.flags())?;
    if serve.check {
        let runtime =
            Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
        return runtime.block_on(check(&loaded, out));
    }
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build();
    let runtime = runtime.context("cannot start the runtime")?;
    let served = runtime.block_on(server::serve(loaded, sources));
    // What matters was stopped and joined. A disk that never answers, or a name server, keeps no process from its end.
    runtime.shutdown_timeout(LEFT_BEHIND);
    served.map_err(|error| Failure::Other(error.into()))
}

async fn check(loaded: &Loaded, out: &Output) -> Result<(), Failure> {
    let stumbles: Vec<String> = server::check(&loaded.config)
        .await
        .into_iter()
        .map(|error| format!("{:#}", anyhow::Error::from(error)))
        .collect();
    let notes = server::remarks(&loaded.config);
    if out.is_json() {
        let ok = stumbles.is_empty();
        out.json(&json!({ "ok": ok, "file": loaded.file, "problems": stumbles, "notes": notes }))?;
    } else {
        out.text(&loaded.in_force())?;
        notes.iter().for_each(|note| out.note(note));
    }
    if stumbles.is_empty() {
        out.note("the configuration is good, and nothing is in the way of a start");
        return Ok(());
    }
    Err(anyhow::anyhow!("the server could not start:\n  {}", stumbles.join("\n  ")).into())
}
