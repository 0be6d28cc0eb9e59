//! Lists that were answered before, kept in memory.
//!
//! A list is kept with the mark of its bucket ([`crate::executor::Mark`]) that the database told *before* the list was read. It
//! is given again only to the same caller, for the same question, after the database has told the same mark again. So:
//!
//! - **Nothing that is given is out of date**, whichever process wrote: an answer is what the database would say at a moment after
//!   the request came. There is nobody to be told of changes, and so no message that is late or lost, no race between a read and
//!   an invalidation, and nothing to clear when a connection breaks: where no mark is told, the database is asked for the list.
//! - **Nobody gets what another one was shown.** A caller is all that row-level security may look at: the role, the user, and every
//!   claim of the token. It is part of the key, as a digest: what is kept holds no claims. The permission check comes before
//!   this, as before every operation.
//! - **A change of policies, of a bucket or of an object holds at once**, as it does without a cache: all of them are in the mark. Where
//!   policies ask for the time, or were made by hand in the database, no mark is told, and nothing is kept.
//!
//! What a hit costs is the mark: one row by its key in SQLite, and in PostgreSQL one statement for all who ask at a time. So rows of single
//! objects are kept on PostgreSQL alone, where one that is looked up takes a transaction ([`rows`]).
//!
//! A list is kept when it is asked for again: most are read once, page by page, and would only push others out. The bound is in bytes.
//! What is older than the TTL goes; no answer depends on it.
//!
//! Those that are asked for most are also read before somebody asks, after a change and after a start: each is kept under the same
//! key, with the mark that was told before it was read, and given only after the same mark is told. So that can't make an
//! answer wrong (`warm/`).

mod page;
mod question;
mod rows;
mod warm;
mod weight;

use std::sync::Arc;
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::sync::Cache;

use super::FileStorage;
use crate::audit::{Action, Entry};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Executor, Listing, Mark};
use crate::file::StoredObject;
use crate::permissions::{Access, Permission};
pub use page::SharedPage;
use question::Question;
pub(crate) use warm::Notes;
pub use warm::WarmingOptions;
pub(super) use warm::{MostAsked, lists as lists_to_warm};

/// How much is kept, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheOptions {
    /// Most bytes of memory.
    pub max_bytes: u64,
    /// How long an answer is kept.
    pub ttl: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { max_bytes: 100_000_000, ttl: Duration::from_secs(300) }
    }
}

/// The lists that are kept, and rows of objects beside them: one bound for both.
pub(crate) struct ListCache {
    options: CacheOptions,
    kept: Cache<Arc<Question>, Kept>,
    /// Told of what is asked for again.
    asked: Arc<MostAsked>,
    readers: rows::Readers,
}

/// What is known of a question.
#[derive(Clone)]
enum Kept {
    /// That it was asked.
    Asked,
    /// That its answers can't be kept.
    Never,
    /// The answer, and the mark that was told before it was read.
    Answer { mark: Mark, page: Arc<SharedPage>, bytes: u32 },
    /// The same of an object.
    Row { mark: Mark, row: Arc<StoredObject>, bytes: u32 },
}

/// A list, and where it was.
pub(crate) enum Found {
    InDatabase(Arc<SharedPage>),
    InMemory(Arc<SharedPage>),
}

impl Found {
    /// The list, wherever it was.
    #[cfg(test)]
    pub(crate) fn page(self) -> Arc<SharedPage> {
        match self {
            Self::InDatabase(page) | Self::InMemory(page) => page,
        }
    }
}

impl ListCache {
    pub(crate) fn new(options: CacheOptions) -> Self {
        let kept = Cache::builder()
            .max_capacity(options.max_bytes)
            .time_to_live(options.ttl)
            .weigher(|question: &Arc<Question>, kept: &Kept| question.weight().saturating_add(kept.weight()))
            .eviction_listener(|question: Arc<Arc<Question>>, _, cause| match cause {
                RemovalCause::Size | RemovalCause::Expired => {
                    metrics::counter!("storage_cache_evictions_total", "kind" => question.kind())
                        .increment(1);
                }
                RemovalCause::Replaced | RemovalCause::Explicit => {}
            })
            .build();
        Self { options, kept, readers: rows::Readers::default(), asked: Arc::new(MostAsked::new(0)) }
    }

    /// The same, of which this table learns what is asked for again.
    fn telling(self, asked: Arc<MostAsked>) -> Self {
        Self { asked, ..self }
    }

