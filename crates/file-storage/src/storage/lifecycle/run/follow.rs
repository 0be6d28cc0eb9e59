//! A page of versions, and what rules say of them, done: deletions together, moves one by one.

use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;
use uuid::Uuid;

use super::{LifecycleRun, Step, shared};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{ArchiveOrder, Ending, Judged, Warned, Warning};
use crate::file::PutMode;
use crate::lifecycle::{Act, AgedVersion, Judge, LifecycleRule, Rank};
use crate::path::ObjectPath;
use crate::permissions::RlsContext;
use crate::storage::lifecycle::report::Done;

/// Versions of one transaction: others write meanwhile.
const TOGETHER: usize = 100;

/// Something to be done to a version, as a rule wants it.
struct Task<'w> {
    version: &'w AgedVersion,
    rule: &'w LifecycleRule,
}

impl Task<'_> {
    fn judged(&self) -> Judged {
        Judged {
            id: self.version.version,
            bucket: self.rule.bucket.clone(),
            path: self.version.path.clone(),
            size: self.version.size,
            rule: self.rule.id,
        }
    }
}

/// What is to be done to the versions of a page.
#[derive(Default)]
struct Work<'w> {
    endings: Vec<(Task<'w>, Ending)>,
    moves: Vec<(Task<'w>, String, String)>,
    archives: BTreeMap<String, Vec<Task<'w>>>,
    warnings: Vec<(Task<'w>, Warning)>,
}

impl Step<'_> {
    /// Does what rules say of a page; `false` where it was more than a run may do.
    pub(super) async fn follow(
        &self,
        run: &mut LifecycleRun,
        bucket: &BucketName,
        judge: &Judge<'_>,
        page: &[(&AgedVersion, Rank)],
    ) -> Result<bool, StorageError> {
        let room = run.room(self.storage.options().lifecycle.max_per_run);
        let (work, all) = self.work(judge, page, room).await?;
        self.warn(run, &work.warnings).await?;
        for together in work.endings.chunks(TOGETHER) {
            self.end(run, bucket, together).await?;
        }
        for (provider, tasks) in &work.archives {
            for together in tasks.chunks(TOGETHER) {
                self.archive(run, provider, together).await?;
            }
        }
        for (task, to, prefix) in &work.moves {
            self.carry_away(run, bucket, task, (to, prefix)).await?;
        }
        Ok(all)
    }

    /// What there is to do, of so many things at most; and whether that is all.
    async fn work<'w>(
        &self,
        judge: &Judge<'w>,
        page: &[(&'w AgedVersion, Rank)],
        room: usize,
    ) -> Result<(Work<'w>, bool), StorageError> {
        let judged: Vec<_> = page
            .iter()
            .map(|(version, rank)| (*version, judge.claims(version, *rank)))
            .filter(|(_, claims)| !claims.is_empty())
            .collect();
        let asked: Vec<Uuid> = judged
            .iter()
            .filter(|(_, claims)| claims.iter().any(|claim| claim.warns.is_some()))
            .map(|(version, _)| version.version)
            .collect();
        let told: HashMap<(Uuid, Uuid), Warned> = match asked.is_empty() {
            true => HashMap::new(),
            false => {
                let given = self.storage.executor().lifecycle_warnings(self.access, &asked).await?;
                given.into_iter().map(|one| ((one.version, one.rule), one)).collect()
            }
        };
        let (mut work, mut tasks) = (Work::default(), 0_usize);
        for (version, claims) in judged {
            let mut is_decided = false;
            for claim in claims {
                let (Some(rule), Some(id)) = (judge.rules.get(claim.rule).copied(), judge.id(&claim)) else {
                    continue;
                };
                let task = Task { version, rule };
                if tasks >= room {
                    return Ok((work, false));
                }
                // What was said to go is not told of by what was said to stay, or to go elsewhere.
                let is_of = |told: &&Warned| {
                    told.due_at == claim.due_at && told.action.is_none_or(|said| said == rule.spec.action)
                };
                let known = told.get(&(version.version, id)).filter(is_of);
                match (claim.warns, known) {
                    (Some(before), None) => {
                        let goes_at = claim.due_at.max(later(self.now, before));
                        let (version, due_at) = (version.version, claim.due_at);
                        let action = rule.spec.action;
                        let warning = Warning { version, rule: id, due_at, goes_at, action };
                        work.warnings.push((task, warning));
                        tasks += 1;
                    }
                    // It was told of too late to go now.
                    (Some(before), Some(told)) if later(told.warned_at, before) > self.now => {}
                    (Some(_) | None, _) => {
                        if let Some(act) = claim.act.filter(|_| !is_decided) {
                            is_decided = true;
                            tasks += usize::from(work.add(task, act));
                        }
                    }
                }
            }
        }
        Ok((work, true))
    }

    async fn warn(
        &self,
        run: &mut LifecycleRun,
        warnings: &[(Task<'_>, Warning)],
    ) -> Result<(), StorageError> {
        for together in warnings.chunks(TOGETHER) {
            let asked: Vec<Warning> = together.iter().map(|(_, warning)| warning.clone()).collect();
            let told = match run.dry_run {
                true => asked.iter().map(|warning| (warning.version, warning.rule)).collect(),
                false => self.storage.executor().warn_of_versions(self.access, &asked, self.now).await?,
            };
            for (task, warning) in together {
                if told.contains(&(warning.version, warning.rule)) {
                    self.did(run, task.rule, Done::Warned, task.version.path.as_str(), task.version.size);
                }
            }
        }
        if !warnings.is_empty() {
            self.storage.ring_events();
        }
        Ok(())
    }

    async fn end(
        &self,
        run: &mut LifecycleRun,
        bucket: &BucketName,
        together: &[(Task<'_>, Ending)],
    ) -> Result<(), StorageError> {
        let gone: Vec<Uuid> = match run.dry_run {
            true => together.iter().map(|(task, _)| task.version.version).collect(),
            false => {
                let asked: Vec<_> = together.iter().map(|(task, ending)| (task.judged(), *ending)).collect();
                self.storage.hit("lifecycle.before_end").await?;
                let gone = self.storage.executor().end_versions(self.access, bucket, &asked).await?;
                self.storage.ring_deletions();
                self.storage.ring_events();
                gone
            }
        };
        for (task, ending) in together.iter().filter(|(task, _)| gone.contains(&task.version.version)) {
            let done = match ending {
                Ending::Object => Done::Deleted,
                Ending::Version => Done::EndedVersion,
                Ending::Marker => Done::EndedMarker,
            };
            self.did(run, task.rule, done, task.version.path.as_str(), task.version.size);
        }
        Ok(())
    }

    async fn archive(
        &self,
        run: &mut LifecycleRun,
        provider: &str,
        together: &[Task<'_>],
    ) -> Result<(), StorageError> {
        if self.storage.providers().get(provider).is_none() {
            tracing::error!(provider, "a lifecycle rule archives to a provider that is not configured");
            for task in together {
                let missing = StorageError::ProviderNotFound { provider: shared(provider) };
                run.report.failed(task.rule, Done::Archived, task.version.path.as_str(), &missing);
            }
            return Ok(());
        }
        let versions: Vec<Judged> = together.iter().map(Task::judged).collect();
        let order = ArchiveOrder {
            provider: shared(provider),
            max_attempts: self.storage.options().queue.max_attempts,
            dry_run: run.dry_run,
        };
        let queued = self.storage.executor().archive_versions(self.access, &versions, &order).await?;
        for task in together.iter().filter(|task| queued.contains(&task.version.version)) {
            self.did(run, task.rule, Done::Archived, task.version.path.as_str(), task.version.size);
        }
        if !queued.is_empty() && !run.dry_run {
            self.storage.ring_queue();
            self.storage.ring_events();
        }
        Ok(())
    }

    /// Moves an object to an archive's folder. What is there already stays, and so does the object. A dry run looks whether it could.
    async fn carry_away(
        &self,
        run: &mut LifecycleRun,
        bucket: &BucketName,
        task: &Task<'_>,
        (to, prefix): (&str, &str),
    ) -> Result<(), StorageError> {
        let (rule, version) = (task.rule, task.version);
        let path = version.path.as_str();
        let dry_run = run.dry_run;
        let moved = async {
            let to = (&BucketName::parse(to)?, &ObjectPath::parse(&format!("{prefix}{path}"))?);
            let context = RlsContext::system("follow lifecycle rules").following(rule.id);
            let from = (bucket, &version.path);
            if dry_run {
                return self.storage.weigh_version(&context, from, version.version, to).await.map(Some);
            }
            let mode = PutMode::Create;
            self.storage.move_version(&context, from, version.version, to, mode).await.map(|_| None)
        };
        // What a dry run has let go there before counts.
        let moved = match moved.await {
            Ok(Some(weight)) => run.sums.admit(&weight),
            outcome => outcome.map(drop),
        };
        match moved {
            Ok(()) => self.did(run, rule, Done::Moved, path, version.size),
            // It is another one by now, whose time has not come.
            Err(StorageError::PreconditionFailed { .. } | StorageError::ObjectNotFound { .. }) => {}
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                if !run.dry_run {
                    tracing::warn!(%error, %bucket, path, rule = %rule.label(), "an object could not be archived");
                }
                run.report.failed(rule, Done::Moved, path, &error);
            }
        }
        Ok(())
    }
}

impl<'w> Work<'w> {
    /// One thing more to do; says whether it counts.
    fn add(&mut self, task: Task<'w>, act: Act) -> bool {
        match act {
            Act::Expire => self.endings.push((task, Ending::Object)),
            Act::EndVersion => self.endings.push((task, Ending::Version)),
            Act::EndMarker => self.endings.push((task, Ending::Marker)),
            Act::Move(bucket, prefix) => self.moves.push((task, bucket, prefix)),
            // What is there already is known only when it is asked for: it must not use up what a run may do.
            Act::Archive(provider) => {
                self.archives.entry(provider).or_default().push(task);
                return false;
            }
        }
        true
    }
}

fn later(moment: Timestamp, by: TimeDelta) -> Timestamp {
    moment.checked_add_signed(by).unwrap_or(Timestamp::MAX_UTC)
}
