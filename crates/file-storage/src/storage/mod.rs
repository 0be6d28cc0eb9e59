//! [`FileStorage`]: the one entry to every operation, for every protocol.
//!
//! Each method checks the caller's permission for an [`Operation`], and works with the [`Access`] that the check
//! gives: rows through the [`Executor`], bytes through the [`Providers`]. A denied request touches no backend.
//! Knows no protocol, no SQL and no path on a disk.

mod adopt;
mod batch;
mod blobs;
mod buckets;
mod cache;
mod carry;
mod commit;
mod copies;
mod copy;
mod credentials;
mod delete;
mod displaced;
mod download;
mod events;
mod extra;
mod fallback;
mod folders;
mod follow;
mod head;
mod jobs;
mod leases;
mod lifecycle;
mod limits;
mod list;
mod multipart;
mod options;
mod policies;
mod query;
mod queue;
mod quotas;
mod relocate;
mod resumable;
mod scrub;
mod sign;
mod spool;
mod switches;
mod telemetry;
mod turns;
mod upload;
mod usage;
mod versions;
mod webhooks;
mod weigh;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::audit::{AuditLog, Entry, Outcome};
use crate::backend::provider::ProviderStatus;
use crate::backend::registry::Providers;
use crate::bucket::BucketName;
use crate::credentials::CredentialKey;
use crate::errors::StorageError;
use crate::executor::{Backlog, Executor, WatchedExecutor};
use crate::failpoint;
use crate::permissions::{Access, AccessRules, AnonGrants, Operation, RlsContext};
use crate::quota::QuotaSettings;
use crate::signed_url::SigningKeys;

pub use adopt::{AdoptRequest, AdoptSource};
pub use batch::{Batch, BatchItem};
pub use cache::{CacheOptions, SharedPage, WarmingOptions};
pub use copy::CopyOptions;
pub use delete::DeletedTogether;
pub use download::{Download, DownloadBody};
pub use events::{Delivery, EventFilter, StartAt, Subscription};
pub use folders::{Folder, FolderWay};
pub use lifecycle::{ActionTotals, LifecycleReport, LifecycleRun, ReportedAction, RuleTotals};
pub use multipart::{CompleteOptions, MultipartOptions, PartBody, PartSource};
pub use options::{
    BatchOptions, EventOptions, JobOptions, LifecycleOptions, QueryOptions, QueueOptions, ScrubOptions,
    StorageOptions,
};
pub use query::QueryRequest;
pub use queue::{MigrationRequest, MigrationTotals};

pub use policies::PolicyChange;
pub use resumable::{Progress, Uploader};
pub use scrub::{ScrubProblem, ScrubRequest};
pub use sign::{SignOptions, SignedToken};
pub use upload::PendingUpload;
pub use usage::UsageTold;

pub(crate) use adopt::{Adopted, Adoption};
use cache::MostAsked;
pub(crate) use cache::{ListCache, Notes};
pub(crate) use carry::CarryFault;
use credentials::KnownCredentials;
use events::Feed;
pub(crate) use leases::Leases;
use resumable::Writers;
use scrub::Pace;
pub(crate) use scrub::{Repair, Verdict};
use spool::SpoolLoad;
use switches::Switches;
use telemetry::BucketLabels;
use turns::Turns;
use usage::KeptUsage;
pub(crate) use weigh::{How, Passage, QuotaSums, Weight};

/// File storage for applications: buckets and objects under row-level security.
///
/// Cheap to clone; all clones are one storage.
#[derive(Clone)]
pub struct FileStorage {
    inner: Arc<Inner>,
}