    /// A list, from memory where that is as good as from the database.
    pub(crate) async fn list(
        &self,
        executor: &dyn Executor,
        access: &Access,
        bucket: &BucketName,
        listing: &Listing,
    ) -> Result<Found, StorageError> {
        let context = access.on_rows(Permission::ObjectRead, Some(bucket))?;
        let question = Question::new(context, bucket, listing);
        let read = || async { list(executor, access, bucket, listing).await.map(Found::InDatabase) };
        let kept = match self.kept.get(&question) {
            None => {
                count_miss(&question);
                self.keep(question, Kept::Asked);
                return read().await;
            }
            Some(Kept::Never) => {
                count_miss(&question);
                return read().await;
            }
            Some(kept) => kept,
        };
        // IMPORTANT: before the list is read. What is written from here on has another mark.
        let mark = match executor.mark(access, bucket).await {
            Ok(Some(mark)) => mark,
            Ok(None) => {
                count_miss(&question);
                self.keep(question, Kept::Never);
                return read().await;
            }
            // A database that does not answer says so itself.
            Err(_) => {
                count_miss(&question);
                return read().await;
            }
        };
        if let Kept::Answer { mark: known, page, .. } = kept {
            if known == mark {
                self.asked.note(&question, context);
                count_hit(&question);
                return Ok(Found::InMemory(page));
            }
            count_invalidation(&question);
        }
        count_miss(&question);
        let page = list(executor, access, bucket, listing).await?;
        self.keep_answer(&question, mark, &page);
        // Now that it is kept: nobody need read it ahead besides.
        self.asked.note(&question, context);
        Ok(Found::InDatabase(page))
    }

    /// Keeps an answer with the mark that was told before it was read; whether there was room for it.
    fn keep_answer(&self, question: &Arc<Question>, mark: Mark, page: &Arc<SharedPage>) -> bool {
        let bytes = weight::of_page(page);
        self.keep(question.clone(), Kept::Answer { mark, page: page.clone(), bytes });
        // What it pushes out goes at once, and not some answers later.
        self.kept.run_pending_tasks();
        self.measure();
        self.kept.contains_key(question)
    }

    /// Whether the answer is kept that goes with this mark.
    fn has(&self, question: &Arc<Question>, mark: &Mark) -> bool {
        matches!(self.kept.get(question), Some(Kept::Answer { mark: known, .. }) if known == *mark)
    }

    fn keep(&self, question: Arc<Question>, kept: Kept) {
        self.kept.insert(question, kept);
    }

    fn measure(&self) {
        metrics::gauge!("storage_cache_bytes").set(self.kept.weighted_size() as f64);
        metrics::gauge!("storage_cache_entries").set(self.kept.entry_count() as f64);
    }
}

impl Kept {
    fn weight(&self) -> u32 {
        let own = u32::try_from(size_of::<Self>()).unwrap_or(u32::MAX);
        match self {
            Self::Asked | Self::Never => own,
            Self::Answer { mark, bytes, .. } | Self::Row { mark, bytes, .. } => {
                let mark = u32::try_from(mark.weight()).unwrap_or(u32::MAX);
                own.saturating_add(mark).saturating_add(*bytes)
            }
        }
    }
}

fn count_hit(question: &Question) {
    metrics::counter!("storage_cache_hits_total", "kind" => question.kind()).increment(1);
}

fn count_miss(question: &Question) {
    metrics::counter!("storage_cache_misses_total", "kind" => question.kind()).increment(1);
}

fn count_invalidation(question: &Question) {
    metrics::counter!("storage_cache_invalidations_total", "kind" => question.kind()).increment(1);
}

impl FileStorage {
    /// A list under an access to it, from the cache where there is one.
    pub(super) async fn cached_list(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &Listing,
    ) -> Result<Arc<SharedPage>, StorageError> {
        let executor = self.executor();
        let found = match &*self.inner.lists.load() {
            Some(cache) => cache.list(&**executor, access, bucket, listing).await?,
            None => Found::InDatabase(list(&**executor, access, bucket, listing).await?),
        };
        match found {
            Found::InDatabase(page) => Ok(page),
            Found::InMemory(page) => {
                let line = || {
                    let listed = Entry::of(access, Action::List).listed(bucket, &listing.prefix);
                    listed.count(page.entries.len() as u64)
                };
                self.tell_of_read(access, line).await;
                Ok(page)
            }
        }
    }

    /// Has lists be kept as these options say. What was kept under others is gone.
    pub(super) fn keep_lists(&self, options: Option<CacheOptions>) {
        let now = self.inner.lists.load();
        if now.as_ref().map(|cache| cache.options) != options {
            self.inner.lists.store(cache(options, &self.inner.most_asked));
        }
    }
}

async fn list(
    executor: &dyn Executor,
    access: &Access,
    bucket: &BucketName,
    listing: &Listing,
) -> Result<Arc<SharedPage>, StorageError> {
    let page = executor.list_objects(access, bucket, listing).await?;
    Ok(Arc::new(page.into()))
}

/// A cache, where there is to be one.
pub(super) fn cache(options: Option<CacheOptions>, asked: &Arc<MostAsked>) -> Option<Arc<ListCache>> {
    let cache = options.filter(|options| options.max_bytes > 0).map(ListCache::new);
    let cache = cache.map(|cache| Arc::new(cache.telling(asked.clone())));
    match &cache {
        Some(cache) => cache.measure(),
        None => {
            metrics::gauge!("storage_cache_bytes").set(0.0);
            metrics::gauge!("storage_cache_entries").set(0.0);
        }
    }
    cache
}
