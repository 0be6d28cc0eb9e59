//! `aerostore backup`: makes, verifies and restores backups. Talks to no server; one may be running while a backup is made.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use server::config::{Config, Flag};
use server::{BackupOptions, BackupProgress, Manifest, RestoreOptions};
use tokio::runtime::Builder;

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::{settings, units};

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Back up all metadata at one instant, and every blob that it names, while the server runs
    Create(Create),
    /// Read everything in a backup, and say whether it is what was written
    Verify(Verify),
    /// Restore a backup into a new data directory and an empty database
    Restore(Restore),
}

/// Options of `backup create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The directory of the backup: a new one, or that of the last backup, of which only what is new is copied then
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    database: Database,
    /// Make a backup of the rest where blobs are missing or damaged
    #[arg(long)]
    despite_losses: bool,
    #[command(flatten)]
    effort: Effort,
}

/// Options of `backup verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The directory of the backup
    #[arg(value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    effort: Effort,
}

/// Options of `backup restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The directory of the backup
    #[arg(value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    database: Database,
    /// Restore the rest where blobs of the backup are missing or damaged
    #[arg(long)]
    despite_losses: bool,
    #[command(flatten)]
    effort: Effort,
}

/// The database, as `serve` has it.
#[derive(Debug, Args)]
struct Database {
    /// Where the metadata is, or goes [env: AEROSTORE_DATABASE] [default: sqlite, in the data directory]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// How much is done at once.
#[derive(Debug, Args)]
struct Effort {
    /// Blobs that are copied or read at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
}

/// Runs `aerostore backup`.
pub(crate) fn run(command: &Backup, global: &Global, out: &Output) -> Result<(), Failure> {
    let bar = bar(out.shows_progress());
    let watch = |progress: BackupProgress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress.step);
    };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let failed = |error: server::ServerError| Failure::Other(error.into());
    match command {
        Backup::Create(create) => {
            let config = config(global, &create.database)?;
            let options = BackupOptions {
                to: create.to.clone(),
                concurrency: create.effort.concurrency.into(),
                despite_losses: create.despite_losses,
            };
            let created = runtime.block_on(server::create_backup(&config, options, &watch));
            bar.finish_and_clear();
            let made = created.map_err(failed)?;
            let (created, place) = (made.created, config.data_dir.display());
            let unrecorded =
                made.unrecorded.map(|error| format!("`doctor` will not know of it: {place}: {error}"));
            let more = [
                ("copied_blobs", json!(created.copied_blobs)),
                ("copied_bytes", json!(created.copied_bytes)),
                ("removed_blobs", json!(created.removed_blobs)),
                ("unrecorded", json!(unrecorded)),
            ];
            tell(&created.manifest, more, out)?;
            complain(created.manifest.lost.count, "was made, and lacks blobs that were lost before")
        }
        Backup::Verify(verify) => {
            let concurrency = verify.effort.concurrency.into();
            let verified = runtime.block_on(server::verify_backup(&verify.from, concurrency, &watch));
            bar.finish_and_clear();
            let verified = verified.map_err(failed)?;
            let more = [
                ("whole_blobs", json!(verified.blobs)),
                ("damaged_blobs", json!(verified.damaged.count)),
                ("damaged", json!(verified.damaged.named)),
            ];
            tell(&verified.manifest, more, out)?;
            complain(verified.damaged.count, "is damaged: blobs are missing, or are not what was stored")
        }
        Backup::Restore(restore) => {
            let config = config(global, &restore.database)?;
            let options = RestoreOptions {
                from: restore.from.clone(),
                concurrency: restore.effort.concurrency.into(),
                despite_losses: restore.despite_losses,
            };
            let restored = runtime.block_on(server::restore_backup(&config, options, &watch));
            bar.finish_and_clear();
            let restored = restored.map_err(failed)?;
            let more = [
                ("provider", json!(&*restored.provider)),
                ("copied_blobs", json!(restored.copied_blobs)),
                ("damaged_blobs", json!(restored.damaged.count)),
                ("damaged", json!(restored.damaged.named)),
            ];
            tell(&restored.manifest, more, out)?;
            out.note(
                "restored, read back and compared; a recount confirms all counters\nnext: start the server",
            );
            complain(
                restored.damaged.count,
                "was restored without blobs that are missing in it, or damaged",
            )?;
            complain(restored.manifest.lost.count, "was restored, and lacks blobs that were lost before")
        }
    }
}

fn config(global: &Global, database: &Database) -> Result<Config, Failure> {
    let flag = |value| Flag { flag: "--database", key: "database", value };
    let flags = database.database.clone().map(flag).into_iter().collect();
    Ok(settings::load(global, flags)?.config)
}

/// Says what a backup has, and what was done.
fn tell<const N: usize>(manifest: &Manifest, more: [(&str, Value); N], out: &Output) -> Result<(), Failure> {
    let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
    let mut value = json!({
        "id": manifest.id,
        "created_at": manifest.created_at,
        "made_by": manifest.made_by,
        "engine": manifest.engine,
        "rows": rows,
        "blobs": manifest.blobs,
        "bytes": manifest.bytes,
        "lost_blobs": manifest.lost.count,
        "lost": manifest.lost.named,
    });
    if let Some(members) = value.as_object_mut() {
        members.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    out.result(&value, |value| {
        let members = value.as_object().into_iter().flatten();
        let shown =
            members.filter(|(_, value)| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty));
        let rows: Vec<_> =
            shown.map(|(name, value)| vec![name.replace('_', " "), text(name, value)]).collect();
        table(&rows, &[])
    })
}

fn text(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Value::Number(number) if name.ends_with("bytes") => {
            number.as_u64().map_or_else(String::new, units::size)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Fails where blobs are lost, after everything was told: somebody must look.
fn complain(lost: u64, what: &str) -> Result<(), Failure> {
    match lost {
        0 => Ok(()),
        lost => Err(anyhow::anyhow!("the backup {what} ({lost})").into()),
    }
}

fn bar(visible: bool) -> ProgressBar {
    let target = if visible { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    if visible {
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}