struct Inner {
    executor: Arc<dyn Executor>,
    /// What is told of all that goes through the executor, where there is such a log.
    audit: Option<AuditLog>,
    providers: Providers,
    /// May be others at any time: whoever needs them twice keeps what they loaded.
    signing_keys: ArcSwap<SigningKeys>,
    credential_key: CredentialKey,
    known_credentials: KnownCredentials,
    options: ArcSwap<StorageOptions>,
    failpoints: failpoint::Scope,
    leases: Leases,
    /// Lists that were answered before.
    lists: ArcSwapOption<ListCache>,
    /// Which of them are asked for most.
    most_asked: Arc<MostAsked>,
    /// Rung when it may be another number of them that is read ahead.
    warming_changed: Notify,
    labels: BucketLabels,
    /// Requests that append to uploads.
    writers: Writers,
    /// Whose queries run.
    query_turns: Turns,
    /// Commits that go on though their caller has gone; waited for when the storage closes.
    commits: TaskTracker,
    /// Rung when blobs were queued for deletion.
    deletions_queued: Notify,
    /// What subscribers of events share.
    feed: Feed,
    /// Rung when there is something for who delivers to webhooks.
    webhooks_rung: Notify,
    /// Rung when there is something for who works the upload queue.
    uploads_queued: Notify,
    /// Rung when copies were found to be lacking.
    copies_lacking: Notify,
    /// Rung when somebody asked for a job.
    jobs_changed: Notify,
    /// How full the spool is.
    spool: SpoolLoad,
    /// Switches of providers that are not written down yet.
    switches: Switches,
    /// How fast blobs are verified.
    scrub_pace: Pace,
    /// What was told of usage lately.
    usage: KeptUsage,
}

impl FileStorage {
    /// Puts a storage together. Call [`FileStorage::recover`] before the first operation.
    pub fn new(
        executor: Arc<dyn Executor>,
        providers: impl Into<Providers>,
        signing_keys: SigningKeys,
        credential_key: CredentialKey,
        options: StorageOptions,
    ) -> Self {
        Self::assemble((executor, None), providers.into(), signing_keys, credential_key, options)
    }

    /// The same, of a storage that is watched: an audit log has a line of all that is done, where there is one, and what the
    /// database is asked are spans, where requests are traced.
    pub fn watched(
        executor: Arc<dyn Executor>,
        audit: Option<AuditLog>,
        providers: impl Into<Providers>,
        signing_keys: SigningKeys,
        credential_key: CredentialKey,
        options: StorageOptions,
    ) -> Self {
        let executor = Arc::new(WatchedExecutor::new(executor, audit.clone()));
        Self::assemble((executor, audit), providers.into(), signing_keys, credential_key, options)
    }

    fn assemble(
        (executor, audit): (Arc<dyn Executor>, Option<AuditLog>),
        providers: Providers,
        signing_keys: SigningKeys,
        credential_key: CredentialKey,
        options: StorageOptions,
    ) -> Self {
        let most_asked = Arc::new(MostAsked::new(cache::lists_to_warm(&options)));
        let lists = cache::cache(options.cache, &most_asked);
        Self {
            inner: Arc::new(Inner {
                audit,
                query_turns: Turns::new(options.query.per_caller),
                feed: Feed::new(options.events),
                executor,
                providers,
                signing_keys: ArcSwap::from_pointee(signing_keys),
                credential_key,
                known_credentials: KnownCredentials::default(),
                failpoints: options.failpoints.clone(),
                options: ArcSwap::from_pointee(options),
                leases: Leases::default(),
                lists: ArcSwapOption::new(lists),
                most_asked,
                warming_changed: Notify::new(),
                labels: BucketLabels::default(),
                writers: Writers::default(),
                commits: TaskTracker::new(),
                deletions_queued: Notify::new(),
                webhooks_rung: Notify::new(),
                uploads_queued: Notify::new(),
                copies_lacking: Notify::new(),
                jobs_changed: Notify::new(),
                spool: SpoolLoad::default(),
                switches: Switches::default(),
                scrub_pace: Pace::default(),
                usage: KeptUsage::default(),
            }),
        }
    }

