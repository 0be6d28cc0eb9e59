//! Whether a directory is the one that the database means by a provider's name.
//!
//! Servers that share a database must also share the directories that take bytes, or hold them: what lies on one server's own
//! disk the others can't read, and their orphan jobs would take its rows for lost. And a directory that is not mounted looks like
//! one that has lost everything. So each has an identity, in a file of its own and in a row; where they differ, a server does not
//! start. What neither takes nor holds bytes may differ: it is no provider of that server.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::backend::local::Directory;
use crate::errors::StorageError;
use crate::executor::Executor;
use crate::file::BlobKey;
use crate::permissions::{Access, AccessRules, Operation, RlsContext};

/// Blobs of a bucket that are looked for in a directory of which nobody has said which one it is.
const SAMPLES: u32 = 4;

/// Buckets of which blobs are looked for: one of them may have been lost.
const SAMPLED_BUCKETS: usize = 16;

/// A provider that is a directory.
#[derive(Debug, Clone)]
pub struct NamedDirectory {
    /// The provider's name.
    pub provider: Arc<str>,
    /// Its place.
    pub directory: Directory,
    /// Whether new bytes may go there: it is the active one, stands by for it, keeps copies, or is the
    /// spool.
    pub takes_bytes: bool,
}

/// Why a directory can't be the provider that it is to be.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It is another one than the database means.
    #[error("{}", elsewhere(.0))]
    Elsewhere(Box<Elsewhere>),
    /// The database knows blobs there, and none that was looked for is.
    #[error(
        "the provider '{provider}' is not in {}: the database knows blobs there, and those that were looked for are missing. It is \
         probably not mounted, or a disk of this server's own where all servers are to share one. If it is the right one all the \
         same, write a UUID into {}",
        root.display(),
        file.display()
    )]
    Empty {
        /// The provider's name.
        provider: Arc<str>,
        /// The directory.
        root: PathBuf,
        /// The file that would say that it is.
        file: PathBuf,
    },
    /// The file that says which directory it is can't be read or written.
    #[error("the provider '{provider}' can't be told by {}: {source}", file.display())]
    File {
        /// The provider's name.
        provider: Arc<str>,
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The database does not say.
    #[error(transparent)]
    Database(#[from] StorageError),
}

/// A directory that is not the one that the database means.
#[derive(Debug)]
pub struct Elsewhere {
    provider: Arc<str>,
    root: PathBuf,
    file: PathBuf,
    /// The one that the database means.
    meant: Uuid,
    /// The one that it is.
    found: Option<Uuid>,
    /// Whether the database knows blobs there.
    is_named: bool,
}

fn elsewhere(it: &Elsewhere) -> String {
    let found =
        it.found.map_or("nothing there says which one it is".to_owned(), |found| format!("it is {found}"));
    format!(
        "the provider '{}' is not in {}: it is the directory {}{}, and {found}. It is probably not mounted, or a disk of \
         this server's own where all servers are to share one. If it is the right one all the same, write {} into {}",
        it.provider,
        it.root.display(),
        it.meant,
        if it.is_named { ", which has blobs" } else { "" },
        it.meant,
        it.file.display()
    )
}

/// Looks whether a directory is the one that the database means, and says so where nobody has yet. `sole`: this server has the
/// database to itself. `false` where it is another one, and this server can do without it: then nothing may be read or written there.
///
/// # Errors
/// [`DirectoryError`], where this server must not start.
pub async fn settle(
    executor: &dyn Executor,
    named: &NamedDirectory,
    sole: bool,
) -> Result<bool, DirectoryError> {
    Settling { executor, access: maintenance()?, named, sole }.settle().await
}

fn maintenance() -> Result<Access, StorageError> {
    let context = RlsContext::system("which directory a provider is");
    Access::check(&context, Operation::Maintain, None, AccessRules::default())
}

struct Settling<'a> {
    executor: &'a dyn Executor,
    access: Access,
    named: &'a NamedDirectory,
    sole: bool,
}

