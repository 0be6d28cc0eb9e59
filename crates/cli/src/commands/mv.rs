//! `aerostore mv`: gives objects another path or bucket; no byte is rewritten.

use clap::Args;
use serde_json::json;

use super::Context;
use super::folder::{self, Change};
use crate::address::Remote;
use crate::failure::{Failure, Tally};

const EXAMPLES: &str = "\
Examples:
  aerostore mv docs/plan.txt docs/old/           keeps the name
  aerostore mv -r docs/2024 archive/docs/2024    what is in docs/2024 goes into the other folder

With -r the server does it, as a job: Ctrl-C ends the wait, and `aerostore job cancel` the job. What
can't go is told, and stays. Neither folder may lie in the other.";

/// Options of `mv`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Mv {
    /// BUCKET/PATH of an object; with -r BUCKET/FOLDER, or BUCKET for everything in it
    from: Remote,
    /// BUCKET/PATH that the object gets; BUCKET or BUCKET/FOLDER/ keeps its name. Nothing may be there yet. With -r the folder that takes
    /// what is in the other one
    to: Remote,
    /// All that is in a folder, into another one
    #[arg(long, short)]
    recursive: bool,
    /// With -r: replace what is there; else what would take its place stays where it is
    #[arg(long, requires = "recursive")]
    overwrite: bool,
    /// With -r: say how much would go and what its target would refuse, and move nothing. Whether it may leave is not looked at
    #[arg(long, requires = "recursive")]
    dry_run: bool,
}

/// Runs `aerostore mv`.
pub(crate) async fn run(mv: &Mv, context: &Context<'_>) -> Result<(), Failure> {
    if mv.recursive {
        return below(mv, context).await;
    }
    let object = mv.from.clone().object();
    let from = object.map_err(|message| Failure::Usage(format!("{message}; to move all of it say -r")))?;
    let to = if mv.to.is_folder() { mv.to.join(from.file_name()) } else { mv.to.clone() };
    context.client.rename(&from, &to).await?;
    let result = json!({ "from": from.to_string(), "to": to.to_string() });
    context.out.result(&result, |_| format!("{from} -> {to}"))
}

/// Moves what lies below a folder.
async fn below(mv: &Mv, context: &Context<'_>) -> Result<(), Failure> {
    let (from, to) = (mv.from.as_folder(), mv.to.as_folder());
    if !from.path.is_empty() && !folder::is_there(&from, context).await? {
        context.client.bucket(&from.bucket).await?;
        return Err(Failure::NotFound(format!("nothing lies below {from}; an object is moved without -r")));
    }
    let mut tally = Tally::default();
    let change = Change::Move { to: &to, overwrite: mv.overwrite };
    let moved = folder::change(&from, change, mv.dry_run, context, &mut tally).await?;
    let (key, words) = if mv.dry_run { ("would_move", "would move") } else { ("moved", "moved") };
    let result = json!({
        "from": from.to_string(), "to": to.to_string(), key: moved.objects, "bytes": moved.bytes, "failed": moved.failed,
    });
    context.out.result(&result, |_| format!("{words} {}: {from} -> {to}", moved.in_words()))?;
    match moved.ended {
        Some(failure) => Err(failure),
        None => tally.finish(moved.objects + moved.failed),
    }
}