    /// Finishes or undoes what a crash interrupted: blobs that were written and whose metadata was, or was not,
    /// committed. Gives the number of blobs that were looked at.
    ///
    /// # Errors
    /// Those of the database and the provider: then the storage must not serve.
    pub async fn recover(&self) -> Result<usize, StorageError> {
        let access = self.maintain("start-up check")?;
        let mut looked_at = 0;
        for provider in self.providers().all() {
            let (provider, name) = (provider.backend(), provider.name());
            let keys = provider.recover().await.map_err(|error| error.into_storage_error(name))?;
            let known = self.executor().known_blobs(&access, &keys).await?;
            for key in &keys {
                let kept = known.contains(key);
                tracing::info!(blob = %key, kept, "settled a blob that a crash left unsettled");
                provider.settle(key, kept).await;
            }
            looked_at += keys.len();
        }
        Ok(looked_at)
    }

    /// Whether the database answers, and one of the providers that new bytes may go to. A remote one is not asked: what the
    /// last look at it told holds ([`crate::health`]).
    ///
    /// # Errors
    /// What the database says, or the first of the providers.
    pub async fn check_ready(&self) -> Result<(), StorageError> {
        self.inner.executor.ping().await?;
        let mut outcome = Ok(());
        for provider in self.providers().for_new_blobs() {
            match provider.check().await {
                Ok(()) => return Ok(()),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    /// Asks the database whether it answers.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn check_database(&self) -> Result<(), StorageError> {
        self.inner.executor.ping().await
    }

    /// How much upkeep has to do, for those who watch the server.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn backlog(&self) -> Result<Backlog, StorageError> {
        let access = self.maintain("look at the backlog")?;
        self.inner.executor.backlog(&access).await
    }

    /// Whether there is room for what is written, as far as the metadata's disk is ours.
    ///
    /// # Errors
    /// [`StorageError::DiskFull`] while only deletions go on.
    pub fn check_room(&self) -> Result<(), StorageError> {
        self.executor().check_room()
    }

    /// Asks the active provider how it is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn probe_active(&self) -> Result<(), StorageError> {
        let active = self.providers().active();
        active.probe().await.map_err(|error| error.into_storage_error(active.name()))
    }

    /// How all providers are, as far as is known, in the order of their names.
    pub fn provider_statuses(&self) -> Vec<ProviderStatus> {
        self.providers().all().map(|provider| provider.status()).collect()
    }

    /// How a provider is, as far as is known.
    ///
    /// # Errors
    /// [`StorageError::ProviderNotFound`].
    pub fn provider_status(&self, name: &str) -> Result<ProviderStatus, StorageError> {
        let provider = self.providers().get(name);
        let missing = || StorageError::ProviderNotFound { provider: name.into() };
        provider.map(|provider| provider.status()).ok_or_else(missing)
    }

    /// Name of the provider that new blobs go to: the active one or, while that is not well, the first that stands by for it
    /// and is.
    pub fn provider(&self) -> &Arc<str> {
        self.providers().target().name()
    }

    /// Name of the active provider, whether it is well or not.
    pub fn active_provider(&self) -> &Arc<str> {
        self.providers().active().name()
    }

    /// The options in force.
    pub fn options(&self) -> Arc<StorageOptions> {
        self.inner.options.load_full()
    }

    /// Puts other options and other keys of URLs in force, for what begins from now on. How many queries of a caller run at once
    /// stays as it was, and so do failpoints.
    pub fn reconfigure(&self, options: StorageOptions, signing_keys: SigningKeys) {
        self.keep_lists(options.cache);
        self.limit_subscribers(options.events);
        let options = Arc::new(options);
        self.inner.options.store(options.clone());
        self.warm_lists(&options);
        self.inner.signing_keys.store(Arc::new(signing_keys));
    }

