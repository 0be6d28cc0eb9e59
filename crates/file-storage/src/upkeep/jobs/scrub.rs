//! Reads all that is kept, of a provider, of a bucket, or of everything, and compares it with its checksums; where it was asked to,
//! makes bad blobs anew from good ones. First the blobs, in the order of their names, then what lies in the database.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::StepEnd;
use crate::errors::StorageError;
use crate::executor::{ClaimedJob, JobProgress, ReferredBlob, SegmentRow};
use crate::file::{BlobKey, Sha256};
use crate::permissions::Access;
use crate::storage::{FileStorage, Repair, ScrubProblem, ScrubRequest, Verdict};

/// Blobs of a step.
const PAGE: u32 = 64;

/// Segments in the database of a step. Each is 1 MiB at most.
const INLINE_PAGE: u32 = 32;

/// Blobs that are read at once: one waits for its provider while another one is compared.
const AT_ONCE: usize = 2;

/// How long a step begins blobs. It is written down where it is after that.
const STEP: Duration = Duration::from_secs(5);

/// Most findings that a report names; beyond them they are counted.
const MOST_FINDINGS: usize = 100;

/// What a report calls the provider of bytes in the database.
const DATABASE: &str = "database";

/// Where a scrub goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// With the blobs after this one.
    Blobs(Option<String>),
    /// With the segments in the database after this one.
    Inline(Option<(Uuid, u32)>),
}

/// What is wrong with some bytes, and whose they are.
#[derive(Serialize)]
struct Finding<'a> {
    bucket: &'a str,
    path: &'a str,
    provider: &'a str,
    problem: &'static str,
    /// Whether it is a copy, and the object itself is read from elsewhere.
    is_copy: bool,
    repaired: bool,
}

/// A blob that was looked at.
struct Looked {
    blob: ReferredBlob,
    outcome: Outcome,
    /// Bytes that were read for it.
    read: u64,
}

/// What became of a blob.
enum Outcome {
    Verified(Verdict),
    Found(ScrubProblem, Option<Repair>),
}

/// Verifies some of what is kept.
pub(super) async fn step(storage: &FileStorage, job: &mut ClaimedJob) -> Result<StepEnd, StorageError> {
    let access = storage.maintain("scrub")?;
    let request = ScrubRequest::of_params(&job.job.params)?;
    let progress = &mut job.progress;
    let place = match &progress.state {
        Value::Null => {
            progress.total = total(storage, &access, &request).await?;
            Place::Blobs(None)
        }
        state => serde_json::from_value(state.clone())
            .map_err(|_| StorageError::internal("a scrub's state is not one"))?,
    };
    let next = match place {
        Place::Blobs(after) => blobs(storage, &access, &request, after, progress).await?,
        Place::Inline(after) => inline(storage, &access, &request, after, progress).await?,
    };
    match next {
        Some(next) => {
            progress.state = json!(next);
            Ok(StepEnd::More)
        }
        None => {
            ended(progress);
            Ok(StepEnd::Done)
        }
    }
}

/// How many blobs there are to verify, where that costs little to know.
async fn total(
    storage: &FileStorage,
    access: &Access,
    request: &ScrubRequest,
) -> Result<Option<u64>, StorageError> {
    if request.scope.bucket.is_some() {
        return Ok(None);
    }
    let wanted = request.scope.provider.as_deref();
    let usage = storage.executor().provider_usage(access).await?;
    let of_scope = usage.iter().filter(|usage| wanted.is_none_or(|wanted| wanted == &*usage.provider));
    Ok(Some(of_scope.map(|usage| usage.blobs.saturating_add(usage.copies)).sum()))
}

