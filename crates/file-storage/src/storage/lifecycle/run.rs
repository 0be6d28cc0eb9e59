//! One run of all rules, in steps: versions by path, bucket by bucket, then what was told of and is gone. A run judges by one
//! moment from its beginning to its end, and remembers no more than where it is.

mod follow;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::ranges::{Range, ranges};
use super::report::{Done, LifecycleReport};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{AgedScan, Judged, UploadScan};
use crate::lifecycle::{AgedVersion, Judge, LifecycleRule, Rank};
use crate::permissions::Access;
use crate::storage::{FileStorage, QuotaSums};

/// Versions of one page.
const PAGE: u32 = 500;

/// Pages of one step where there is nothing to do.
const PAGES: u32 = 20;

/// Uploads, and warnings, of one page.
const SMALL_PAGE: u32 = 50;

/// A run: by which moment it judges, where it is, and what it did so far. It can be kept, and taken up by another process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LifecycleRun {
    /// The moment by which rules are asked; `None` until it has begun.
    now: Option<Timestamp>,
    /// Whether it only says what would be done.
    dry_run: bool,
    /// How many things were done.
    acted: u64,
    /// What it did, or would do.
    #[serde(skip)]
    report: LifecycleReport,
    /// What a dry run's moves would have taken of quotas.
    #[serde(default, skip_serializing_if = "QuotaSums::is_empty")]
    sums: QuotaSums,
    place: Place,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Place {
    /// The bucket; the first one, where `None`.
    bucket: Option<String>,
    stage: Stage,
    /// Among versions: where the next page begins.
    path: String,
    /// Only versions at that path below this place.
    below: Option<i64>,
    /// How many older versions at that path there were so far.
    older: u32,
    /// Among uploads: which of the bucket's rules, and after which upload.
    rule: usize,
    /// After which upload.
    upload: Option<(String, Uuid)>,
    /// Among warnings: after which version.
    version: Option<Uuid>,
}

/// What a run is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    /// The bucket's versions.
    #[default]
    Versions,
    /// The bucket's unfinished uploads.
    Uploads,
    /// What was told of, and is gone.
    Warnings,
    /// Nothing more.
    End,
}

impl LifecycleRun {
    /// A run that has not begun.
    pub fn new(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }

    /// The same, judging by a moment of the caller's.
    pub fn at(now: Timestamp, dry_run: bool) -> Self {
        Self { now: Some(now), ..Self::new(dry_run) }
    }

    /// A run that was kept as what it said of its state and its counts; `None` where none was.
    pub(crate) fn resumed(state: &Value, counts: &Map<String, Value>) -> Option<Self> {
        let run: Self = serde_json::from_value(state.clone()).ok()?;
        let report = serde_json::from_value(Value::Object(counts.clone())).ok()?;
        Some(Self { report, ..run })
    }

