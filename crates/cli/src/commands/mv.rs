//! `aerostore mv`: gives objects another path or bucket; no byte is rewritten.

use clap::Args;
use serde_json::json;

use super::Context;
use super::folder::{self, Done, Work};
use crate::address::Remote;
use crate::failure::{Failure, Tally};

const EXAMPLES: &str = "\
Examples:
  aerostore mv docs/plan.txt docs/old/           keeps the name
  aerostore mv -r docs/2024 archive/docs/2024    what is in docs/2024 goes into the other folder

With -r the server does it, as a job: Ctrl-C ends the wait, and `aerostore job cancel` the job. What can't go is told, and stays.";

/// Options of `mv`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Mv {
    /// BUCKET/PATH of the object; with -r also BUCKET/FOLDER or BUCKET (everything in it)
    from: Remote,
    /// BUCKET/PATH it gets; BUCKET or BUCKET/FOLDER/ keeps its name. Nothing may be there yet
    to: Remote,
    /// All that is in a folder, into another one
    #[arg(long, short)]
    recursive: bool,
    /// With -r: replace what is there; else what would take its place stays where it is
    #[arg(long, requires = "recursive")]
    overwrite: bool,
    /// With -r: say what would go, and what could not, and move nothing
    #[arg(long, requires = "recursive")]
    dry_run: bool,
}

/// Runs `aerostore mv`.
pub(crate) async fn run(mv: &Mv, context: &Context<'_>) -> Result<(), Failure> {
    if mv.recursive { below(mv, context).await } else { one(mv, context).await }
}

async fn one(mv: &Mv, context: &Context<'_>) -> Result<(), Failure> {
    let object = mv.from.clone().object();
    let from = object.map_err(|message| Failure::Usage(format!("{message}; to move all of it say -r")))?;
    let to = if mv.to.is_folder() { mv.to.join(from.file_name()) } else { mv.to.clone() };
    context.client.rename(&from, &to).await?;
    let result = json!({ "from": from.to_string(), "to": to.to_string() });
    context.out.result(&result, |_| format!("{from} -> {to}"))
}

/// Moves what lies below a folder, or the object of that name where there is no such folder.
async fn below(mv: &Mv, context: &Context<'_>) -> Result<(), Failure> {
    let mut tally = Tally::default();
    let work = Work::Move { to: &mv.to, overwrite: mv.overwrite };
    let done = folder::work(&mv.from, work, mv.dry_run, context, &mut tally).await?;
    if done.is_nothing() && !mv.from.is_folder() && !mv.dry_run {
        return one(mv, context).await;
    }
    if done.is_nothing() && !mv.from.path.is_empty() {
        return Err(Failure::NotFound(format!("nothing lies below {}", mv.from.as_folder())));
    }
    let (from, to) = (mv.from.as_folder(), mv.to.as_folder());
    let Done { objects, bytes, failed, .. } = done;
    let count = if mv.dry_run { "would_move" } else { "moved" };
    let result = json!({
        "from": from.to_string(), "to": to.to_string(), count: objects, "bytes": bytes, "failed": failed,
    });
    let what = if mv.dry_run { "would move" } else { "moved" };
    context.out.result(&result, |_| format!("{what} {}: {from} -> {to}", done.in_words()))?;
    tally.finish(objects + failed)
}
