//! What the server does to whole folders for `rm -r`, `mv -r` and `cp -r`: a job, which is waited for and told of.

use serde_json::Value;

use super::job::{number, outcome, text, wait_or_leave};
use super::{Context, plural};
use crate::address::Remote;
use crate::client::Relocation;
use crate::failure::{Failure, ServerError, Tally};
use crate::units;

/// Why an object stays where it is because something is at its target, which is not to be replaced.
const TAKEN: &str = "OBJECT_EXISTS";

/// What becomes of a folder's objects.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work<'a> {
    Delete,
    Move {
        to: &'a Remote,
        overwrite: bool,
    },
    /// Where nothing is overwritten, what is there already is no failure.
    Copy {
        to: &'a Remote,
        overwrite: bool,
    },
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Objects, and their bytes.
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Objects that a copy left as they are.
    pub(super) left: u64,
    /// What failed, and was told of.
    pub(super) failed: u64,
}

impl Done {
    /// Whether nothing lay below the folder.
    pub(super) fn is_nothing(&self) -> bool {
        self.objects + self.left + self.failed == 0
    }

    /// The objects, and their bytes: `3 objects, 1.2 kB`.
    pub(super) fn in_words(&self) -> String {
        format!("{} object{}, {}", self.objects, plural(self.objects), units::size(self.bytes))
    }
}

/// Has the server do it to all that lies below a folder, waits for that, and tells what it could not do. `dry_run`: it only looks.
pub(super) async fn work(
    folder: &Remote,
    work: Work<'_>,
    dry_run: bool,
    context: &Context<'_>,
    tally: &mut Tally,
) -> Result<Done, Failure> {
    let (client, from) = (&context.client, folder.as_folder());
    let way = |to: &Remote, overwrite| Relocation::new(&from, &to.as_folder(), overwrite, dry_run);
    let asked = match work {
        Work::Delete => client.delete_folder(&from.bucket, &from.path, dry_run).await?,
        Work::Move { to, overwrite } => client.move_folder(&way(to, overwrite)).await?,
        Work::Copy { to, overwrite } => client.copy_folder(&way(to, overwrite)).await?,
    };
    let ended = wait_or_leave(asked, context).await?;
    let leaves_taken = matches!(work, Work::Copy { overwrite: false, .. });
    let done = tell(&ended, &from.bucket, leaves_taken, context, tally);
    match text(&ended, "status") {
        "completed" => Ok(done),
        _ => outcome(&ended).map(|()| done),
    }
}

/// Tells what a job could not do, and gives what it did.
fn tell(job: &Value, bucket: &str, leaves_taken: bool, context: &Context<'_>, tally: &mut Tally) -> Done {
    let codes = job.pointer("/report/errors_by_code");
    let left = codes.and_then(|codes| codes.get(TAKEN)).and_then(Value::as_u64).filter(|_| leaves_taken);
    let left = left.unwrap_or(0);
    let failed = number(job, "failures").saturating_sub(left);
    let named = job.pointer("/report/failures").and_then(Value::as_array).into_iter().flatten();
    let mut told = 0;
    for one in named.filter(|one| !leaves_taken || text(one, "code") != TAKEN) {
        let failure = failure(one);
        context.out.item_failure(&Remote::new(bucket, text(one, "path")).to_string(), &failure);
        tally.add(&failure);
        told += 1;
    }
    // The report names some; the rest is told by number.
    for _ in told..failed {
        tally.add(&Failure::Other(anyhow::anyhow!("not done")));
    }
    if failed > told {
        context.out.note(&format!("{} more failed", failed - told));
    }
    Done { objects: number(job, "done"), bytes: number(job, "bytes"), left, failed }
}

/// What a report says of one object, as the server would have said it of a request.
fn failure(told: &Value) -> Failure {
    let (code, message) = (text(told, "code").to_owned(), text(told, "message").to_owned());
    let status = match code.as_str() {
        "STORAGE_UNAUTHORIZED" | "AUTH_REQUIRED" => 403,
        TAKEN => 409,
        code if code.ends_with("_NOT_FOUND") => 404,
        _ => 500,
    };
    let error = ServerError { status, code, message, request_id: None, retry_after: None, hint: None };
    Failure::Server(Box::new(error))
}
