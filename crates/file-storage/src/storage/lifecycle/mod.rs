//! Rules that let old files go: kept for the service role, who alone may make them, as one deletes what is anybody's.

mod ranges;
mod report;
mod run;

use uuid::Uuid;

use super::FileStorage;
use crate::Timestamp;
use crate::audit::{Action, Entry};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Job, JobKind, JobListing, JobStatus, NewJob};
use crate::lifecycle::{ArchiveTarget, LifecycleRule, RuleSource, RuleSpec};
use crate::permissions::{Access, Operation, RlsContext};

pub use report::{ActionTotals, LifecycleReport, ReportedAction, RuleTotals};
pub use run::LifecycleRun;

impl FileStorage {
    /// The rules of a bucket, or of all: those that are kept, and those of the configuration. The service role's to see.
    ///
    /// # Errors
    /// A denial, and those of the database.
    pub async fn lifecycle_rules(
        &self,
        context: &RlsContext,
        bucket: Option<&BucketName>,
    ) -> Result<Vec<LifecycleRule>, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        let mut rules = self.executor().lifecycle_rules(&access, bucket).await?;
        let options = self.options();
        let configured = options.lifecycle.rules.iter();
        rules.extend(configured.filter(|rule| bucket.is_none_or(|bucket| rule.bucket == *bucket)).cloned());
        Ok(rules)
    }

    /// A rule. The service role's to see.
    ///
    /// # Errors
    /// A denial; [`StorageError::LifecycleRuleNotFound`].
    pub async fn lifecycle_rule(
        &self,
        context: &RlsContext,
        id: Uuid,
    ) -> Result<LifecycleRule, StorageError> {
        let rules = self.lifecycle_rules(context, None).await?;
        rules.into_iter().find(|rule| rule.id == id).ok_or(StorageError::LifecycleRuleNotFound { rule: id })
    }

    /// Makes a rule. The service role's to do.
    ///
    /// # Errors
    /// A denial; [`StorageError::InvalidRequest`] with what is wrong with it; [`StorageError::BucketNotFound`],
    /// [`StorageError::ProviderNotFound`], [`StorageError::LifecycleRuleExists`].
    pub async fn create_lifecycle_rule(
        &self,
        context: &RlsContext,
        bucket: BucketName,
        spec: RuleSpec,
    ) -> Result<LifecycleRule, StorageError> {
        self.keep(context, LifecycleRule::new(bucket, RuleSource::Api, spec)).await
    }

    /// Puts another rule in place of one, or makes it. One that S3 or the configuration made is theirs to change. The service role's
    /// to do.
    ///
    /// # Errors
    /// As [`FileStorage::create_lifecycle_rule`].
    pub async fn set_lifecycle_rule(
        &self,
        context: &RlsContext,
        id: Uuid,
        bucket: BucketName,
        spec: RuleSpec,
    ) -> Result<LifecycleRule, StorageError> {
        let rule = LifecycleRule { id, ..LifecycleRule::new(bucket, RuleSource::Api, spec) };
        match self.lifecycle_rule(context, id).await {
            Ok(old) if old.source == RuleSource::Api => {
                self.keep(context, LifecycleRule { created_at: old.created_at, ..rule }).await
            }
            Ok(old) => {
                let message = match old.source {
                    RuleSource::S3 => "the rule was put by S3: put it there anew, or remove it here",
                    RuleSource::Api | RuleSource::Configuration => {
                        "the rule is one of the configuration: change it there"
                    }
                };
                Err(StorageError::InvalidRequest { message: message.to_owned() })
            }
            Err(StorageError::LifecycleRuleNotFound { .. }) => self.keep(context, rule).await,
            Err(error) => Err(error),
        }
    }

    async fn keep(&self, context: &RlsContext, rule: LifecycleRule) -> Result<LifecycleRule, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        rule.check()?;
        self.check_archive(context, &rule).await?;
        self.executor().set_lifecycle_rule(&access, &rule).await?;
        tracing::info!(rule = %rule.label(), bucket = %rule.bucket, "a lifecycle rule was set");
        Ok(rule)
    }

    /// Whether there is what a rule archives to.
    async fn check_archive(&self, context: &RlsContext, rule: &LifecycleRule) -> Result<(), StorageError> {
        match &rule.spec.archive_to {
            Some(ArchiveTarget::Provider(name)) if self.providers().get(name).is_none() => {
                Err(StorageError::ProviderNotFound { provider: name.as_str().into() })
            }
            Some(ArchiveTarget::Folder { bucket, .. }) => {
                self.bucket(context, &BucketName::parse(bucket)?).await.map(drop)
            }
            Some(ArchiveTarget::Provider(_)) | None => Ok(()),
        }
    }

    /// Removes a rule, whoever made it but the configuration. What it warned of is forgotten. The service role's to do.
    ///
    /// # Errors
    /// A denial; [`StorageError::LifecycleRuleNotFound`]; [`StorageError::InvalidRequest`] for one of the configuration.
    pub async fn remove_lifecycle_rule(&self, context: &RlsContext, id: Uuid) -> Result<(), StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        if self.options().lifecycle.rules.iter().any(|rule| rule.id == id) {
            let message = "the rule is one of the configuration: remove it there".to_owned();
            let refused = StorageError::InvalidRequest { message };
            let line = || Entry::of(&access, Action::Delete).subject(format!("lifecycle rule {id}"));
            self.tell_of_refusal(line, &refused).await;
            return Err(refused);
        }
        if !self.executor().remove_lifecycle_rule(&access, id).await? {
            return Err(StorageError::LifecycleRuleNotFound { rule: id });
        }
        tracing::info!(rule = %id, "a lifecycle rule was removed");
        Ok(())
    }

    /// The rules that S3 put for a bucket, for those who may change the bucket.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    pub async fn s3_lifecycle(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
    ) -> Result<Vec<LifecycleRule>, StorageError> {
        self.bucket_extra(context, bucket).await?;
        let access = self.maintain("show a bucket's lifecycle rules")?;
        let mut rules = self.executor().lifecycle_rules(&access, Some(bucket)).await?;
        rules.retain(|rule| rule.source == RuleSource::S3);
        Ok(rules)
    }

    /// Puts these rules in place of all that S3 put for a bucket. The service role's to do.
    ///
    /// # Errors
    /// A denial; [`StorageError::InvalidRequest`] with what is wrong with them; [`StorageError::BucketNotFound`].
    pub async fn replace_s3_lifecycle(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        specs: Vec<RuleSpec>,
    ) -> Result<(), StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        let made = specs.into_iter().map(|spec| LifecycleRule::new(bucket.clone(), RuleSource::S3, spec));
        let rules: Vec<LifecycleRule> = made.collect();
        rules.iter().try_for_each(LifecycleRule::check)?;
        self.executor().replace_lifecycle_rules(&access, bucket, RuleSource::S3, &rules).await?;
        tracing::info!(%bucket, rules = rules.len(), "a bucket's lifecycle configuration was put");
        Ok(())
    }

    /// Asks for a run of all rules, which goes on after this answers. A run that is not over yet is given back in place of a second one,
    /// but for one that only looks. The service role's to do.
    ///
    /// # Errors
    /// A denial; [`StorageError::LifecycleHeld`] while the clock can't be trusted, unless the run is forced or only looks.
    pub async fn run_lifecycle(
        &self,
        context: &RlsContext,
        dry_run: bool,
        force: bool,
    ) -> Result<Job, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        if !dry_run {
            if !force {
                self.check_clock(&access).await?;
            }
            for status in [JobStatus::Running, JobStatus::Pending] {
                let (status, kind) = (Some(status), Some(JobKind::Lifecycle));
                let listing = JobListing { status, kind, before: None, limit: 10 };
                let jobs = self.jobs(context, &listing).await?;
                if let Some(job) = jobs.into_iter().find(|job| !job.dry_run) {
                    return Ok(job);
                }
            }
        }
        let params = [("force".to_owned(), force.into())].into_iter().collect();
        self.start_job(context, JobKind::Lifecycle, params, dry_run).await
    }

    /// Takes the turn of the run that is due at this time, and asks for the run, where there are rules: both or neither. Nothing, where
    /// somebody has it.
    ///
    /// # Errors
    /// Those of the database, and [`StorageError::TooManyJobs`]: then the turn is still to be taken.
    pub(crate) async fn take_lifecycle_turn(&self, due: Timestamp) -> Result<(), StorageError> {
        let context = RlsContext::system("lifecycle");
        let (access, jobs) = (
            self.maintain("follow lifecycle rules")?,
            self.access(&context, Operation::ChangeJobs, None).await?,
        );
        let has_rules = !self.lifecycle_rules(&context, None).await?.is_empty();
        let params = [("force".to_owned(), false.into())].into_iter().collect();
        let job = NewJob { id: Uuid::now_v7(), kind: JobKind::Lifecycle, params, dry_run: false };
        let with = has_rules.then_some((&jobs, &job));
        if self.executor().take_lifecycle_turn(&access, due, with).await? && has_rules {
            tracing::info!(%due, "the run of lifecycle rules that is due was asked for");
            self.job_was_asked_for();
        }
        Ok(())
    }

    /// A run at its beginning, by the clock of now.
    ///
    /// # Errors
    /// [`StorageError::LifecycleHeld`] while the clock can't be trusted, unless the run is forced or only looks.
    pub(crate) async fn begin_lifecycle(
        &self,
        dry_run: bool,
        force: bool,
    ) -> Result<LifecycleRun, StorageError> {
        let access = self.maintain("follow lifecycle rules")?;
        if !dry_run && !force {
            self.check_clock(&access).await?;
        }
        Ok(LifecycleRun::new(dry_run))
    }

    async fn check_clock(&self, access: &Access) -> Result<(), StorageError> {
        match self.executor().lifecycle_clock(access, None).await?.held_until {
            Some(until) => Err(StorageError::LifecycleHeld { until }),
            None => Ok(()),
        }
    }
}
