//! Versions of objects: whether a bucket keeps them, how one is named, and how they are listed.
//!
//! A version is a row like an object's, and is seen, read and deleted under the same rules. The newest one at a path is the
//! object; where that is a delete marker, there is no object. Knows no SQL and no protocol.

use std::fmt;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::errors::StorageError;
use crate::file::StorageObject;
use crate::path::ObjectPath;

/// Whether a bucket keeps what is overwritten and deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Versioning {
    /// It never did: bytes that are replaced go.
    #[default]
    Off,
    /// Every write makes a version, and every deletion a delete marker.
    Enabled,
    /// It did. Versions stay; what is written now is the null version, of which a path has one.
    Suspended,
}

impl Versioning {
    /// The word of the API and of the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Enabled => "enabled",
            Self::Suspended => "suspended",
        }
    }

    /// What that word says, if it is one.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "enabled" => Some(Self::Enabled),
            "suspended" => Some(Self::Suspended),
            _ => None,
        }
    }

    /// Whether what is written now is a version of its own, and not the null version.
    pub fn makes_versions(self) -> bool {
        self == Self::Enabled
    }

    /// Whether an object stays when it is overwritten or deleted. `versioned` is whether it is a version of its own.
    pub fn keeps(self, versioned: bool) -> bool {
        match self {
            Self::Off => false,
            Self::Enabled => true,
            Self::Suspended => versioned,
        }
    }

    /// Whether a bucket may go on so.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`]: who has versions has them to the end.
    pub(crate) fn changed_to(self, next: Self) -> Result<Self, StorageError> {
        match (self, next) {
            (Self::Enabled | Self::Suspended, Self::Off) => Err(StorageError::InvalidRequest {
                message: "versioning can be suspended, and not be switched off again".to_owned(),
            }),
            _ => Ok(next),
        }
    }
}

/// Which version of an object is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionId {
    /// The one that was written while the bucket kept no versions.
    Null,
    /// The one of this identity ([`StorageObject::version`]); the null version can be named by it, too.
    Id(Uuid),
}

impl VersionId {
    /// `null`, or a version's UUID.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`] for anything else.
    pub fn parse(text: &str) -> Result<Self, StorageError> {
        if text == "null" {
            return Ok(Self::Null);
        }
        Uuid::try_parse(text).map(Self::Id).map_err(|_| StorageError::InvalidRequest {
            message: "a version is named by its id, or by null".to_owned(),
        })
    }

    /// The name of a version by its identity, and by whether it is one of its own.
    pub fn of(version: Uuid, versioned: bool) -> Self {
        if versioned { Self::Id(version) } else { Self::Null }
    }

    /// The identity, where that is what names it.
    pub(crate) fn uuid(self) -> Option<Uuid> {
        match self {
            Self::Null => None,
            Self::Id(id) => Some(id),
        }
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// A version of an object, or a delete marker.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectVersion {
    /// The row. That of a delete marker says whose it is and when it was made, and has no bytes.
    pub object: StorageObject,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
    /// Whether it is the newest at its path, of those that the caller sees.
    pub is_latest: bool,
}

/// A delete marker that was put on top of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteMarker {
    /// Its identity.
    pub version: Uuid,
    /// Whether it is a version of its own, and not the null version.
    pub versioned: bool,
}

impl DeleteMarker {
    /// The marker that hides this version, made by a bucket in this state. Its identity follows from the version's, so that
    /// whoever deletes knows it without asking.
    pub(crate) fn over(version: Uuid, versioning: Versioning) -> Option<Self> {
        let digest = Md5::digest(format!("delete marker of {version}"));
        let version = Uuid::from_bytes(digest.into());
        (versioning != Versioning::Off).then_some(Self { version, versioned: versioning.makes_versions() })
    }

    /// How it is named.
    pub fn id(&self) -> VersionId {
        VersionId::of(self.version, self.versioned)
    }
}

/// What the deletion of a path did.
#[derive(Debug, Clone, PartialEq)]
pub struct Deletion {
    /// Which path.
    pub path: ObjectPath,
    /// What was there: gone, or hidden. `None` where there was nothing that the caller could see.
    pub object: Option<StorageObject>,
    /// The delete marker that now hides it, where the bucket keeps versions.
    pub marker: Option<DeleteMarker>,
}

/// Where a list of versions starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionStart {
    /// With the newest version at this path, or the first path after it.
    Path(String),
    /// With the first path after this one.
    AfterPath(String),
    /// After this version at this path. One that is gone is as good as none: then with the newest.
    AfterVersion(String, VersionId),
}

/// What is to be listed of the versions in a bucket: by path, and the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionListing {
    /// How their paths begin.
    pub prefix: String,
    /// What ends a folder; paths are not folded without it.
    pub delimiter: Option<String>,
    /// Where it starts.
    pub start: VersionStart,
    /// Only versions of this path and no longer one.
    pub exact: bool,
    /// Most entries.
    pub limit: u32,
}

/// An entry of such a list.
#[derive(Debug, Clone, PartialEq)]
pub enum VersionEntry {
    /// What lies below a folder, whose name this is, with the delimiter.
    Folder(String),
    /// A version.
    Version(Box<ObjectVersion>),
}

/// A page of such a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VersionPage {
    /// Its entries.
    pub entries: Vec<VersionEntry>,
    /// Whether there are more after them.
    pub is_truncated: bool,
}

/// What an executor reads at a time for such a list: rows by path, and the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionScan {
    /// How the paths of the list begin that this is for, as whoever asked said it. What is read, the others say.
    pub prefix: String,
    /// The first path that is wanted.
    pub from: String,
    /// Versions at that first path are wanted after this one only.
    pub after: Option<VersionId>,
    /// The first path that is not wanted any more; `None` where there is none.
    pub until: Option<String>,
    /// Most rows.
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_named_by_their_uuid_or_by_null() {
        let id = Uuid::from_u128(7);
        assert_eq!(VersionId::parse("null").unwrap(), VersionId::Null);
        assert_eq!(VersionId::parse(&id.to_string()).unwrap(), VersionId::Id(id));
        assert_eq!(VersionId::of(id, true).to_string(), id.to_string());
        assert_eq!(VersionId::of(id, false).to_string(), "null");
        for wrong in ["", "NULL", "1", "null "] {
            assert_eq!(VersionId::parse(wrong).unwrap_err().code(), "INVALID_REQUEST", "{wrong:?}");
        }
    }

    #[test]
    fn a_bucket_that_kept_versions_keeps_them() {
        use Versioning::{Enabled, Off, Suspended};
        for (from, to, may) in [
            (Off, Enabled, true),
            (Off, Suspended, true),
            (Enabled, Suspended, true),
            (Suspended, Enabled, true),
            (Enabled, Off, false),
            (Suspended, Off, false),
            (Off, Off, true),
        ] {
            assert_eq!(from.changed_to(to).is_ok(), may, "{from:?} to {to:?}");
        }
        assert!(
            !Off.keeps(false) && Enabled.keeps(false) && Suspended.keeps(true) && !Suspended.keeps(false)
        );
    }
}