    /// Where it is, to be kept.
    pub(crate) fn state(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// What it did, to be kept and shown.
    pub(crate) fn counts(&self) -> Map<String, Value> {
        match serde_json::to_value(&self.report) {
            Ok(Value::Object(counts)) => counts,
            _ => Map::new(),
        }
    }

    /// What it did so far, or would do.
    pub fn report(&self) -> &LifecycleReport {
        &self.report
    }

    /// How many things were done so far.
    pub fn acted(&self) -> u64 {
        self.acted
    }

    /// How many things it may still do.
    fn room(&self, most: u64) -> usize {
        let left = if self.dry_run { u64::MAX } else { most.saturating_sub(self.acted) };
        usize::try_from(left).unwrap_or(usize::MAX)
    }
}

impl FileStorage {
    /// Goes on with a run for a moment; `true` at its end. A step that is done twice, as its outcome was not kept, does no harm: what
    /// was ended is gone, and what was told of is known.
    ///
    /// # Errors
    /// Those of the database; and of providers that may be better later. What else fails is in the report.
    pub async fn step_lifecycle(&self, run: &mut LifecycleRun) -> Result<bool, StorageError> {
        let access = self.maintain("follow lifecycle rules")?;
        let now = match run.now {
            Some(now) => now,
            None => {
                let clock = self.executor().lifecycle_clock(&access, None).await?;
                run.report.held_until = clock.held_until.filter(|_| run.dry_run);
                clock.now
            }
        };
        run.now = Some(now);
        run.report.now = Some(now);
        let mut rules = self.executor().lifecycle_rules(&access, None).await?;
        rules.extend(self.options().lifecycle.rules.iter().cloned());
        rules.retain(is_sound);
        for _ in 0..PAGES {
            let before = run.acted;
            let stage = Step { storage: self, access: &access, rules: &rules, now };
            stage.go_on(run).await?;
            if run.place.stage == Stage::End {
                return Ok(true);
            }
            if run.acted > before {
                break;
            }
        }
        Ok(false)
    }
}

/// Whether a rule may be followed. One that was kept before something was found to be wrong with it would do what nobody meant.
fn is_sound(rule: &LifecycleRule) -> bool {
    let fault = rule.fault();
    if let Some((_, fault)) = &fault {
        tracing::warn!(rule = rule.label(), bucket = %rule.bucket, fault, "a lifecycle rule is not followed");
    }
    fault.is_none()
}

/// What a step works with.
struct Step<'s> {
    storage: &'s FileStorage,
    access: &'s Access,
    rules: &'s [LifecycleRule],
    now: Timestamp,
}

