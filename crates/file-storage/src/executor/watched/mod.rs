//! A decorator of an executor that tells the audit log what was done through it, and by whom, and traces how long it took.
//!
//! Every way to what is stored leads through an executor, and names who asks: so no protocol and no job can forget a line.
//! Each method says what its line is; one that has none does the server's own books, or is part of another one that has.
//! A change runs once its line has room, and is answered once it is written ([`AuditLog`]).

mod copies;
mod credentials;
mod event;
mod executor;
mod job;
mod lifecycle;
mod marks;
mod multipart;
mod queue;
mod quota;
mod scrub;
mod settings;
mod upkeep;
mod versions;
mod webhooks;

use std::sync::Arc;

use tracing::Instrument as _;
use tracing::instrument::Instrumented;

use crate::audit::{AuditLog, Entry, Outcome, SYSTEM, Unanswered};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Executor, Judged, Relocation};
use crate::file::NewObject;
use crate::permissions::Access;
use crate::quota::QuotaScope;
use crate::versions::Deletion;

/// An executor, and the log of what is done through it, where there is one.
pub(crate) struct WatchedExecutor {
    inner: Arc<dyn Executor>,
    log: Option<AuditLog>,
}

/// What the database is asked, in a span of its own where requests are traced.
fn asked<F: Future>(operation: &'static str, run: F) -> Instrumented<F> {
    run.instrument(tracing::info_span!(
        target: "trace",
        "database",
        otel.name = %format_args!("database {operation}"),
        otel.kind = "client",
        operation,
    ))
}

impl WatchedExecutor {
    pub(crate) fn new(inner: Arc<dyn Executor>, log: Option<AuditLog>) -> Self {
        Self { inner, log }
    }

    /// Runs a change. `told` gives its lines: none where nothing changed.
    async fn change<T, Lines>(
        &self,
        entry: Entry,
        run: impl Future<Output = Result<T, StorageError>> + Send,
        told: impl FnOnce(&T, Entry) -> Lines + Send,
    ) -> Result<T, StorageError>
    where
        T: Send,
        Lines: IntoIterator<Item = Entry>,
    {
        let Some(log) = &self.log else { return run.await };
        let is_system = entry.role.as_deref() == Some(SYSTEM);
        let room = log.admit().await?;
        let unanswered = Unanswered::new(log, room, entry);
        let outcome = run.await;
        let (room, entry) = unanswered.answered();
        let Some(entry) = entry else { return outcome };
        let nothing = log.keeps_all().then(|| entry.clone().count(0).ended(Outcome::Ok));
        let mut lines: Vec<Entry> = match &outcome {
            Ok(done) => {
                let ended = |line: Entry| if line.outcome.is_none() { line.ended(Outcome::Ok) } else { line };
                told(done, entry).into_iter().map(ended).collect()
            }
            Err(error) => self.of_failure(entry, error).into_iter().collect(),
        };
        if lines.is_empty() && outcome.is_ok() && !is_system {
            // Somebody asked for it, and there was nothing to be done.
            lines.extend(nothing);
        }
        if lines.is_empty() {
            return outcome;
        }
        let written = log.write(room, lines);
        match &outcome {
            Ok(_) => written.await?,
            Err(_) => drop(written),
        }
        outcome
    }

    /// Runs what changes nothing, and tells it where that is wanted. What the server reads for itself is not.
    async fn read<T, Lines>(
        &self,
        access: &Access,
        entry: impl FnOnce() -> Entry + Send,
        run: impl Future<Output = Result<T, StorageError>> + Send,
        told: impl FnOnce(&T, Entry) -> Lines + Send,
    ) -> Result<T, StorageError>
    where
        T: Send,
        Lines: IntoIterator<Item = Entry> + Send,
        Lines::IntoIter: Send,
    {
        let outcome = run.await;
        let Some(log) = self.log.as_ref().filter(|log| log.keeps_all()) else { return outcome };
        if access.context().is_system() {
            return outcome;
        }
        match &outcome {
            Ok(found) => {
                let lines: Vec<Entry> = told(found, entry()).into_iter().collect();
                for line in lines {
                    log.note(if line.outcome.is_none() { line.ended(Outcome::Ok) } else { line }).await;
                }
            }
            Err(error) => log.note(entry().failed(error)).await,
        }
        outcome
    }

    /// Asks whether something may be, and tells a refusal where that is wanted.
    async fn ask<T: Send>(
        &self,
        access: &Access,
        entry: impl FnOnce() -> Entry + Send,
        run: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        self.read(access, entry, run, |_, _| None).await
    }

    fn keeps_all(&self) -> bool {
        self.log.as_ref().is_some_and(AuditLog::keeps_all)
    }

    /// The line of a change that failed. A refusal is one where all is wanted; a fault of the server may have come after the change.
    fn of_failure(&self, entry: Entry, error: &StorageError) -> Option<Entry> {
        let entry = entry.failed(error);
        (self.keeps_all() || entry.outcome != Some(Outcome::Refused)).then_some(entry)
    }
}

/// The line of a deletion; none where nothing was there.
fn deleted(entry: Entry, bucket: &BucketName, deletion: &Deletion) -> Option<Entry> {
    let entry = Entry { count: None, ..entry }.object(bucket, &deletion.path);
    let entry = match &deletion.marker {
        Some(marker) => entry.subject(format!("delete marker {}", marker.version)),
        None => entry,
    };
    match &deletion.object {
        Some(object) => Some(entry.version(object.version).bytes(object.size)),
        None => deletion.marker.map(|_| entry),
    }
}

/// The line of a move; none where the bytes must be copied, which has its own.
fn moved(entry: Entry, relocation: &Relocation) -> Option<Entry> {
    match relocation {
        Relocation::Moved(object) => Some(entry.version(object.version).bytes(object.size)),
        Relocation::KeepsVersions => None,
    }
}

/// The line of an object that is written.
fn written(entry: Entry, object: &NewObject) -> Entry {
    entry.object(&object.bucket, &object.path).version(object.version).bytes(object.size)
}

/// The line of what a lifecycle rule did to one thing.
fn by_rule(entry: &Entry, judged: &Judged) -> Entry {
    let entry = Entry { count: None, rule: Some(judged.rule), ..entry.clone() };
    entry.object(&judged.bucket, &judged.path).bytes(judged.size)
}

/// What a quota is for.
fn quota_of(scope: &QuotaScope) -> String {
    match scope {
        QuotaScope::Global => "quota of all".to_owned(),
        QuotaScope::User(user) => format!("quota of user {user}"),
        QuotaScope::Bucket(bucket) => format!("quota of bucket {bucket}"),
        QuotaScope::Folder(bucket, folder) => format!("quota of folder {bucket}/{}", folder.as_str()),
    }
}
