//! Why a place can't be the provider that it is to be, in words for operators.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::backend::BackendError;
use crate::backend::place::Place;
use crate::errors::StorageError;

/// Why a place can't be the provider that it is to be.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It is another one than the database means.
    #[error("{}", elsewhere(.0))]
    Elsewhere(Box<Elsewhere>),
    /// It has an identity that the database does not know, and the database knows no blobs there.
    #[error(
        "the provider '{provider}' {shown} belongs to another database: it is {found}, which this database does not know. If this \
         database is new by mistake, or was lost, bring the old one back (`aerostore backup restore`, or a copy of it). If nobody \
         else uses that place any more, `aerostore take-over {provider}` has it belong to this database"
    )]
    Unknown {
        /// The provider's name.
        provider: Arc<str>,
        /// Where it is.
        shown: String,
        /// The one that it is.
        found: Uuid,
    },
    /// The database knows blobs there, and none that was looked for is.
    #[error("{}", empty(provider, shown, *is_remote))]
    Empty {
        /// The provider's name.
        provider: Arc<str>,
        /// Where it is.
        shown: String,
        /// Whether it is on another machine.
        is_remote: bool,
    },
    /// It answers, but not whether blobs are there that the database knows there.
    #[error(
        "whether the provider '{provider}' is {shown} can't be told: it answers, and did not find the blobs that were looked for within \
         {limit:?}. Try again; if it is the right one, `aerostore take-over {provider}` says so"
    )]
    Slow {
        /// The provider's name.
        provider: Arc<str>,
        /// Where it is.
        shown: String,
        /// How long was waited.
        limit: Duration,
    },
    /// What says which one it is can't be read or written.
    #[error("the provider '{provider}' can't be told by {word}: {error}")]
    Place {
        /// The provider's name.
        provider: Arc<str>,
        /// The file, or object.
        word: String,
        /// What the place says.
        error: BackendError,
    },
    /// The database does not say.
    #[error(transparent)]
    Database(#[from] StorageError),
}

/// A place that is not the one that the database means.
#[derive(Debug)]
pub struct Elsewhere {
    provider: Arc<str>,
    shown: String,
    word: String,
    is_remote: bool,
    /// The one that the database means.
    meant: Uuid,
    /// The one that it is.
    found: Option<Uuid>,
    /// Whether the database knows blobs there.
    is_named: bool,
}

impl Elsewhere {
    pub(super) fn new(
        (provider, place): (&Arc<str>, &dyn Place),
        meant: Uuid,
        found: Option<Uuid>,
        is_named: bool,
    ) -> Box<Self> {
        let (shown, word, is_remote) = (place.shown(), place.word(), place.is_remote());
        Box::new(Self { provider: provider.clone(), shown, word, is_remote, meant, found, is_named })
    }
}

fn elsewhere(it: &Elsewhere) -> String {
    let Elsewhere { provider, shown, word, meant, .. } = it;
    let kind = if it.is_remote { "place" } else { "directory" };
    let blobs = if it.is_named { ", which has blobs" } else { "" };
    let found = it
        .found
        .map_or_else(|| "nothing there says which one it is".to_owned(), |found| format!("it is {found}"));
    let advice = if it.is_remote {
        format!(
            "It is probably another bucket or prefix than before, or another database's. If it is to belong to this database all the \
             same, `aerostore take-over {provider}` says so; servers of another database then do not start with it"
        )
    } else {
        format!(
            "It is probably not mounted, or a disk of this server's own where all servers are to share one, or another database's. \
             If it is the right one all the same, `aerostore take-over {provider}` says so, or write {meant} into {word}"
        )
    };
    format!(
        "the provider '{provider}' is not {shown}: it is the {kind} {meant}{blobs}, and {found}. {advice}"
    )
}

fn empty(provider: &str, shown: &str, is_remote: bool) -> String {
    let why = if is_remote {
        "It is probably another bucket or prefix than before, or another database's"
    } else {
        "It is probably not mounted, or a disk of this server's own where all servers are to share one, or another database's"
    };
    format!(
        "the provider '{provider}' is not {shown}: the database knows blobs there, and those that were looked for are missing. {why}. \
         If it is the right one all the same, `aerostore take-over {provider}` says so"
    )
}