async fn blobs(
    storage: &FileStorage,
    access: &Access,
    request: &ScrubRequest,
    after: Option<String>,
    progress: &mut JobProgress,
) -> Result<Option<Place>, StorageError> {
    let after = after.as_deref().and_then(BlobKey::from_stored);
    let page = storage.executor().scrub_page(access, &request.scope, after.as_ref(), PAGE).await?;
    storage.hit("scrub.page_read").await?;
    let (begun, count) = (Instant::now(), page.blobs.len());
    let mut looked_at = 0;
    // What was begun is read to its end: a large blob is not to be read for nothing.
    let in_time = page.blobs.into_iter().take_while(|_| begun.elapsed() < STEP);
    let looks = in_time.map(|blob| look(storage.clone(), access.clone(), blob, request.repair).boxed());
    let mut outcomes = stream::iter(looks).buffered(AT_ONCE);
    while let Some(looked) = outcomes.next().await {
        let Looked { blob, outcome, read } = looked?;
        note(progress, &blob, &outcome, read);
        looked_at += 1;
        progress.state = json!(Place::Blobs(Some(blob.key.as_str().to_owned())));
    }
    if looked_at < count {
        return Ok(serde_json::from_value(progress.state.clone()).ok());
    }
    Ok(match page.next {
        Some(next) => Some(Place::Blobs(Some(next.as_str().to_owned()))),
        // What lies in the database is on no provider.
        None => request.scope.provider.is_none().then_some(Place::Inline(None)),
    })
}

/// Verifies a blob, and repairs it where that is asked for and it needs it.
async fn look(
    storage: FileStorage,
    access: Access,
    blob: ReferredBlob,
    repair: bool,
) -> Result<Looked, StorageError> {
    let (verdict, read) = storage.verify_blob(&access, &blob).await?;
    let outcome = match verdict {
        Verdict::Bad(problem) if repair => {
            Outcome::Found(problem, Some(storage.repair_blob(&access, &blob).await?))
        }
        Verdict::Bad(problem) => Outcome::Found(problem, None),
        verdict => Outcome::Verified(verdict),
    };
    Ok(Looked { blob, outcome, read })
}

/// Writes down what a look told, and says so.
fn note(progress: &mut JobProgress, blob: &ReferredBlob, outcome: &Outcome, read: u64) {
    progress.bytes = progress.bytes.saturating_add(read);
    metrics::counter!("storage_scrub_bytes_total").increment(read);
    let counted = |outcome: &'static str| {
        metrics::counter!("storage_scrub_blobs_total", "outcome" => outcome).increment(1);
    };
    match outcome {
        Outcome::Verified(Verdict::Good) => {
            counted("good");
            progress.done = progress.done.saturating_add(1);
        }
        Outcome::Verified(Verdict::Skipped(error)) => {
            counted("skipped");
            count(&mut progress.report.counts, "skipped");
            let (bucket, path, provider) = (&blob.bucket, &blob.path, &blob.provider);
            tracing::warn!(%bucket, %path, %provider, blob = %blob.key, %error, "scrub: a blob could not be read");
            progress.failed(&format!("{bucket}/{path}"), error);
        }
        Outcome::Verified(Verdict::Gone | Verdict::Bad(_)) | Outcome::Found(_, Some(Repair::Gone)) => {
            counted("gone");
            progress.done = progress.done.saturating_add(1);
        }
        Outcome::Found(problem, repair) => {
            counted("bad");
            progress.done = progress.done.saturating_add(1);
            let repaired = matches!(repair, Some(Repair::Done));
            tell(blob, *problem, repair.as_ref());
            let finding = Finding {
                bucket: blob.bucket.as_str(),
                path: blob.path.as_str(),
                provider: &blob.provider,
                problem: problem.as_str(),
                is_copy: blob.copy_of.is_some(),
                repaired,
            };
            found(progress, *problem, &finding);
        }
    }
}

fn tell(blob: &ReferredBlob, problem: ScrubProblem, repair: Option<&Repair>) {
    let (bucket, path, provider, problem) = (&blob.bucket, &blob.path, &blob.provider, problem.as_str());
    let (key, is_copy) = (&blob.key, blob.copy_of.is_some());
    match repair {
        Some(Repair::Done) => {
            tracing::warn!(%bucket, %path, %provider, blob = %key, is_copy, problem, "scrub: a bad blob was repaired");
        }
        Some(Repair::NothingGood) => {
            tracing::error!(%bucket, %path, %provider, blob = %key, is_copy, problem, "scrub: a bad blob, and nothing good to repair it from");
        }
        Some(Repair::Failed(error)) => {
            tracing::error!(%bucket, %path, %provider, blob = %key, is_copy, problem, %error, "scrub: a bad blob was not repaired");
        }
        Some(Repair::Gone) | None => {
            tracing::error!(%bucket, %path, %provider, blob = %key, is_copy, problem, "scrub: a bad blob");
        }
    }
}

