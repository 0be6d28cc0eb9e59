//! Small files up, many in one request: where one request each would take longer than their bytes.

use bytes::Bytes;

use super::plan::{Planned, Task};
use super::progress::Progress;
use super::{Options, Outcome, alone, pause, upload};
use crate::client::Client;
use crate::client::batch::{BatchFile, fits_in_form};
use crate::failure::{Failure, ServerError};

/// Tasks that are looked at together: those that are known at the moment, no more than these.
pub(super) const TOGETHER: usize = 200;

/// Largest file that goes with others.
const SMALL: u64 = 64 * 1024;

/// Most bytes of one request.
const MOST_BYTES: u64 = 2 * 1024 * 1024;

/// What is done at a time.
pub(super) enum Unit {
    One(Planned),
    Many(Vec<Task>),
}

/// What became of a file, or which one failed and why.
pub(super) type Done = Result<Outcome, (String, Failure)>;

/// Puts small uploads to one bucket together; what is alone stays so.
pub(super) fn units(planned: Vec<Planned>, options: &Options) -> Vec<Unit> {
    let (mut units, mut many, mut bytes) = (Vec::new(), Vec::new(), 0);
    for planned in planned {
        match planned {
            Ok(task) if goes_with_others(&task, &many, options) => {
                bytes += task.size();
                many.push(task);
                if bytes >= MOST_BYTES {
                    units.push(unit(std::mem::take(&mut many)));
                    bytes = 0;
                }
            }
            planned => units.push(Unit::One(planned)),
        }
    }
    if !many.is_empty() {
        units.push(unit(many));
    }
    units
}

fn unit(mut tasks: Vec<Task>) -> Unit {
    match tasks.pop() {
        Some(only) if tasks.is_empty() => Unit::One(Ok(only)),
        Some(last) => {
            tasks.push(last);
            Unit::Many(tasks)
        }
        None => Unit::Many(tasks),
    }
}

fn goes_with_others(task: &Task, others: &[Task], options: &Options) -> bool {
    // What a form has no room for is said in headers, a request each.
    let Task::Upload { to, size, .. } = task else { return false };
    let fits = match others.first() {
        Some(Task::Upload { to: first, .. }) => first.bucket == to.bucket,
        _ => true,
    };
    // Two sources may have one destination, which a batch takes once: the second goes alone, as it would without batches.
    let is_second =
        others.iter().any(|other| matches!(other, Task::Upload { to: there, .. } if there.path == to.path));
    let fits = fits && *size <= SMALL && fits_in_form(&to.path) && !is_second;
    options.recursive && options.cache_control.is_none() && fits
}

/// Sends files together; those that the server could not take just then, once more alone.
pub(super) async fn send(
    client: &Client,
    tasks: Vec<Task>,
    options: &Options,
    progress: &Progress,
) -> Vec<Done> {
    let (mut done, mut files, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    for task in tasks {
        match read(&task, options).await {
            Ok((bucket, file)) => {
                sent.push((bucket, task));
                files.push(file);
            }
            Err(failure) => {
                done.push(Err((task.to_string(), failure)));
                progress.finished();
            }
        }
    }
    let Some((bucket, _)) = sent.first() else { return done };
    let mut tries = 0;
    let answer = loop {
        match client.upload_batch(bucket, options.overwrite, &files).await {
            Err(failure) if failure.is_transient() && tries < options.retries => {
                tokio::time::sleep(pause(&failure, tries)).await;
                tries += 1;
            }
            answer => break answer,
        }
    };
    let mut failed = match answer {
        Ok(answer) => answer.failed,
        // What is wrong with the request as a whole may be wrong with one of its files; who calls, and where to, is the same for all.
        Err(Failure::Server(error))
            if error.status < 500 && error.status != 401 && error.code != "BUCKET_NOT_FOUND" =>
        {
            for (_, task) in sent {
                done.push(alone(client, Ok(task), options, progress).await);
            }
            return done;
        }
        Err(failure) => {
            let reason = failure.to_string();
            for (at, (_, task)) in sent.into_iter().enumerate() {
                progress.finished();
                let failure = if at == 0 {
                    again(&failure, &reason)
                } else {
                    Failure::Other(anyhow::anyhow!("{reason}"))
                };
                done.push(Err((task.to_string(), failure)));
            }
            return done;
        }
    };
    for ((_, task), file) in sent.into_iter().zip(&files) {
        let Some(at) = failed.iter().position(|failed| failed.path == file.path) else {
            let size = file.content.len() as u64;
            progress.meter().add(size);
            progress.finished();
            done.push(Ok(Outcome::Copied(size)));
            continue;
        };
        let error = failed.swap_remove(at).error;
        if error.retryable {
            done.push(alone(client, Ok(task), options, progress).await);
            continue;
        }
        progress.finished();
        let (status, code, message) = (error.status, error.code, error.message);
        done.push(match status {
            // With `--no-clobber` a conflict is what was asked for.
            409 if !options.overwrite => Ok(Outcome::Skipped),
            _ => {
                let error =
                    ServerError { status, code, message, request_id: None, retry_after: None, hint: None };
                Err((task.to_string(), Failure::Server(Box::new(error))))
            }
        });
    }
    done
}

/// The same failure, of which only one is to be had.
fn again(failure: &Failure, reason: &str) -> Failure {
    match failure {
        Failure::Server(error) => Failure::Server(error.clone()),
        Failure::Unreachable { url, reason } => {
            Failure::Unreachable { url: url.clone(), reason: reason.clone() }
        }
        _ => Failure::Other(anyhow::anyhow!("{reason}")),
    }
}

/// A file's content, and its bucket.
async fn read(task: &Task, options: &Options) -> Result<(String, BatchFile), Failure> {
    let Task::Upload { from, to, .. } = task else {
        return Err(Failure::Other(anyhow::anyhow!("only uploads go together")));
    };
    let content = Bytes::from(tokio::fs::read(from).await?);
    let content_type = upload::content_type(options, to).to_owned();
    Ok((to.bucket.clone(), BatchFile { path: to.path.clone(), content_type, content }))
}
