//! Lists that are read again before somebody asks: those that are asked for most, after a change and after a start.
//!
//! ```text
//! ListCache   tells of each list that is asked for again
//!   → MostAsked    a bounded table: who asked for what, how often, lately
//!   → upkeep       one list after the other: its mark; and where that is another one, the list, as its caller
//!   → Notes        what of it outlives the process, in a file: lists of anon and of the service role
//! ```
//!
//! Why no answer can be wrong by it:
//!
//! - **What is read ahead is an answer like any other.** It is read through the same check of the caller's role, by the same statement, under the
//!   same predicates, as somebody asks for it; it is kept under the same key, with the mark that was told *before* it was read; and it is given only to
//!   who asks that question as that caller, after the database has told the same mark again. A list that is read ahead at a bad moment is one that
//!   is not given.
//! - **Nobody gets more for it.** What is kept for a caller who may no more see it has a mark that is told no more. To read as a caller, his
//!   context is kept, in the table alone and as long as his list is in it: not longer than his token is good, nor than lists are kept, from when he asked last.
//! - **The file opens nothing.** It has questions, and no answers; no user's, whose claims are nobody's to leave on a disk. A service token's claims are what a
//!   list is kept by, and prove nothing without its signature. Who could write into the file could have the server read lists, and would be
//!   given none.
//!
//! It is no access of the caller: the audit log has no line of it, and no figure of requests counts it.
//!
//! What it costs is bounded: one list at a time, and a rest many times as long as it took. A list that was read several times while nobody
//! asked goes out of the table, so that a bucket that is only written costs nothing in the end.

mod most_asked;
mod notes;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(in crate::storage) use most_asked::MostAsked;
pub(crate) use most_asked::Wanted;
pub(crate) use notes::Notes;

use super::list;
use crate::errors::StorageError;
use crate::permissions::Operation;
use crate::storage::{FileStorage, StorageOptions};

/// After that long without being asked for, a list is no more read ahead, however long answers are kept.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// Which lists are read before somebody asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmingOptions {
    /// Most lists; 0 for none.
    pub lists: usize,
    /// The file by which a start knows what was asked for before; `None`: it does not.
    pub notes: Option<Arc<Path>>,
    /// Time between two looks for what has changed, at least.
    pub pause: Duration,
}

impl Default for WarmingOptions {
    fn default() -> Self {
        Self { lists: 16, notes: None, pause: Duration::from_secs(1) }
    }
}

/// How many lists are read ahead: none where none are kept.
pub(in crate::storage) fn lists(options: &StorageOptions) -> usize {
    options.cache.filter(|cache| cache.max_bytes > 0).map_or(0, |_| options.warming.lists)
}

impl FileStorage {
    /// Whether lists are read ahead at all.
    pub(crate) fn warms_lists(&self) -> bool {
        lists(&self.options()) > 0
    }

    /// Waits until that may have changed.
    pub(crate) async fn warming_changed(&self) {
        self.inner.warming_changed.notified().await;
    }

    /// The lists that are asked for most, with their callers, those most asked for first.
    pub(crate) fn lists_to_warm(&self) -> Vec<Wanted> {
        let kept = self.options().cache.map_or(Duration::ZERO, |cache| cache.ttl);
        self.inner.most_asked.wanted(kept.min(FORGOTTEN))
    }

    /// Has a list be in memory as it is now, as its caller would be given it.
    ///
    /// # Errors
    /// Those of the database; that the caller may ask no more is none.
    pub(crate) async fn warm_list(&self, wanted: &Wanted) -> Result<(), StorageError> {
        let Some(cache) = self.inner.lists.load_full() else { return Ok(()) };
        let (question, most_asked) = (&wanted.question, &self.inner.most_asked);
        let (bucket, Some(listing)) = (question.bucket(), question.listing()) else { return Ok(()) };
        let access = match self.access(&wanted.caller, Operation::List, Some(bucket)).await {
            Ok(access) => access,
            Err(StorageError::AuthRequired(_) | StorageError::Unauthorized(_)) => {
                most_asked.forget(question);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let executor = self.executor();
        // IMPORTANT: before the list is read, as where somebody asks for it.
        let Some(mark) = executor.mark(&access, bucket).await? else {
            most_asked.forget(question);
            return Ok(());
        };
        if cache.has(question, &mark) {
            return Ok(());
        }
        self.hit("lists.warm").await?;
        // One that fails each time is given up as well.
        most_asked.warmed(question);
        let page = match list(&**executor, &access, bucket, listing).await {
            Ok(page) => page,
            // By a policy that fails.
            Err(StorageError::AuthRequired(_) | StorageError::Unauthorized(_)) => {
                most_asked.forget(question);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if cache.keep_answer(question, mark, &page) {
            metrics::counter!("storage_cache_warmed_total").increment(1);
        } else {
            // There is no room for it.
            most_asked.forget(question);
        }
        Ok(())
    }

    /// Has as many lists be read ahead as the options say.
    pub(in crate::storage) fn warm_lists(&self, options: &StorageOptions) {
        self.inner.most_asked.want(lists(options));
        self.inner.warming_changed.notify_one();
    }
}