/// Counts a finding, and names it where there is room.
fn found(progress: &mut JobProgress, problem: ScrubProblem, finding: &Finding<'_>) {
    metrics::counter!("storage_scrub_findings_total", "problem" => problem.as_str()).increment(1);
    let counts = &mut progress.report.counts;
    count(counts, problem.as_str());
    if finding.repaired {
        metrics::counter!("storage_scrub_repaired_total").increment(1);
        count(counts, "repaired");
    } else {
        count(counts, "left");
        progress.failures = progress.failures.saturating_add(1);
    }
    let findings = counts.entry("findings").or_insert_with(|| json!([]));
    if let Value::Array(findings) = findings
        && findings.len() < MOST_FINDINGS
    {
        findings.push(json!(finding));
    }
}

fn count(counts: &mut Map<String, Value>, name: &str) {
    let before = counts.get(name).and_then(Value::as_u64).unwrap_or(0);
    counts.insert(name.to_owned(), before.saturating_add(1).into());
}

/// Compares what lies in the database. What differs when it is read once more is bad: there is no other copy of it.
async fn inline(
    storage: &FileStorage,
    access: &Access,
    request: &ScrubRequest,
    after: Option<(Uuid, u32)>,
    progress: &mut JobProgress,
) -> Result<Option<Place>, StorageError> {
    let (executor, bucket) = (storage.executor(), request.scope.bucket.as_ref());
    let after = after.map(|(version, ordinal)| SegmentRow { version, ordinal });
    let page = executor.inline_page(access, bucket, after, INLINE_PAGE).await?;
    let bytes = page.segments.iter().map(|segment| segment.bytes.len() as u64).sum();
    let differs = |segment: &&crate::executor::InlineSegment| Sha256::of(&segment.bytes) != segment.sha256;
    let mut bad: Vec<_> = page.segments.iter().filter(differs).collect();
    let again = match bad.is_empty() {
        true => Vec::new(),
        false => executor.inline_page(access, bucket, after, INLINE_PAGE).await?.segments,
    };
    bad.retain(|segment| again.iter().filter(differs).any(|other| other.row == segment.row));
    for segment in &bad {
        let (bucket, path) = (&segment.bucket, &segment.path);
        tracing::error!(%bucket, %path, version = %segment.row.version, "scrub: bytes in the database are not what was stored");
        let finding = Finding {
            bucket: bucket.as_str(),
            path: path.as_str(),
            provider: DATABASE,
            problem: ScrubProblem::Mismatch.as_str(),
            is_copy: false,
            repaired: false,
        };
        found(progress, ScrubProblem::Mismatch, &finding);
    }
    let looked_at = page.segments.len() as u64;
    progress.bytes = progress.bytes.saturating_add(bytes);
    let counts = &mut progress.report.counts;
    let before = counts.get("inline").and_then(Value::as_u64).unwrap_or(0);
    counts.insert("inline".to_owned(), before.saturating_add(looked_at).into());
    metrics::counter!("storage_scrub_bytes_total").increment(bytes);
    storage.spend_for_scrub(bytes).await;
    Ok(page.next.map(|next| Place::Inline(Some((next.version, next.ordinal)))))
}

/// Says of a scrub that it is through.
fn ended(progress: &JobProgress) {
    let counts = &progress.report.counts;
    let of = |name: &str| counts.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (left, repaired, skipped) = (of("left"), of("repaired"), of("skipped"));
    metrics::gauge!("storage_scrub_last_end_seconds").set(chrono::Utc::now().timestamp() as f64);
    metrics::gauge!("storage_scrub_last_left").set(left as f64);
    metrics::gauge!("storage_scrub_last_skipped").set(skipped as f64);
    tracing::info!(blobs = progress.done, bytes = progress.bytes, left, repaired, skipped, "scrub finished");
}
