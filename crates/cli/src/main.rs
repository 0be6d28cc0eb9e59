//! The `aerostore` command: starts the server, and drives a running one over HTTP.
//!
//! Every command lives in its own file under [`commands`]; whatever they send goes through
//! [`client`], whatever they print through [`output`], and how they end is said by [`failure`].

mod address;
mod args;
mod bench;
mod client;
mod commands;
mod failure;
mod output;
mod s3_check;
mod settings;
mod transfer;
mod units;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let out = output::Output::new(args.global.json, args.global.quiet);
    match commands::run(args, &out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
