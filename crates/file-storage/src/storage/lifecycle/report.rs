//! What a run did, or would do: bounded, however much that is.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Timestamp;
use crate::errors::StorageError;
use crate::lifecycle::{ArchiveTarget, LifecycleRule};

/// Most rules, actions and failures that a report names.
const NAMED: usize = 100;

/// How many were dealt with, by what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ActionTotals {
    /// Objects that were deleted, or hidden by a delete marker.
    pub deleted: u64,
    /// Older versions that went for good.
    pub versions: u64,
    /// Delete markers that went.
    pub markers: u64,
    /// Objects whose bytes go to another provider.
    pub archived: u64,
    /// Objects that moved to an archive's folder.
    pub moved: u64,
    /// Objects that were told of.
    pub warned: u64,
    /// Unfinished uploads that were given up.
    pub aborted: u64,
    /// Bytes of all but those that were told of.
    pub bytes: u64,
    /// What could not be done.
    pub failed: u64,
}

/// What a rule did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTotals {
    /// The rule.
    pub id: Uuid,
    /// What its author calls it.
    pub name: Option<String>,
    /// Its bucket.
    pub bucket: String,
    /// What it did.
    #[serde(flatten)]
    pub totals: ActionTotals,
}

/// One thing that was done, or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedAction {
    /// The rule that wanted it.
    pub rule: Uuid,
    /// What was done.
    pub action: String,
    /// The bucket.
    pub bucket: String,
    /// The path.
    pub path: String,
    /// Where it goes: the bucket and the path of a move, the provider of what is archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The code of the error, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What else there is to know of that: of a quota, which one it is, and how much it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
}

/// What a run did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LifecycleReport {
    /// The moment by which rules were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Timestamp>,
    /// Until when a run would not do any of it, as the clock has leapt; of one that only looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// Versions that were looked at.
    pub looked_at: u64,
    /// Whether it stopped at what one run may do; the next one goes on.
    pub limited: bool,
    /// All together.
    pub totals: ActionTotals,
    /// By rule, of the first hundred that did something.
    pub rules: Vec<RuleTotals>,
    /// The first hundred things that were done.
    pub actions: Vec<ReportedAction>,
    /// The first hundred that failed.
    pub failed: Vec<ReportedAction>,
}

/// What was done to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Deleted,
    EndedVersion,
    EndedMarker,
    Archived,
    Moved,
    Warned,
    Aborted,
}

impl Done {
    /// The word of reports and metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "delete",
            Self::EndedVersion => "delete_version",
            Self::EndedMarker => "delete_marker",
            Self::Archived => "archive",
            Self::Moved => "move",
            Self::Warned => "warn",
            Self::Aborted => "abort_upload",
        }
    }

    fn count(self, totals: &mut ActionTotals, bytes: u64) {
        let counter = match self {
            Self::Deleted => &mut totals.deleted,
            Self::EndedVersion => &mut totals.versions,
            Self::EndedMarker => &mut totals.markers,
            Self::Archived => &mut totals.archived,
            Self::Moved => &mut totals.moved,
            Self::Warned => &mut totals.warned,
            Self::Aborted => &mut totals.aborted,
        };
        *counter = counter.saturating_add(1);
        if self != Self::Warned {
            totals.bytes = totals.bytes.saturating_add(bytes);
        }
    }
}

impl LifecycleReport {
    /// Notes that something was done.
    pub(super) fn did(&mut self, rule: &LifecycleRule, done: Done, path: &str, bytes: u64) {
        done.count(&mut self.totals, bytes);
        if let Some(of_rule) = self.of(rule) {
            done.count(of_rule, bytes);
        }
        if self.actions.len() < NAMED {
            self.actions.push(named(rule, done, path, None));
        }
    }

    /// Notes that something failed.
    pub(super) fn failed(&mut self, rule: &LifecycleRule, done: Done, path: &str, error: &StorageError) {
        self.totals.failed = self.totals.failed.saturating_add(1);
        if let Some(of_rule) = self.of(rule) {
            of_rule.failed = of_rule.failed.saturating_add(1);
        }
        if self.failed.len() < NAMED {
            self.failed.push(named(rule, done, path, Some(error)));
        }
    }

    fn of(&mut self, rule: &LifecycleRule) -> Option<&mut ActionTotals> {
        let at = match self.rules.iter().position(|one| one.id == rule.id) {
            Some(at) => at,
            None if self.rules.len() >= NAMED => return None,
            None => {
                let (id, name, bucket) = (rule.id, rule.spec.name.clone(), rule.bucket.to_string());
                self.rules.push(RuleTotals { id, name, bucket, totals: ActionTotals::default() });
                self.rules.len().saturating_sub(1)
            }
        };
        self.rules.get_mut(at).map(|one| &mut one.totals)
    }
}

fn named(rule: &LifecycleRule, done: Done, path: &str, error: Option<&StorageError>) -> ReportedAction {
    ReportedAction {
        rule: rule.id,
        action: done.as_str().to_owned(),
        bucket: rule.bucket.to_string(),
        path: path.to_owned(),
        target: target(rule, done, path),
        error: error.map(|error| error.code().to_owned()),
        context: error.and_then(context),
    }
}

fn context(error: &StorageError) -> Option<Value> {
    match error {
        StorageError::QuotaExceeded { scope, name, used, limit, requested } => Some(json!({
            "scope": scope, "name": &**name, "used": used, "limit": limit, "requested": requested,
        })),
        _ => None,
    }
}

/// Where a rule has something go.
fn target(rule: &LifecycleRule, done: Done, path: &str) -> Option<String> {
    match (done, &rule.spec.archive_to) {
        (Done::Moved, Some(ArchiveTarget::Folder { bucket, prefix })) => {
            Some(format!("{bucket}/{prefix}{path}"))
        }
        (Done::Archived, Some(ArchiveTarget::Provider(provider))) => Some(provider.clone()),
        _ => None,
    }
}