impl Step<'_> {
    async fn go_on(&self, run: &mut LifecycleRun) -> Result<(), StorageError> {
        if run.report.limited && run.place.stage != Stage::Warnings {
            run.place = Place { stage: Stage::Warnings, ..Place::default() };
        }
        match run.place.stage {
            Stage::End => Ok(()),
            Stage::Warnings => self.forget(run).await,
            Stage::Versions | Stage::Uploads => {
                let Some(bucket) = self.bucket_of(&run.place)? else {
                    run.place = Place { stage: Stage::Warnings, ..Place::default() };
                    return Ok(());
                };
                if run.place.bucket.as_deref() != Some(bucket.as_str()) {
                    let bucket = Some(bucket.as_str().to_owned());
                    run.place = Place { bucket, ..Place::default() };
                }
                let rules: Vec<&LifecycleRule> =
                    self.rules.iter().filter(|rule| rule.bucket == bucket && rule.spec.enabled).collect();
                match run.place.stage {
                    Stage::Versions => self.versions(run, &bucket, rules).await,
                    _ => self.uploads(run, &bucket, &rules).await,
                }
            }
        }
    }

    /// The bucket that a run is at: its rules may be gone meanwhile, and then the next one is.
    fn bucket_of(&self, place: &Place) -> Result<Option<BucketName>, StorageError> {
        let enabled = self.rules.iter().filter(|rule| rule.spec.enabled);
        let names: BTreeSet<&str> = enabled.map(|rule| rule.bucket.as_str()).collect();
        let first = place.bucket.as_deref().unwrap_or_default();
        names.range(first..).next().map(|name| BucketName::parse(name)).transpose()
    }

    async fn versions(
        &self,
        run: &mut LifecycleRun,
        bucket: &BucketName,
        rules: Vec<&LifecycleRule>,
    ) -> Result<(), StorageError> {
        let asking = rules.iter().copied().filter(|rule| rule.asks_of_versions());
        let Some(scan) = next_scan(&ranges(asking), &run.place) else {
            run.place = Place { bucket: run.place.bucket.take(), stage: Stage::Uploads, ..Place::default() };
            return Ok(());
        };
        let mut page = self.storage.executor().aged_versions(self.access, bucket, &scan).await?;
        let is_full = page.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
        // Whether a delete marker is alone, the row after it says.
        if is_full && page.len() > 1 && page.last().is_some_and(|last| last.is_delete_marker) {
            page.pop();
        }
        // IMPORTANT: what is counted is kept only when the page is done. A page that fails is looked at again, and versions counted
        // twice would be ranked as older than they are: rules would delete what they are to keep.
        let mut place = run.place.clone();
        let ranked = rank(&mut place, &page, scan.below.is_some());
        let judge = Judge::new(rules, self.now);
        let all_done = self.follow(run, bucket, &judge, &ranked).await?;
        run.place.older = place.older;
        run.report.looked_at = run.report.looked_at.saturating_add(page.len() as u64);
        if !all_done {
            run.report.limited = true;
            return Ok(());
        }
        match (is_full, scan.until, page.last()) {
            (true, _, Some(last)) => {
                run.place.path = last.path.as_str().to_owned();
                run.place.below = Some(last.sequence);
            }
            (_, Some(until), _) => {
                (run.place.path, run.place.below, run.place.older) = (until, None, 0);
            }
            (_, None, _) => {
                run.place =
                    Place { bucket: run.place.bucket.take(), stage: Stage::Uploads, ..Place::default() };
            }
        }
        Ok(())
    }

    async fn uploads(
        &self,
        run: &mut LifecycleRun,
        bucket: &BucketName,
        rules: &[&LifecycleRule],
    ) -> Result<(), StorageError> {
        let Some(rule) = rules.get(run.place.rule) else {
            // The next bucket: its name is no smaller than this one with something behind it.
            run.place = Place { bucket: Some(format!("{bucket}\u{1}")), ..Place::default() };
            return Ok(());
        };
        let after_rule = Place { rule: run.place.rule.saturating_add(1), upload: None, ..run.place.clone() };
        let age = rule.spec.abort_incomplete_days.map(|days| TimeDelta::days(i64::from(days)));
        let Some(before) = age.and_then(|age| self.now.checked_sub_signed(age)) else {
            run.place = after_rule;
            return Ok(());
        };
        let (prefix, after) = (rule.spec.prefix.clone(), run.place.upload.clone());
        let scan = UploadScan { prefix, before, after, limit: SMALL_PAGE };
        let mut page = self.storage.executor().aged_uploads(self.access, bucket, &scan).await?;
        let is_full = page.len() >= usize::try_from(SMALL_PAGE).unwrap_or(usize::MAX);
        let room = run.room(self.storage.options().lifecycle.max_per_run);
        if page.len() > room {
            page.truncate(room);
            run.report.limited = true;
        }
        let gone: Vec<Uuid> = match run.dry_run || page.is_empty() {
            true => page.iter().map(|upload| upload.id).collect(),
            false => {
                let judged = page.iter().map(|upload| Judged {
                    id: upload.id,
                    bucket: bucket.clone(),
                    path: upload.path.clone(),
                    size: upload.size,
                    rule: rule.id,
                });
                let judged: Vec<_> = judged.collect();
                self.storage.executor().end_uploads(self.access, &judged).await?
            }
        };
        for upload in page.iter().filter(|upload| gone.contains(&upload.id)) {
            self.did(run, rule, Done::Aborted, upload.path.as_str(), upload.size);
        }
        self.storage.ring_deletions();
        run.place = match page.last().filter(|_| is_full) {
            Some(last) => {
                Place { upload: Some((last.path.as_str().to_owned(), last.id)), ..run.place.clone() }
            }
            None => after_rule,
        };
        Ok(())
    }

    async fn forget(&self, run: &mut LifecycleRun) -> Result<(), StorageError> {
        let rules: Vec<Uuid> = self.rules.iter().map(|rule| rule.id).collect();
        let after = run.place.version;
        let executor = self.storage.executor();
        let next = match run.dry_run {
            true => None,
            false => executor.forget_warnings(self.access, after, &rules, PAGE).await?,
        };
        match next {
            Some(_) => run.place.version = next,
            None => run.place = Place { stage: Stage::End, ..Place::default() },
        }
        Ok(())
    }

    fn did(&self, run: &mut LifecycleRun, rule: &LifecycleRule, done: Done, path: &str, bytes: u64) {
        run.acted = run.acted.saturating_add(1);
        run.report.did(rule, done, path, bytes);
        if !run.dry_run {
            metrics::counter!("storage_lifecycle_total", "action" => done.as_str()).increment(1);
            tracing::info!(
                action = done.as_str(), bucket = %rule.bucket, path, size = bytes, rule = %rule.label(),
                "a lifecycle rule was followed"
            );
        }
    }
}

