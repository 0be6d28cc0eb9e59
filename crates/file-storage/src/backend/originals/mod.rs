//! Originals: files that were there before, and are no blobs of ours. They lie below a directory of this machine, or in a
//! provider's store beside its blobs. They are looked at, read and, where that is asked for, removed; nothing is written here.

mod directory;
mod opened;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

pub use directory::AllowedDirectories;
pub(super) use opened::OpenedFile;

use super::remote::OpenedObject;
use super::{BackendError, BlobWritten};
use crate::Timestamp;
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::file::BlobKey;

/// What an original is called, below where it was looked for: bytes, as file systems have them, in segments that slashes part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OriginalName(Vec<u8>);

impl OriginalName {
    pub(super) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text; `None` where it is none, and so no part of a path.
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The name for people.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The name for a row: a character for each byte, so that none is lost.
    pub fn to_stored(&self) -> String {
        self.0.iter().map(|byte| char::from(*byte)).collect()
    }

    /// The name of a row; `None` where that is none.
    pub fn from_stored(text: &str) -> Option<Self> {
        text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect::<Option<_>>().map(Self)
    }
}

/// Something that was found where originals are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name. That of a directory ends with a slash.
    pub name: OriginalName,
    /// Why it is none, in words for who asked: what it is, or that it can't be looked into.
    pub unusable: Option<&'static str>,
}

/// Some of what was found, in the order of names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OriginalPage {
    /// What was found.
    pub found: Vec<Found>,
    /// How far was looked, where that is behind the last of what was found: what follows the page follows this name.
    pub through: Option<OriginalName>,
    /// Whether nothing follows.
    pub is_last: bool,
}

/// Where originals are looked for.
#[async_trait]
pub trait Originals: Send + Sync + 'static {
    /// What follows a name, as much of it as is asked for; less, or nothing, where much else lies between.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`] where there is no such place, and those of the provider.
    async fn page(&self, after: Option<&OriginalName>, limit: usize) -> Result<OriginalPage, StorageError>;

    /// Takes hold of an original: what is then read is of that one file, or fails. `None` where it is gone.
    ///
    /// # Errors
    /// [`StorageError::OriginalUnusable`], and those of the provider.
    async fn open(&self, name: &OriginalName) -> Result<Option<Original>, StorageError>;
}

/// An original that somebody has hold of.
#[derive(Clone)]
pub struct Original {
    /// Its length, in bytes.
    pub size: u64,
    /// When it was changed last.
    pub modified: Timestamp,
    /// The type that its keeper says it has.
    pub content_type: Option<String>,
    /// The `Cache-Control` that its keeper gives with it.
    pub cache_control: Option<String>,
    /// What else its keeper gives with it, by names as [`crate::extra::ObjectExtra::headers`] has them.
    pub headers: BTreeMap<String, String>,
    pub(super) held: Held,
}

/// What an original is.
#[derive(Clone)]
pub(super) enum Held {
    File(Arc<OpenedFile>),
    Object(Arc<OpenedObject>),
}

impl Original {
    /// All of its bytes. They end with [`StorageError::OriginalUnusable`] where it was changed since it was opened.
    pub fn body(&self) -> ByteStream {
        match &self.held {
            Held::File(file) => opened::body(file.clone()),
            Held::Object(object) => object.clone().body(),
        }
    }

    /// Removes it, unless it was changed since it was opened.
    ///
    /// # Errors
    /// [`StorageError::OriginalUnusable`] where it was changed, or can't be removed; and those of the provider.
    pub async fn remove(&self) -> Result<(), StorageError> {
        match &self.held {
            Held::File(file) => file.clone().remove().await,
            Held::Object(object) => object.remove().await,
        }
    }
}

/// Makes blobs of originals without carrying their bytes. Asked past all decorators: by a job, which comes again by itself.
#[async_trait]
pub trait Adopter: Send + Sync {
    /// What lies in the provider's store beside its blobs, below a path there. `None` where only a directory is looked into,
    /// which [`AllowedDirectories`] is for.
    fn originals(&self, path: &str) -> Option<Arc<dyn Originals>>;

    /// Makes a blob of an original, durable when it answers, and to be settled as after a write; `None` where that takes a write.
    /// `moves`: the original will be removed, so that it may be the blob.
    ///
    /// # Errors
    /// As [`super::StorageBackend::write`]; a [`BackendError::Body`] where the original was changed meanwhile.
    async fn take(
        &self,
        key: &BlobKey,
        original: &Original,
        moves: bool,
    ) -> Result<Option<BlobWritten>, BackendError>;
}

/// That an original is not to be used, and why.
pub(super) fn unusable(reason: &'static str) -> StorageError {
    StorageError::OriginalUnusable { reason }
}

/// What is said of what another Aerostore keeps, or this one.
const PROVIDERS: &str = "a provider of Aerostore's keeps its blobs there";

/// What is said of one that was written to, or replaced, since it was opened.
pub(crate) const CHANGED: &str = "it was changed while it was read";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_from_its_row_whatever_its_bytes() {
        let all: Vec<u8> = (1..=255).collect();
        for bytes in [&b"a/b"[..], "ä/ß".as_bytes(), &all] {
            let name = OriginalName::new(bytes);
            assert_eq!(OriginalName::from_stored(&name.to_stored()), Some(name));
        }
        assert_eq!(OriginalName::from_stored("\u{100}"), None);
    }
}
