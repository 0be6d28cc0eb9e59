//! Whether a place is the one that the database means by a provider's name.
//!
//! Servers that share a database must also share the places that take bytes, or hold them: what lies on one server's own
//! disk the others can't read, and their orphan jobs would take its rows for lost. And a directory that is not mounted looks like
//! one that has lost everything. Nor may two databases share a place: each takes what the other keeps there for orphans. So each
//! place has an identity, in a word of its own (a file, or an object) and in a row; where they differ, a server does not start. What
//! neither takes nor holds bytes may differ: it is no provider of that server.

mod error;
mod sampling;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::Timestamp;
use crate::backend::BackendError;
use crate::backend::place::Place;
use crate::errors::StorageError;
use crate::executor::Executor;
use crate::file::BlobKey;
use crate::permissions::{Access, AccessRules, Operation, RlsContext};

pub use error::{Elsewhere, IdentityError};
pub(crate) use sampling::{SAMPLES, Sampling};

/// How long a place on another machine may take to say which one it is, before a start goes on without.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one that has just said so may take to find some of the samples, a hundred and more where none is there.
const SAMPLES_PATIENCE: Duration = Duration::from_secs(30);

/// How often, and how long after each other, the database is asked for what another server may just be writing.
const LOOKS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(250);

/// A place that is to be a provider.
pub struct NamedPlace {
    /// The provider's name.
    pub provider: Arc<str>,
    /// Where it is.
    pub place: Arc<dyn Place>,
    /// Whether new bytes may go there: it is the active one, stands by for it, keeps copies, or is the
    /// spool.
    pub takes_bytes: bool,
}

/// What a database knows of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Which place it means.
    pub identity: Option<Uuid>,
    /// Whether it knows blobs there.
    pub is_named: bool,
    /// Some of them.
    pub samples: Vec<BlobKey>,
}

/// What a place is to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The one that the database means.
    Meant,
    /// The one that it means, though nothing there says so any more.
    Forgotten(Uuid),
    /// One that nobody has said anything about.
    New,
    /// One that says who it is where the database doesn't, and has its blobs.
    Said(Uuid),
    /// Another server's, which this one can do without: nothing may be read or written there.
    Foreign,
}

/// Says what a place is, from what the database knows and the place itself says. `sole`: this server has the database to itself.
/// Changes nothing.
///
/// # Errors
/// [`IdentityError`], where a server must not start.
pub async fn judge(
    named: &NamedPlace,
    known: &Known,
    found: Option<Uuid>,
    sole: bool,
) -> Result<Verdict, IdentityError> {
    let place = &*named.place;
    let needs = named.takes_bytes || known.is_named;
    match (known.identity, found) {
        (Some(meant), Some(found)) if meant == found => Ok(Verdict::Meant),
        (Some(meant), found) => {
            // Of a server that has the database to itself nobody else's disk is meant, and a bucket is the same for all of them: what
            // is empty may be elsewhere now, and what came back without its word is told by its blobs.
            let may_be_ours = found.is_none() && (sole || place.is_remote());
            if may_be_ours && (!known.is_named || named.has_samples(known).await?) {
                return Ok(Verdict::Forgotten(meant));
            }
            if !needs {
                return Ok(Verdict::Foreign);
            }
            let named = (&named.provider, place);
            Err(IdentityError::Elsewhere(Elsewhere::new(named, meant, found, known.is_named)))
        }
        // A word may be another database's: which one the place is, only its blobs tell.
        (None, _) if !known.samples.is_empty() && !named.has_samples(known).await? => {
            Err(IdentityError::Empty {
                provider: named.provider.clone(),
                shown: place.shown(),
                is_remote: place.is_remote(),
            })
        }
        (None, Some(found)) if known.is_named => Ok(Verdict::Said(found)),
        (None, Some(_)) if !needs && !sole => Ok(Verdict::Foreign),
        (None, Some(found)) => {
            Err(IdentityError::Unknown { provider: named.provider.clone(), shown: place.shown(), found })
        }
        (None, None) => Ok(Verdict::New),
    }
}

impl NamedPlace {
    /// Which one it is, as it says itself.
    ///
    /// # Errors
    /// [`IdentityError::Place`].
    pub async fn identity(&self) -> Result<Option<Uuid>, IdentityError> {
        self.within(self.place.identity()).await
    }

    /// Whether some of the blobs are there that the database knows there. Asked of a place that has answered: one that is too slow for
    /// this one is not absent, and nobody knows whether it is the right one.
    async fn has_samples(&self, known: &Known) -> Result<bool, IdentityError> {
        let asked = self.place.has_any(&known.samples);
        let answer = if self.place.is_remote() {
            let late = |_| IdentityError::Slow {
                provider: self.provider.clone(),
                shown: self.place.shown(),
                limit: SAMPLES_PATIENCE,
            };
            timeout(SAMPLES_PATIENCE, asked).await.map_err(late)?
        } else {
            asked.await
        };
        answer.map_err(|error| self.failed(error))
    }