/// Which page is next, of what rules are about; `None` at the end.
fn next_scan(ranges: &[Range], place: &Place) -> Option<AgedScan> {
    let is_ahead = |range: &&Range| range.until.as_ref().is_none_or(|until| *until > place.path);
    let range = ranges.iter().find(is_ahead)?;
    let (until, limit) = (range.until.clone(), PAGE);
    match range.from > place.path {
        true => Some(AgedScan { from: range.from.clone(), below: None, until, limit }),
        false => Some(AgedScan { from: place.path.clone(), below: place.below, until, limit }),
    }
}

/// Says of each version of a page where it is among those at its path, and remembers that of the last.
fn rank<'p>(place: &mut Place, page: &'p [AgedVersion], goes_on: bool) -> Vec<(&'p AgedVersion, Rank)> {
    let mut at = goes_on.then(|| place.path.clone());
    let mut ranked = Vec::with_capacity(page.len());
    for (number, version) in page.iter().enumerate() {
        let path = version.path.as_str();
        if at.as_deref() == Some(path) {
            ranked.push((version, Rank::Older(place.older)));
            place.older = place.older.saturating_add(1);
        } else {
            let next = page.get(number.saturating_add(1));
            let is_alone = next.is_none_or(|next| next.path != version.path);
            ranked.push((version, Rank::Latest { is_alone }));
            (at, place.older) = (Some(path.to_owned()), 0);
        }
    }
    ranked
}

/// A provider's name, as others share it.
fn shared(name: &str) -> Arc<str> {
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::ObjectPath;

    fn version(path: &str, sequence: i64) -> AgedVersion {
        AgedVersion {
            path: ObjectPath::parse(path).unwrap(),
            version: Uuid::from_u128(1),
            sequence,
            size: 0,
            written_at: Timestamp::UNIX_EPOCH,
            noncurrent_at: None,
            is_delete_marker: false,
            tags: Vec::new(),
        }
    }

    #[test]
    fn ranks_go_on_from_page_to_page() {
        let (alone, above) = (Rank::Latest { is_alone: true }, Rank::Latest { is_alone: false });
        let mut place = Place::default();
        let page = [version("a", i64::MAX), version("b", i64::MAX), version("b", 7)];
        let ranks =
            |ranked: Vec<(&AgedVersion, Rank)>| ranked.into_iter().map(|(_, rank)| rank).collect::<Vec<_>>();
        assert_eq!(ranks(rank(&mut place, &page, false)), [alone, above, Rank::Older(0)]);
        place.path = "b".to_owned();
        let page = [version("b", 5), version("b", 3), version("c", i64::MAX)];
        assert_eq!(ranks(rank(&mut place, &page, true)), [Rank::Older(1), Rank::Older(2), alone]);
    }

    #[test]
    fn pages_leap_to_what_rules_are_about() {
        let range = |from: &str, until: &str| Range { from: from.to_owned(), until: Some(until.to_owned()) };
        let ranges = [range("a/", "a0"), range("c/", "c0")];
        let from = |path: &str, below| {
            let place = Place { path: path.to_owned(), below, ..Place::default() };
            next_scan(&ranges, &place).map(|scan| (scan.from, scan.below))
        };
        assert_eq!(from("", None), Some(("a/".to_owned(), None)));
        assert_eq!(from("a/x", Some(3)), Some(("a/x".to_owned(), Some(3))));
        assert_eq!(from("a0", None), Some(("c/".to_owned(), None)));
        assert_eq!(from("c0", None), None);
    }
}
