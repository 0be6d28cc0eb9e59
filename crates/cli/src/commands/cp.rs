//! `aerostore cp`: files up, down, or across the server.

use std::time::Instant;

use clap::{Args, value_parser};
use serde_json::json;

use super::folder::{self, Change};
use super::{Context, interruptible};
use crate::address::{Address, Remote};
use crate::failure::Failure;
use crate::transfer::plan::Target;
use crate::transfer::{self, Options, Summary, pipe};
use crate::units;

const EXAMPLES: &str = "\
Examples:
  aerostore cp photo.jpg aero://avatars/alice/           up, keeping the name
  aerostore cp aero://avatars/alice/photo.jpg .          down
  aerostore cp -r ./site aero://www/v2                   what is in ./site becomes v2/…
  aerostore cp -r aero://www/v2 aero://backup/www        on the server, no byte passes here
  tar c dir | aerostore cp - aero://backup/dir.tar       from stdin
  aerostore cp --version-id ID aero://docs/plan.txt .    an old version, down

A target that ends in `/`, a bucket, or a directory that exists is a folder: the name is kept in it.
With -r the contents of each source folder go into the target folder, which is made if it is missing;
without it, a local directory has to be there. Symbolic links to files are
followed; those to directories, pipes, sockets and devices are told of and left out.
Folders that are on the server already are copied by it, as a job, but with -n, without a token, or
where one folder lies in the other: Ctrl-C ends the wait, and `aerostore job cancel` the job. It has
no use for -j and --retries.
A download appears under its name when it is whole and synced; what a broken one left
(.NAME.aerostore-part) is used by the next try.";

/// Options of `cp`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cp {
    /// What to copy, and at last where to
    #[arg(required = true, num_args = 2.., value_name = "SOURCE... TARGET")]
    paths: Vec<Address>,
    /// Folders too, with all that is in them
    #[arg(long, short)]
    recursive: bool,
    /// Leave what the target already has
    #[arg(long, short)]
    no_clobber: bool,
    /// How many files at a time
    #[arg(long, short = 'j', value_name = "N", default_value_t = 8, value_parser = value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// The content type of uploads [default: by the file's name]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// The Cache-Control that downloads will carry
    #[arg(long, value_name = "VALUE")]
    cache_control: Option<String>,
    /// Of one object this version rather than the current one, down (see ls --versions)
    #[arg(long, value_name = "ID", conflicts_with = "recursive")]
    version_id: Option<String>,
    /// How often to try a file again when the server is busy or the connection breaks
    #[arg(long, value_name = "N", default_value_t = 3)]
    retries: u32,
}

/// Runs `aerostore cp`.
pub(crate) async fn run(cp: Cp, context: &Context<'_>) -> Result<(), Failure> {
    let mut sources = cp.paths;
    let target = sources.pop().ok_or_else(|| Failure::Usage("name a source and a target".to_owned()))?;
    let options = Options {
        overwrite: !cp.no_clobber,
        concurrency: usize::from(cp.concurrency),
        content_type: cp.content_type,
        cache_control: cp.cache_control,
        retries: cp.retries,
        recursive: cp.recursive,
    };
    refuse_senseless(&sources, &target, cp.recursive)?;
    if let Some(version) = cp.version_id {
        sources = vec![Address::Remote(version_down(&sources, &target, &version)?)];
    }

    if let ([Address::Remote(from)], Address::Stdio) = (sources.as_slice(), &target) {
        return pipe::to_stdout(&context.client, &object(from)?).await;
    }
    let summary = match (sources.as_slice(), &target) {
        ([Address::Stdio], Address::Remote(to)) => {
            pipe::from_stdin(&context.client, &object(to)?, &options, context.out).await?
        }
        _ => {
            let target = Target::resolve(target, sources.len() > 1 || cp.recursive)?;
            if !cp.recursive {
                target.must_have_its_directory()?;
            }
            interruptible(async {
                let (across, sources) = across(sources, &target, &options, context).await?;
                let rest = match sources.is_empty() {
                    true => Summary::default(),
                    false => transfer::run(&context.client, sources, target, options, context.out).await?,
                };
                Ok(across.and(&rest))
            })
            .await?
        }
    };
    if context.out.is_json() {
        context.out.json(&json!({
            "copied": summary.copied,
            "skipped": summary.skipped,
            "left_out": summary.left_out,
            "failed": summary.tally.failed(),
            "bytes": summary.bytes,
            "seconds": summary.elapsed.as_secs_f64(),
        }))?;
    } else if summary.copied + summary.skipped > 0 || summary.tally.failed() == 0 {
        let rate = summary.bytes as f64 / summary.elapsed.as_secs_f64().max(0.001);
        let also = |count: u64, what: &str| match count {
            0 => String::new(),
            count => format!(", {count} {what}"),
        };
        let (skipped, left_out) = (also(summary.skipped, "skipped"), also(summary.left_out, "left out"));
        context.out.note(&format!(
            "copied {} file{}, {} in {:.1} s ({}/s){skipped}{left_out}",
            summary.copied,
            if summary.copied == 1 { "" } else { "s" },
            units::size(summary.bytes),
            summary.elapsed.as_secs_f64(),
            units::size(rate as u64),
        ));
    }
    summary.tally.finish(summary.copied + summary.skipped + summary.tally.failed())
}

