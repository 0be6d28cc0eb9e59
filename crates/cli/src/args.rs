//! The command line: what may be written, and the options that every command shares.

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand};

use crate::commands;

const AFTER_HELP: &str = "\
Addresses:
  aero://BUCKET/PATH names an object on the server, aero://BUCKET/DIR/ a folder, aero://BUCKET a
  bucket. In `cp` everything else is a local path, and `-` is stdin or stdout; where only the server
  can be meant (ls, rm, mv, restore, sign) `aero://` may be left out.

Exit codes:
  0 ok   1 failed   2 wrong usage or configuration   3 not found   4 denied (401, 403)
  5 server unreachable   6 explain, policy test: refused   130 interrupted";

/// File storage for applications: the server, and the commands that use it.
#[derive(Debug, Parser)]
#[command(name = "aerostore", version, after_help = AFTER_HELP, propagate_version = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The running server
    #[arg(long, global = true, env = "AEROSTORE_URL", default_value = "http://127.0.0.1:8000")]
    pub(crate) url: String,

    /// A JWT to act with. Prefer the variable: other users of this machine can see arguments.
    /// Without one, the service key is read from the data directory
    #[arg(long, global = true, env = "AEROSTORE_TOKEN", hide_env_values = true, value_name = "JWT")]
    pub(crate) token: Option<String>,

    /// The server's data directory [env: AEROSTORE_DATA_DIR] [default: ./aerostore-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// The server's configuration [env: AEROSTORE_CONFIG] [default: storage.yml in the data directory, if there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print results and errors as JSON
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub(crate) json: bool,

    /// No notes and no progress bar
    #[arg(long, short, global = true, action = ArgAction::SetTrue)]
    pub(crate) quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(commands::serve::Serve),
    /// Move the metadata from SQLite to PostgreSQL, while the server is stopped
    Migrate(commands::migrate::Migrate),
    /// Make, verify and restore backups: metadata and bytes of one instant, while the server runs
    #[command(subcommand)]
    Backup(commands::backup::Backup),
    /// Verify an audit log, and export lines of it. Talks to no server
    #[command(subcommand)]
    Audit(commands::audit::Audit),
    /// Show the keys that applications use
    Keys(commands::keys::Show),
    /// Make tokens for users
    #[command(subcommand)]
    Token(commands::token::Token),
    /// Create, list, show, change, empty and delete buckets
    #[command(subcommand)]
    Bucket(commands::bucket::Bucket),
    /// List buckets, or what lies in a bucket or folder
    Ls(commands::ls::Ls),
    /// Copy files up, down, or from one place on the server to another
    Cp(commands::cp::Cp),
    /// Move or rename an object, or all that is in a folder, on the server
    Mv(commands::mv::Mv),
    /// Delete objects, or a version
    Rm(commands::rm::Rm),
    /// Make an old version of an object the current one again
    Restore(commands::restore::Restore),
    /// Make a URL that works without a token
    Sign(commands::sign::Sign),
    /// Ask over rows by a SELECT
    Query(commands::query::Query),
    /// List, show, retry and give up uploads on their way to where they belong
    #[command(subcommand)]
    Queue(commands::queue::Queue),
    /// List, show, wait for and cancel long work that was asked for
    #[command(subcommand)]
    Job(commands::job::Job),
    /// Show what is kept on each provider of bytes
    Providers(commands::providers::Providers),
    /// Move what one provider keeps to another, while the server runs
    MigrateProvider(commands::migrate_provider::MigrateProvider),
    /// Have a provider that belongs to another database belong to this one, while the server is stopped
    TakeOver(commands::take_over::TakeOver),
    /// Find (or delete) what an interrupted write left behind
    Cleanup(commands::cleanup::Cleanup),
    /// Read all that is kept and compare it with its checksums; repair it from copies
    Scrub(commands::scrub::Scrub),
    /// Make objects of files that are there already, in a directory of the server or a cloud store
    Adopt(commands::adopt::Adopt),
    /// Rules that let old files go: list, set and remove them, say what they would do, follow them now
    Lifecycle(commands::lifecycle::Lifecycle),
    /// Make, list, disable and delete keys of S3's clients
    #[command(subcommand)]
    Credential(commands::credential::Credential),
    /// Make, list, change, try out and delete receivers of events
    #[command(subcommand)]
    Webhook(commands::webhook::Webhook),
    /// Look at S3 as its clients see it
    #[command(subcommand)]
    S3(commands::s3::S3),
    /// Add, list, drop and try out access policies in SQL
    #[command(subcommand)]
    Policy(commands::policy::Policy),
    /// Say which rules let somebody do something, or not
    Explain(commands::explain::Explain),
    /// Show bytes and files by user and bucket
    Usage(commands::usage::Usage),
    /// Show, set and take off quotas
    #[command(subcommand)]
    Quota(commands::quota::Quota),
    /// Say whether the server is well
    Health(commands::health::Health),
    /// Look for what commonly goes wrong with this configuration, this machine, its database and providers
    Doctor(commands::doctor::Doctor),
    /// Show what the server has done, and how fast
    Metrics(commands::metrics::Metrics),
    /// Measure a running server: put, get, list
    Bench(commands::bench::Bench),
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clap::CommandFactory;

    use super::*;

    fn check(command: &clap::Command, global: &HashSet<String>, at: &str) {
        for below in command.get_subcommands() {
            let at = format!("{at} {}", below.get_name());
            for argument in below.get_arguments() {
                assert!(!global.contains(argument.get_id().as_str()), "{at}: {}", argument.get_id());
            }
            check(below, global, &at);
        }
    }

    /// It would be read in the place of that one: where the server is, and who asks it.
    #[test]
    fn no_argument_of_a_command_has_the_name_of_a_global_one() {
        let all = Args::command();
        let global = all.get_arguments().filter(|argument| argument.is_global_set());
        let global: HashSet<String> = global.map(|argument| argument.get_id().to_string()).collect();
        assert!(global.contains("url") && global.contains("token"), "{global:?}");
        check(&all, &global, "aerostore");
    }
}