    async fn within<T>(
        &self,
        asked: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, IdentityError> {
        let answer = if self.place.is_remote() {
            let late = BackendError::TimedOut { operation: "identify", limit: PATIENCE };
            timeout(PATIENCE, asked).await.unwrap_or(Err(late))
        } else {
            asked.await
        };
        answer.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: BackendError) -> IdentityError {
        IdentityError::Place { provider: self.provider.clone(), word: self.place.word(), error }
    }
}

/// Looks whether a place is the one that the database means, and says so where nobody has yet. `sole`: this server has the
/// database to itself. `false` where it is another one, and this server can do without it: then nothing may be read or written there.
///
/// # Errors
/// [`IdentityError`], where this server must not start. A place on another machine that does not answer is no such reason.
pub async fn settle(executor: &dyn Executor, named: &NamedPlace, sole: bool) -> Result<bool, IdentityError> {
    let settled = Settling { executor, access: maintenance()?, named, sole }.settle().await;
    match settled {
        Err(IdentityError::Place { word, error, .. }) if named.place.is_remote() && !is_wrong(&error) => {
            let provider = &*named.provider;
            tracing::warn!(provider, word, %error, "which place the provider is could not be asked; the next start does");
            Ok(true)
        }
        settled => settled,
    }
}

/// Has a place belong to the database, whatever it said before. Gives that, and which one it is now.
///
/// # Errors
/// [`IdentityError::Place`], [`IdentityError::Database`].
pub async fn take_over(
    executor: &dyn Executor,
    named: &NamedPlace,
) -> Result<(Option<Uuid>, Uuid), IdentityError> {
    let access = maintenance()?;
    // What is there is no UUID, perhaps: it goes.
    let before = match named.identity().await {
        Err(IdentityError::Place { error, .. }) if is_wrong(&error) => None,
        before => before?,
    };
    let fresh = Uuid::new_v4();
    let meant = executor.provider_identity(&access, &named.provider, Some(fresh)).await?.unwrap_or(fresh);
    if before != Some(meant) {
        named.within(named.place.identify_anew(meant)).await?;
    }
    Ok((before, meant))
}

/// Since when a place says that it is the one which the database means by a provider's name. `None` where it says something else, or
/// nothing, or does not answer: then nothing is sure.
///
/// # Errors
/// Those of the database.
pub(crate) async fn ours_since(
    executor: &dyn Executor,
    access: &Access,
    provider: &str,
    place: &dyn Place,
) -> Result<Option<Timestamp>, StorageError> {
    let Some(meant) = executor.provider_identity(access, provider, None).await? else { return Ok(None) };
    let late = BackendError::TimedOut { operation: "identify", limit: PATIENCE };
    match timeout(PATIENCE, place.identified()).await.unwrap_or(Err(late)) {
        Ok(found) => Ok(found.filter(|(said, _)| *said == meant).map(|(_, since)| since)),
        Err(error) => {
            tracing::warn!(provider, word = place.word(), %error, "which place the provider is could not be asked");
            Ok(None)
        }
    }
}

/// Whether a place answers, and what it says can't be.
pub fn is_wrong(error: &BackendError) -> bool {
    matches!(error, BackendError::Io { .. })
}

fn maintenance() -> Result<Access, StorageError> {
    let context = RlsContext::system("which place a provider is");
    Access::check(&context, Operation::Maintain, None, AccessRules::default())
}

struct Settling<'a> {
    executor: &'a dyn Executor,
    access: Access,
    named: &'a NamedPlace,
    sole: bool,
}

