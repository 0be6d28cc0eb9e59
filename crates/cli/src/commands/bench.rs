//! `aerostore bench`: measures a running server in a bucket of its own, which goes afterwards, or in one that it left before.

use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};

use super::Context;
use crate::bench::{self, Plan, report};
use crate::failure::Failure;
use crate::units;

/// Options of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_value = "put,get,list")]
    ops: Vec<Operation>,
    /// Sizes of the objects; each is measured by itself
    #[arg(long, value_name = "SIZE,…", value_delimiter = ',', default_value = "4KiB,1MiB", value_parser = units::parse_size)]
    sizes: Vec<u64>,
    /// Clients; each has one connection and one request under way
    #[arg(long, short, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..=10_000))]
    concurrency: u32,
    /// How long each measurement takes
    #[arg(long, short, value_name = "DURATION", default_value = "15s", value_parser = units::parse_some_duration)]
    duration: Duration,
    /// What passes before it counts
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = units::parse_duration)]
    warmup: Duration,
    /// How many objects get and list choose from (fewer where --max-stored says so)
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = value_parser!(u64).range(1..=100_000_000))]
    objects: u64,
    /// How many entries a list asks for; they lie in folders of that many objects
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = value_parser!(u64).range(1..=1000))]
    list_limit: u64,
    /// Bytes that may lie on the server at a time; beyond them put overwrites
    #[arg(long, value_name = "SIZE", default_value = "1GB", value_parser = units::parse_size)]
    max_stored: u64,
    /// Leave the bucket and its objects behind
    #[arg(long)]
    keep: bool,
    /// Read what --keep left in this bucket, as many --objects in folders of --list-limit, instead of storing it anew
    #[arg(long, value_name = "NAME", conflicts_with_all = ["keep", "plain"])]
    bucket: Option<String>,
    /// Measure a plain server of files instead (PUT and GET below this URL, no token), as a yardstick
    #[arg(long, value_name = "URL")]
    plain: Option<reqwest::Url>,
    /// Threads of this program [default: one per processor]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Upload
    Put,
    /// Download
    Get,
    /// List one folder
    List,
    /// Make a signed URL
    Sign,
}

/// Runs `aerostore bench`. Requests that failed make the command fail.
pub(crate) async fn run(bench: Bench, context: &Context<'_>) -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let concurrency = bench.concurrency as usize;
    let plan = Plan {
        put: bench.ops.contains(&Operation::Put),
        get: bench.ops.contains(&Operation::Get),
        list: bench.ops.contains(&Operation::List),
        sign: bench.ops.contains(&Operation::Sign),
        sizes: bench.sizes,
        concurrency,
        threads: bench.threads.map_or(cores, usize::from).min(concurrency),
        fill_threads: bench.threads.map_or(cores, usize::from),
        duration: bench.duration,
        warmup: bench.warmup,
        objects: bench.objects,
        list_limit: bench.list_limit,
        max_stored: bench.max_stored,
        keep: bench.keep,
        bucket: bench.bucket,
    };
    if plan.bucket.is_some() && plan.put {
        return Err(Failure::Usage(
            "a bucket that was left behind is only read: --ops get,list,sign".to_owned(),
        ));
    }
    let results = match &bench.plain {
        Some(_) if plan.list || plan.sign => {
            return Err(Failure::Usage("a plain server can only put and get: --ops put,get".to_owned()));
        }
        Some(url) => bench::run_plain(url, &plan, context.out).await?,
        None => bench::run(&context.client, &plan, context.out).await?,
    };
    if context.out.is_json() {
        context.out.json(&report::to_json(
            &plan,
            bench.plain.as_ref().unwrap_or(context.client.base()).as_str(),
            &results,
        ))?;
    } else {
        context.out.line(&report::to_table(&results))?;
    }
    let errors: u64 = results.iter().map(|result| result.measured.errors()).sum();
    if errors == 0 { Ok(()) } else { Err(anyhow::anyhow!("{errors} requests failed").into()) }
}