impl Settling<'_> {
    async fn settle(&self) -> Result<bool, DirectoryError> {
        let meant = self.executor.provider_identity(&self.access, self.name(), None).await?;
        let found = self.directory().identity().map_err(|source| self.unreadable(source))?;
        if meant.is_some() && meant == found {
            return Ok(true);
        }
        let is_named = self.executor.is_named(&self.access, self.name()).await?;
        match meant {
            Some(meant) => self.other(meant, found, is_named).await,
            None => self.first(found, is_named).await,
        }
    }

    /// It is another one than the database means.
    async fn other(&self, meant: Uuid, found: Option<Uuid>, is_named: bool) -> Result<bool, DirectoryError> {
        // Of a server that has the database to itself nobody else's disk is meant: what is empty may be elsewhere now, and what came
        // out of a backup without the file is told by its blobs.
        let is_taken_in = self.sole && (!is_named || (found.is_none() && self.has_samples().await?));
        if is_taken_in {
            tracing::warn!(
                provider = self.name(),
                directory = %self.root().display(),
                "the directory has no identity, or another one; it is taken in"
            );
            match self.directory().identify_anew(meant) {
                Ok(()) => {}
                Err(error) => self.unless_full(error)?,
            }
            return Ok(true);
        }
        if !self.named.takes_bytes && !is_named {
            tracing::info!(
                provider = self.name(),
                directory = %self.root().display(),
                "another server's directory has this name; it is no provider of this server, which does without it"
            );
            return Ok(false);
        }
        Err(self.elsewhere(meant, found, is_named))
    }

    /// Nobody has said which one the database means.
    async fn first(&self, found: Option<Uuid>, is_named: bool) -> Result<bool, DirectoryError> {
        // A file that is there is somebody's word, whatever was lost.
        if is_named && found.is_none() && self.lacks_samples().await? {
            return Err(DirectoryError::Empty {
                provider: self.named.provider.clone(),
                root: self.root().to_owned(),
                file: self.directory().file(),
            });
        }
        let identity = match found {
            Some(found) => found,
            None => match self.directory().identify(Uuid::new_v4()) {
                Ok(identity) => identity,
                Err(error) => return self.unless_full(error).map(|()| true),
            },
        };
        let meant = match self.executor.provider_identity(&self.access, self.name(), Some(identity)).await {
            // The next start writes the row.
            Err(StorageError::DiskFull { .. }) => return Ok(true),
            meant => meant?,
        };
        match meant {
            // Another server has said so meanwhile.
            Some(meant) if meant != identity => Box::pin(self.other(meant, Some(identity), is_named)).await,
            Some(_) | None => Ok(true),
        }
    }

    /// Whether some of the blobs are there that the database knows there.
    async fn has_samples(&self) -> Result<bool, DirectoryError> {
        let samples = self.samples().await?;
        self.directory().has_any(&samples).map_err(|source| self.unreadable(source))
    }

    /// Whether there are such blobs, and none of them is there.
    async fn lacks_samples(&self) -> Result<bool, DirectoryError> {
        let samples = self.samples().await?;
        let has_any = self.directory().has_any(&samples).map_err(|source| self.unreadable(source))?;
        Ok(!samples.is_empty() && !has_any)
    }

    /// Some blobs and copies of each of some buckets.
    async fn samples(&self) -> Result<Vec<BlobKey>, StorageError> {
        let mut samples = self.samples_of_blobs().await?;
        let mut after = None;
        for _ in 0..SAMPLED_BUCKETS {
            let page = self.executor.blob_copies(&self.access, self.name(), after.as_ref(), SAMPLES).await?;
            let Some(last) = page.last() else { break };
            after = last.key.last_of_bucket();
            samples.extend(page.into_iter().map(|copy| copy.key));
            if after.is_none() {
                break;
            }
        }
        Ok(samples)
    }

    async fn samples_of_blobs(&self) -> Result<Vec<BlobKey>, StorageError> {
        let (mut samples, mut after) = (Vec::new(), None);
        for _ in 0..SAMPLED_BUCKETS {
            let page =
                self.executor.segment_blobs(&self.access, self.name(), after.as_ref(), SAMPLES).await?;
            let Some(last) = page.last() else { break };
            after = last.key.last_of_bucket();
            samples.extend(page.into_iter().map(|blob| blob.key));
            if after.is_none() {
                break;
            }
        }
        Ok(samples)
    }

    /// A full disk is no reason not to start: deletions must go on. The next start says which directory it is.
    fn unless_full(&self, error: io::Error) -> Result<(), DirectoryError> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                tracing::warn!(
                    provider = self.name(),
                    file = %self.directory().file().display(),
                    "the disk is full: the file could not be written that says which directory it is"
                );
                Ok(())
            }
            _ => Err(self.unreadable(error)),
        }
    }

    fn name(&self) -> &str {
        &self.named.provider
    }

    fn directory(&self) -> &Directory {
        &self.named.directory
    }

    fn root(&self) -> &Path {
        self.directory().root()
    }

    fn unreadable(&self, source: io::Error) -> DirectoryError {
        DirectoryError::File { provider: self.named.provider.clone(), file: self.directory().file(), source }
    }

    fn elsewhere(&self, meant: Uuid, found: Option<Uuid>, is_named: bool) -> DirectoryError {
        DirectoryError::Elsewhere(Box::new(Elsewhere {
            provider: self.named.provider.clone(),
            root: self.root().to_owned(),
            file: self.directory().file(),
            meant,
            found,
            is_named,
        }))
    }
}
