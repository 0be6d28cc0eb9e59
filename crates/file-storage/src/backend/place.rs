//! A place that is to be a provider, before anything is opened in it: a directory, or a part of a cloud store's bucket. It keeps
//! beside its blobs who it is.

use async_trait::async_trait;
use uuid::Uuid;

use super::BackendError;
use crate::Timestamp;
use crate::file::BlobKey;

/// What the place's word about itself is called, in its root: no blob has such a name.
pub(super) const WORD: &str = "provider-id";

/// A place that is to be a provider.
#[async_trait]
pub trait Place: Send + Sync {
    /// Where it is, for people: "in /mnt/archive", "in the bucket photos of https://…".
    fn shown(&self) -> String;

    /// What says there which one it is, for people: a file's path, or an object's.
    fn word(&self) -> String;

    /// Whether it is on another machine: the same for every server that means it, and not always there.
    fn is_remote(&self) -> bool;

    /// Which one it is; `None` where nobody has said so.
    ///
    /// # Errors
    /// What is wrong with it; [`BackendError::Io`] where its word is something else.
    async fn identity(&self) -> Result<Option<Uuid>, BackendError>;

    /// Which one it is, and since when it says so, by the clock that its blobs' times are of; `None` also where that can't be told.
    ///
    /// # Errors
    /// As [`Place::identity`].
    async fn identified(&self) -> Result<Option<(Uuid, Timestamp)>, BackendError> {
        Ok(None)
    }

    /// Says which one it is, unless that was said before; gives the identity that it then has.
    ///
    /// # Errors
    /// What is wrong with it.
    async fn identify(&self, identity: Uuid) -> Result<Uuid, BackendError>;

    /// Says which one it is, whatever was said before.
    ///
    /// # Errors
    /// What is wrong with it.
    async fn identify_anew(&self, identity: Uuid) -> Result<(), BackendError>;

    /// Takes back what was said, if it is this; else changes nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    async fn withdraw(&self, identity: Uuid) -> Result<(), BackendError>;

    /// Whether any of these blobs is in it.
    ///
    /// # Errors
    /// What is wrong with it.
    async fn has_any(&self, keys: &[BlobKey]) -> Result<bool, BackendError>;
}

/// The identity that a word says.
pub(super) fn said(text: &str) -> Result<Uuid, std::io::Error> {
    Uuid::try_parse(text.trim())
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{WORD} is no UUID")))
}
