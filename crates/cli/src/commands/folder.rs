//! What the server does to whole folders for `rm -r`, `mv -r` and `cp -r`: a job, which is waited for and told of.

use serde_json::Value;

use super::job::{number, outcome, text, wait_or_leave};
use super::{Context, plural};
use crate::address::Remote;
use crate::client::Relocation;
use crate::failure::{Failure, Tally};
use crate::units;

/// What becomes of a folder's objects.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change<'a> {
    Delete,
    Move { to: &'a Remote, overwrite: bool },
    Copy { to: &'a Remote },
}

/// What a job did to a folder; what it could not do was told of.
#[derive(Debug)]
pub(super) struct Changed {
    /// Objects that it was done to, and their bytes.
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Objects that it could not be done to.
    pub(super) failed: u64,
    /// Why it ended before it was through.
    pub(super) ended: Option<Failure>,
}

impl Changed {
    /// Whether there was nothing below the folder.
    pub(super) fn is_nothing(&self) -> bool {
        self.objects + self.failed == 0 && self.ended.is_none()
    }

    /// The objects, and their bytes: `3 objects, 1.2 kB`.
    pub(super) fn in_words(&self) -> String {
        format!("{} object{}, {}", self.objects, plural(self.objects), units::size(self.bytes))
    }
}

/// Whether anything lies below a folder, as far as the caller sees.
pub(super) async fn is_there(folder: &Remote, context: &Context<'_>) -> Result<bool, Failure> {
    let page = context.client.list(&folder.as_folder(), false, None).await?;
    Ok(!page.objects.is_empty())
}

/// Has the server do it to all that lies below a folder, and waits for that. `dry_run`: it only looks.
pub(super) async fn change(
    folder: &Remote,
    change: Change<'_>,
    dry_run: bool,
    context: &Context<'_>,
    tally: &mut Tally,
) -> Result<Changed, Failure> {
    let (client, from) = (&context.client, folder.as_folder());
    let way = |to: &Remote, overwrite| Relocation::new(&from, &to.as_folder(), overwrite, dry_run);
    let asked = match change {
        Change::Delete => client.delete_folder(&from.bucket, &from.path, dry_run).await?,
        Change::Move { to, overwrite } => client.move_folder(&way(to, overwrite)).await?,
        Change::Copy { to } => client.copy_folder(&way(to, true)).await?,
    };
    let job = wait_or_leave(asked, context).await?;
    tell_failures(&job, &from.bucket, context, tally);
    Ok(Changed {
        objects: number(&job, "done"),
        bytes: number(&job, "bytes"),
        failed: number(&job, "failures"),
        ended: if text(&job, "status") == "completed" { None } else { outcome(&job).err() },
    })
}

/// Tells what a job could not do, and counts all of it: its report names the first, and has all by their codes.
fn tell_failures(job: &Value, bucket: &str, context: &Context<'_>, tally: &mut Tally) {
    let named = job.pointer("/report/failures").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for one in named {
        let (code, message) = (text(one, "code").to_owned(), text(one, "message").to_owned());
        let failure = Failure::Reported { code, message };
        context.out.item_failure(&Remote::new(bucket, text(one, "path")).to_string(), &failure);
    }
    let more = number(job, "failures").saturating_sub(named.len() as u64);
    if more > 0 {
        context.out.note(&format!("{more} more failed"));
    }
    let codes = job.pointer("/report/errors_by_code").and_then(Value::as_object);
    for (code, count) in codes.into_iter().flatten() {
        let failure = Failure::Reported { code: code.clone(), message: String::new() };
        tally.add_many(count.as_u64().unwrap_or(0), &failure);
    }
}