    /// Has quotas that nobody set by themselves, and what is done where one does not suffice. All servers of the database share it.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn configure_quotas(&self, settings: &QuotaSettings) -> Result<(), StorageError> {
        self.inner.executor.configure_quotas(settings).await
    }

    /// Waits for commits whose callers have gone and for what goes on in the providers, and closes the database.
    pub async fn close(&self) {
        self.end_subscriptions();
        self.inner.commits.close();
        self.inner.commits.wait().await;
        self.providers().drain().await;
        self.inner.executor.close().await;
        if let Some(audit) = &self.inner.audit {
            audit.close().await;
        }
    }

    /// Announces a point at which a test may make an operation fail.
    pub(crate) async fn hit(&self, point: &'static str) -> Result<(), StorageError> {
        self.inner.failpoints.hit_async(point).await.map_err(|source| StorageError::Internal {
            context: format!("failpoint {point}"),
            source: Some(Arc::new(source)),
        })
    }

    /// The permission check of an operation: the only door to the executor. Only for anon do policies widen what a role
    /// may ask for at all: they are asked for where that could matter, and for nobody else.
    async fn access(
        &self,
        context: &RlsContext,
        operation: Operation<'_>,
        bucket: Option<&BucketName>,
    ) -> Result<Access, StorageError> {
        let rules = self.inner.options.load().access_rules;
        let under = |anon_by_policy| {
            Access::check(context, operation, bucket, AccessRules { anon_by_policy, ..rules })
        };
        let outcome = match under(AnonGrants::default()) {
            Err(_) if under(AnonGrants::most()).is_ok() => under(self.executor().anon_grants().await?),
            outcome => outcome,
        };
        if let (Err(error), Some(audit)) = (&outcome, &self.inner.audit)
            && audit.keeps_all()
            && !context.is_system()
        {
            let entry = Entry::by(context, operation.name());
            let entry = bucket.map_or_else(|| entry.clone(), |bucket| entry.clone().bucket(bucket));
            audit.note(entry.failed(error)).await;
        }
        outcome
    }

    /// Has the audit log know of an answer that was kept, and that the executor was not asked for: as of any other, but not of what
    /// the server asks for itself.
    async fn tell_of_read(&self, access: &Access, line: impl FnOnce() -> Entry) {
        if let Some(audit) = self.inner.audit.as_ref().filter(|audit| audit.keeps_all())
            && !access.context().is_system()
        {
            audit.note(line().ended(Outcome::Ok)).await;
        }
    }

    /// Has the audit log know of what was refused without the executor having been asked, where refusals are wanted.
    async fn tell_of_refusal(&self, line: impl FnOnce() -> Entry, error: &StorageError) {
        if let Some(audit) = self.inner.audit.as_ref().filter(|audit| audit.keeps_all()) {
            audit.note(line().failed(error)).await;
        }
    }

    /// Whether the caller's role may ask for such a thing at all, so that what it sends along need not be read where it may
    /// not. Rows are not looked at: the operation itself decides.
    ///
    /// # Errors
    /// A denial, and those of the database.
    pub async fn may_ask(
        &self,
        context: &RlsContext,
        operation: Operation<'_>,
        bucket: Option<&BucketName>,
    ) -> Result<(), StorageError> {
        self.access(context, operation, bucket).await.map(drop)
    }

    /// Access for the server's own upkeep, under the service role.
    pub(crate) fn maintain(&self, purpose: &'static str) -> Result<Access, StorageError> {
        let rules = self.inner.options.load().access_rules;
        Access::check(&RlsContext::system(purpose), Operation::Maintain, None, rules)
    }

    pub(crate) fn executor(&self) -> &Arc<dyn Executor> {
        &self.inner.executor
    }

    pub(crate) fn providers(&self) -> &Providers {
        &self.inner.providers
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.inner.leases
    }

    /// Says that blobs were queued for deletion.
    pub(crate) fn ring_deletions(&self) {
        self.inner.deletions_queued.notify_one();
    }

    /// Waits until blobs are queued for deletion.
    pub(crate) async fn deletions_queued(&self) {
        self.inner.deletions_queued.notified().await;
    }

    /// Says that the upload queue has something to do.
    pub(crate) fn ring_queue(&self) {
        self.inner.uploads_queued.notify_one();
    }

    /// Waits until the upload queue has something to do.
    pub(crate) async fn uploads_queued(&self) {
        self.inner.uploads_queued.notified().await;
    }

    /// How full the spool is.
    pub(crate) fn spool(&self) -> &SpoolLoad {
        &self.inner.spool
    }

    /// How fast blobs are verified.
    fn scrub_pace(&self) -> &Pace {
        &self.inner.scrub_pace
    }
}