/// Has the server copy what lies below folders that it has to where it has them, too. Gives what that came to, and the sources that are
/// left, to be copied object by object.
async fn across(
    sources: Vec<Address>,
    target: &Target,
    options: &Options,
    context: &Context<'_>,
) -> Result<(Summary, Vec<Address>), Failure> {
    let (started, mut summary, mut left) = (Instant::now(), Summary::default(), Vec::new());
    for source in sources {
        let (from, to) = match (&source, target.address()) {
            (Address::Remote(from), Address::Remote(to)) if may_be_a_job(from, to, options, context) => {
                (from, to)
            }
            _ => {
                left.push(source);
                continue;
            }
        };
        match copy_folder(from, to, context, &mut summary).await {
            Ok(true) => {}
            Ok(false) => left.push(source),
            Err(failure) if failure.ends_all() => return Err(failure),
            Err(failure) => {
                context.out.item_failure(&source.to_string(), &failure);
                summary.tally.add(&failure);
            }
        }
    }
    summary.elapsed = started.elapsed();
    Ok((summary, left))
}

/// Whether the server would take it as a job: nobody in particular has none, and neither folder may lie in the other. Where what is there
/// is to be left, its report would be full of that, and name nothing else.
fn may_be_a_job(from: &Remote, to: &Remote, options: &Options, context: &Context<'_>) -> bool {
    let (below, into) = (from.as_folder(), to.as_folder());
    let overlap = below.bucket == into.bucket
        && (below.path.starts_with(&into.path) || into.path.starts_with(&below.path));
    options.recursive && options.overwrite && !overlap && context.client.token().is_some()
}

/// Copies what lies below a folder by a job; whether anything did, and there was room for a job.
async fn copy_folder(
    from: &Remote,
    to: &Remote,
    context: &Context<'_>,
    summary: &mut Summary,
) -> Result<bool, Failure> {
    if !folder::is_there(from, context).await? {
        return Ok(false);
    }
    let copied = folder::change(from, Change::Copy { to }, false, context, &mut summary.tally).await;
    let copied = match copied {
        Err(failure) if failure.status() == Some(429) => return Ok(false),
        copied => copied?,
    };
    summary.copied += copied.objects;
    summary.bytes += copied.bytes;
    copied.ended.map_or(Ok(true), Err)
}

/// Refuses what makes no sense before anything is sent.
fn refuse_senseless(sources: &[Address], target: &Address, recursive: bool) -> Result<(), Failure> {
    let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
    let piped = sources.contains(&Address::Stdio) || *target == Address::Stdio;
    if piped && (sources.len() > 1 || recursive) {
        return usage("`-` stands for one file: one source, one target, no -r");
    }
    let remote = |address: &Address| matches!(address, Address::Remote(_));
    if !remote(target) && !sources.iter().all(remote) {
        return usage("one side must be on the server; write it aero://BUCKET/PATH");
    }
    Ok(())
}

/// The source where a version of it is asked for.
fn version_down(sources: &[Address], target: &Address, version: &str) -> Result<Remote, Failure> {
    match (sources, target) {
        ([Address::Remote(from)], Address::Local(_) | Address::Stdio) => {
            Ok(object(from)?.at_version(version))
        }
        _ => Err(Failure::Usage(
            "--version-id takes one object down; to make a version the current one again, say `restore`"
                .to_owned(),
        )),
    }
}

fn object(address: &Remote) -> Result<Remote, Failure> {
    address.clone().object().map_err(Failure::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_copies_are_refused() {
        let parse = |text: &str| text.parse::<Address>().unwrap();
        let check = |sources: &[&str], target: &str, recursive: bool, ok: bool| {
            let sources: Vec<Address> = sources.iter().copied().map(parse).collect();
            assert_eq!(
                refuse_senseless(&sources, &parse(target), recursive).is_ok(),
                ok,
                "{sources:?} {target}"
            );
        };
        check(&["a"], "aero://b/a", false, true);
        check(&["aero://b/a"], ".", false, true);
        check(&["aero://b/a"], "aero://c", true, true);
        check(&["-"], "aero://b/a", false, true);
        check(&["aero://b/a"], "-", false, true);
        check(&["a"], "b", false, false);
        check(&["-"], "-", false, false);
        check(&["-", "a"], "aero://b/", false, false);
        check(&["aero://b/a"], "-", true, false);
    }
}