impl Settling<'_> {
    async fn settle(&self) -> Result<bool, IdentityError> {
        let found = self.named.identity().await?;
        let meant = self.meant_now(found).await?;
        if meant.is_some() && meant == found {
            return Ok(true);
        }
        let known = self.known(meant).await?;
        match judge(self.named, &known, found, self.sole).await? {
            Verdict::Meant => Ok(true),
            Verdict::Foreign => {
                tracing::info!(
                    provider = self.name(),
                    place = self.named.place.shown(),
                    "another server's place has this name; it is no provider of this server, which does without it"
                );
                Ok(false)
            }
            Verdict::Forgotten(meant) => {
                tracing::warn!(
                    provider = self.name(),
                    place = self.named.place.shown(),
                    "nothing there says which one it is; it is taken in"
                );
                self.mark(meant, &known).await
            }
            Verdict::Said(found) => {
                // The next start writes the row.
                let Some(meant) = self.said(found).await? else { return Ok(true) };
                self.agree(meant, found, &known).await
            }
            Verdict::New => self.first(&known).await,
        }
    }

    /// Which one the database means. Where it does not say, and the place does, another server may be about to write it.
    async fn meant_now(&self, found: Option<Uuid>) -> Result<Option<Uuid>, StorageError> {
        for _ in 0..LOOKS {
            let meant = self.executor.provider_identity(&self.access, self.name(), None).await?;
            let may_come = found.is_some() && !self.sole;
            if meant.is_some() || !may_come || self.executor.is_named(&self.access, self.name()).await? {
                return Ok(meant);
            }
            sleep(PAUSE).await;
        }
        self.executor.provider_identity(&self.access, self.name(), None).await
    }

    /// Nobody has said which one it is.
    async fn first(&self, known: &Known) -> Result<bool, IdentityError> {
        let fresh = Uuid::new_v4();
        // A disk that servers don't share tells itself from the others by its word, so that is written first. Elsewhere the row is: what
        // a crash leaves is then a place that has nothing, and can be taken in.
        if !self.sole && !self.named.place.is_remote() {
            let identity = match self.named.place.identify(fresh).await {
                Ok(identity) => identity,
                Err(error) => return self.unless_full(error),
            };
            let Some(meant) = self.said(identity).await? else {
                // A word without a row would be another database's at the next start.
                let withdrawn = self.named.place.withdraw(fresh).await;
                return withdrawn.map(|()| true).map_err(|error| self.named.failed(error));
            };
            return self.agree(meant, identity, known).await;
        }
        let Some(meant) = self.said(fresh).await? else { return Ok(true) };
        self.mark(meant, known).await
    }

    /// Writes the place's word.
    async fn mark(&self, meant: Uuid, known: &Known) -> Result<bool, IdentityError> {
        match self.named.within(self.named.place.identify(meant)).await {
            Ok(found) => self.agree(meant, found, known).await,
            Err(IdentityError::Place { error, .. }) => self.unless_full(error),
            Err(other) => Err(other),
        }
    }

    /// Writes the row; gives the identity that counts. `None` where the database has no room for it, which is no reason not to start:
    /// then no word may stay that this start wrote.
    async fn said(&self, identity: Uuid) -> Result<Option<Uuid>, IdentityError> {
        match self.executor.provider_identity(&self.access, self.name(), Some(identity)).await {
            Err(StorageError::DiskFull { .. }) => {
                tracing::warn!(
                    provider = self.name(),
                    "the database's disk is full: which place the provider is could not be written; the next start does"
                );
                Ok(None)
            }
            meant => Ok(Some(meant?.unwrap_or(identity))),
        }
    }

    /// Another server, or database, may have been faster.
    async fn agree(&self, meant: Uuid, found: Uuid, known: &Known) -> Result<bool, IdentityError> {
        let known = Known { identity: Some(meant), ..known.clone() };
        Ok(judge(self.named, &known, Some(found), self.sole).await? != Verdict::Foreign)
    }

    async fn known(&self, identity: Option<Uuid>) -> Result<Known, StorageError> {
        let is_named = self.executor.is_named(&self.access, self.name()).await?;
        let samples = if is_named { self.samples().await? } else { Vec::new() };
        Ok(Known { identity, is_named, samples })
    }

    /// Some blobs and copies of each of some buckets.
    async fn samples(&self) -> Result<Vec<BlobKey>, StorageError> {
        let (mut blobs, mut copies) = (Sampling::new(), Sampling::new());
        while blobs.goes_on() {
            let page = self.executor.segment_blobs(&self.access, self.name(), blobs.after(), SAMPLES).await?;
            blobs.take(page.into_iter().map(|blob| blob.key));
        }
        while copies.goes_on() {
            let page = self.executor.blob_copies(&self.access, self.name(), copies.after(), SAMPLES).await?;
            copies.take(page.into_iter().map(|copy| copy.key));
        }
        Ok([blobs.into_samples(), copies.into_samples()].concat())
    }

    /// A full disk is no reason not to start: deletions must go on. The next start says which directory it is.
    fn unless_full(&self, error: BackendError) -> Result<bool, IdentityError> {
        match error {
            BackendError::DiskFull => {
                tracing::warn!(
                    provider = self.name(),
                    word = self.named.place.word(),
                    "the disk is full: what says which place it is could not be written"
                );
                Ok(true)
            }
            other => Err(self.named.failed(other)),
        }
    }

    fn name(&self) -> &str {
        &self.named.provider
    }
}
