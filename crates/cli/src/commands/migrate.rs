//! `aerostore migrate`: the metadata of a data directory moves from SQLite to PostgreSQL. Talks to no server: none may
//! be running.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use server::Moved;
use server::config::Flag;
use tokio::runtime::Builder;

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::settings;

/// Options of `migrate`.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// The PostgreSQL database; with a password, prefer the variable [env: AEROSTORE_DATABASE]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// The schema in it, as `postgres.schema` has it [default: aerostore]
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// Read everything, look whether the database would take it, and change nothing; also beside a running server
    #[arg(long)]
    dry_run: bool,
}

/// Runs `aerostore migrate`.
pub(crate) fn run(migrate: &Migrate, global: &Global, out: &Output) -> Result<(), Failure> {
    // What is configured without the flags is what was served so far; with them, what will be.
    let from = settings::load(global, Vec::new())?.config;
    let flags = [("--to", "database", &migrate.to), ("--schema", "postgres.schema", &migrate.schema)];
    let given = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value.clone()?)));
    let flags = given.map(|(flag, key, value)| Flag { flag, key, value }).collect();
    let to = settings::load(global, flags)?.config;
    let migration = server::migration(&from, &to).ok_or_else(|| {
        Failure::Usage("--to is the address of a PostgreSQL database: postgres://…".to_owned())
    })?;

    let bar = bar(out.shows_progress());
    let watch = |progress: server::Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress.table);
    };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let moved = runtime.context("cannot start the runtime")?.block_on(async {
        if migrate.dry_run { migration.rehearse(&watch).await } else { migration.run(&watch).await }
    });
    bar.finish_and_clear();
    let moved = moved.map_err(|error| Failure::Other(error.into()))?;
    if out.is_json() {
        return out.json(&as_json(&moved, migrate.dry_run));
    }
    out.line(&describe(&moved))?;
    if migrate.dry_run {
        out.note("nothing was moved: every row was read, and the database would take them");
        if moved.in_use {
            out.note("a server has the database open: it must be stopped before the move");
        }
    } else {
        out.note(
            "moved, read back and compared: rows and digests are the same on both sides, a recount confirms all counters\n\
             next: start the server with --database; the old database stays as it was, as a backup",
        );
    }
    Ok(())
}

fn bar(visible: bool) -> ProgressBar {
    let target = if visible { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} rows eta {eta} {msg}") {
        bar.set_style(style);
    }
    if visible {
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}

fn describe(moved: &Moved) -> String {
    let mut rows = vec![["table", "rows", "digest"].map(str::to_owned).to_vec()];
    rows.extend(
        moved.tables.iter().map(|it| vec![it.name.to_owned(), it.rows.to_string(), it.digest.clone()]),
    );
    table(&rows, &[1])
}

fn as_json(moved: &Moved, dry_run: bool) -> Value {
    let tables = moved.tables.iter();
    let tables: Vec<_> =
        tables.map(|it| json!({ "name": it.name, "rows": it.rows, "digest": it.digest })).collect();
    json!({ "moved": !dry_run, "server_running": moved.in_use, "tables": tables })
}
