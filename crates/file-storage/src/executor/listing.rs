//! What a list is asked for, and what it answers.

use std::borrow::Cow;

use uuid::Uuid;

use crate::Timestamp;
use crate::errors::StorageError;
use crate::file::StorageObject;

/// A request to list objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listing {
    /// Plain string prefix of the paths to list; `photos/` for a folder, empty for the bucket's root.
    pub prefix: String,
    /// What ends the name of a folder: lists stop at the next one after the prefix, and answer folders instead of what is
    /// below them. `None` lists everything.
    pub delimiter: Option<Delimiter>,
    /// Only names (relative to the prefix) that start with this.
    pub search: String,
    /// How names compare and sort.
    pub collation: Collation,
    /// What to sort by, and which way.
    pub sort: (ObjectSort, SortOrder),
    /// Most entries of one page, objects and folders together. At least 1.
    pub limit: u32,
    /// Where the page starts.
    pub start: PageStart,
}

impl Listing {
    /// Most entries of one page, at least 1.
    pub(super) fn page_length(&self) -> usize {
        usize::try_from(self.limit.max(1)).unwrap_or(usize::MAX)
    }

    /// Refuses a cursor of another kind of list.
    pub(super) fn check_cursor(&self) -> Result<(), StorageError> {
        let is_ours = match (&self.start, self.sort.0) {
            (PageStart::First | PageStart::Offset(_), _) => true,
            // No path has that character, and PostgreSQL's text can't.
            (PageStart::After(cursor), _) if cursor.path.contains('\0') => false,
            (PageStart::After(cursor), ObjectSort::Name) => cursor.time.is_none(),
            (PageStart::After(cursor), ObjectSort::CreatedAt | ObjectSort::UpdatedAt) => {
                cursor.time.is_some() || cursor.path.ends_with('/')
            }
        };
        if is_ours {
            return Ok(());
        }
        Err(StorageError::InvalidRequest { message: "the cursor is not one of this list".to_owned() })
    }
}

/// What ends the name of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Delimiter(Cow<'static, str>);

impl Delimiter {
    /// A slash, as everybody has it but S3.
    pub const SLASH: Self = Self(Cow::Borrowed("/"));

    /// Any text that paths may have; `None` for what ends no folder: nothing, or what no path has.
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && !text.chars().any(|c| c.is_control() || c == char::MAX);
        fits.then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How long the path of the folder is in which a list below a prefix of that length shows this path, if in one.
    pub(crate) fn folder_length(&self, prefix: usize, path: &str) -> Option<usize> {
        path.get(prefix..)?.find(self.as_str()).map(|at| prefix + at + self.0.len())
    }
}

/// How names compare: in prefix, search and order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Collation {
    /// By bytes: the index's own order.
    #[default]
    Bytes,
    /// Without regard to ASCII case, for the `supabase` dialect's first list form. Costs as much as the folder has
    /// children.
    IgnoreCase,
}

/// What objects are sorted by. Anything but the name costs as much as the folder has children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum ObjectSort {
    /// The path; folders and objects together.
    #[default]
    Name,
    /// When it was created; folders first, by name.
    CreatedAt,
    /// When it last changed; folders first, by name.
    UpdatedAt,
}

/// Which way to sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum SortOrder {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

/// Where a page starts.
#[derive(Debug, Clone, PartialEq, Default, Eq, Hash)]
pub enum PageStart {
    /// At the beginning.
    #[default]
    First,
    /// After that many entries: for compatibility, as its cost grows with the number.
    Offset(u64),
    /// After the last entry of another page.
    After(Cursor),
}

/// The last entry of a page, by which the next one starts. How it is written for a client is the protocol's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Full path of the entry; a folder's ends with its delimiter.
    pub path: String,
    /// Its time, where pages are sorted by one; `None` for a folder, and when sorting by name.
    pub time: Option<Timestamp>,
}

impl Cursor {
    fn after(last: &Entry, sort: ObjectSort) -> Self {
        let time = match (last, sort) {
            (Entry::Object(object), ObjectSort::CreatedAt) => Some(object.created_at),
            (Entry::Object(object), ObjectSort::UpdatedAt) => Some(object.updated_at),
            (Entry::Object(_), ObjectSort::Name) | (Entry::Folder(_), _) => None,
        };
        Self { path: last.path().to_owned(), time }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// Objects and folders, in the order that was asked for.
    pub entries: Vec<Entry>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<Cursor>,
}

impl Page {
    /// A page of these entries; `more` says whether others follow.
    pub(super) fn new(entries: Vec<Entry>, more: bool, sort: ObjectSort) -> Self {
        let next = entries.last().filter(|_| more).map(|last| Cursor::after(last, sort));
        Self { entries, next }
    }
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An object.
    Object(Box<StorageObject>),
    /// A folder: its full path, with the delimiter at its end.
    Folder(String),
}

impl Entry {
    /// The full path; a folder's ends with a slash.
    pub fn path(&self) -> &str {
        match self {
            Self::Object(object) => object.path.as_str(),
            Self::Folder(path) => path,
        }
    }
}

/// A request to list buckets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BucketListing {
    /// Most buckets to answer.
    pub limit: u32,
    /// Buckets to skip.
    pub offset: u64,
    /// What to sort by, and which way.
    pub sort: (BucketSort, SortOrder),
    /// Only names that contain this.
    pub search: String,
    /// Only names that start with this.
    pub prefix: String,
    /// Only names behind this one, in byte order.
    pub after: String,
    /// Only buckets of this user, and those of the application, which no user owns.
    pub of_user: Option<Uuid>,
}

/// What buckets are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BucketSort {
    /// The name.
    #[default]
    Name,
    /// When it was created.
    CreatedAt,
    /// When it last changed.
    UpdatedAt,
}
