//! Quotas: how much a user, a bucket, a folder or the whole server may hold, and what is done about more.

use std::fmt;

use uuid::Uuid;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::path::ObjectPath;

/// Most folders of one bucket that have a quota: a write looks at all of them.
pub const MAX_FOLDER_QUOTAS: u64 = 1000;

/// A folder inside a bucket: the beginning of the paths in it, with the slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderPath(String);

impl FolderPath {
    /// Checks a folder's path, with or without the slash at its end.
    ///
    /// # Errors
    /// [`StorageError::InvalidPath`] with the broken rule of [`ObjectPath`].
    pub fn parse(path: &str) -> Result<Self, StorageError> {
        let bare = path.strip_suffix('/').unwrap_or(path);
        let whole = format!("{}/", ObjectPath::parse(bare)?.as_str());
        ObjectPath::parse(&whole)?;
        Ok(Self(whole))
    }

    /// What paths in it begin with.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without the slash at its end, as people write it.
    pub fn bare(&self) -> &str {
        self.0.strip_suffix('/').unwrap_or(&self.0)
    }
}

/// What a quota is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaScope {
    /// All that is stored.
    Global,
    /// All that a user owns.
    User(Uuid),
    /// All that is in a bucket.
    Bucket(BucketName),
    /// All that is in a folder of a bucket.
    Folder(BucketName, FolderPath),
}

impl QuotaScope {
    /// The scope of a folder as people write it: a bucket, or a bucket, a slash and a path.
    ///
    /// # Errors
    /// [`StorageError::InvalidBucketName`] or [`StorageError::InvalidPath`].
    pub fn folder(text: &str) -> Result<Self, StorageError> {
        let (bucket, path) = text.split_once('/').unwrap_or((text, ""));
        let bucket = BucketName::parse(bucket)?;
        match path {
            "" => Ok(Self::Bucket(bucket)),
            path => Ok(Self::Folder(bucket, FolderPath::parse(path)?)),
        }
    }

    /// The word that errors and events have for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::User(_) => "user",
            Self::Bucket(_) => "bucket",
            Self::Folder(..) => "folder",
        }
    }
}

/// The user's id, the bucket's name, or the folder as [`QuotaScope::folder`] reads it; nothing for all that is stored.
impl fmt::Display for QuotaScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => Ok(()),
            Self::User(user) => write!(f, "{user}"),
            Self::Bucket(bucket) => f.write_str(bucket.as_str()),
            Self::Folder(bucket, path) => write!(f, "{}/{}", bucket.as_str(), path.bare()),
        }
    }
}

/// How much something may hold, and how much it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// What it is for.
    pub scope: QuotaScope,
    /// The quota, in bytes; `None` means unlimited.
    pub limit: Option<u64>,
    /// Bytes in use: of objects, of old versions, and of unfinished uploads.
    pub used: u64,
    /// Whether the limit is the one of the configuration, as none was set.
    pub is_default: bool,
}

/// What is done about a write that does not fit into a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QuotaEnforcement {
    /// It is refused.
    #[default]
    Enforce,
    /// It is let in; the log and an event say so.
    Warn,
    /// Nothing: quotas are kept, and not looked at.
    Off,
}

impl QuotaEnforcement {
    /// The word that the configuration and the database have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }

    /// The one of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Enforce, Self::Warn, Self::Off].into_iter().find(|one| one.as_str() == word)
    }
}

/// What the configuration says of quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaSettings {
    /// What is done about a write that does not fit.
    pub enforcement: QuotaEnforcement,
    /// The quota of a user who has none of his own, in bytes; `None` means unlimited.
    pub default_user: Option<u64>,
    /// The quota of all that is stored, in bytes, where none was set; `None` means unlimited.
    pub global: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_as_they_are_shown() {
        let check = |text: &str, word: &str, shown: &str| {
            let scope = QuotaScope::folder(text).unwrap();
            assert_eq!((scope.word(), scope.to_string().as_str()), (word, shown), "{text}");
        };
        check("photos", "bucket", "photos");
        check("photos/", "bucket", "photos");
        check("photos/2024", "folder", "photos/2024");
        check("photos/2024/may/", "folder", "photos/2024/may");
        for bad in ["", "/a", "photos/../b", "photos//", "photos/a\u{1}"] {
            assert!(QuotaScope::folder(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_folder_is_no_other_of_which_the_name_begins_alike() {
        assert_eq!(FolderPath::parse("a").unwrap().as_str(), "a/");
        assert!(!"ab/c".starts_with(FolderPath::parse("a").unwrap().as_str()));
    }
}
