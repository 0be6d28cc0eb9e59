//! Lists of objects, as the caller. A function in the database walks over a folder (`migrations/0014_levels.sql`; in other
//! orders than by path `0009_s3.sql`), from folder to folder below it, or takes all that is in it (`0007_cheaper_reads.sql`);
//! here is said where it starts and ends, and what of it is on a page.

use std::sync::{Arc, LazyLock};

use chrono::DateTime;
use tokio_postgres::Row;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::{Caller, refused};
use super::rows::{self, OBJECT, OBJECT_WIDTH, int};
use super::session::read;
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::executor::bounds::successor;
use crate::executor::{Collation, Cursor, Delimiter, Entry, Listing, ObjectSort, Page, PageStart, SortOrder};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// Above every path: longer than any of them, of the greatest character.
static ABOVE_ALL: LazyLock<String> = LazyLock::new(|| "\u{10ffff}".repeat(257));

/// The smallest character that paths may have begins above this one: a path and this is the next place after it.
const JUST_AFTER: char = '\u{1}';

/// The columns of what the function answers: a folder, or an object.
static ENTRY: LazyLock<String> =
    LazyLock::new(|| format!("{}, l.folder", OBJECT.replace("o.", "(l.object).")));

/// By path: of what is in a folder, its first object.
static BY_PATH: LazyLock<String> = LazyLock::new(|| rows_of("list_level($1, $2, $3, $4, $5, $6, $7, $8)"));

/// The same without folders.
static ROWS_BY_PATH: LazyLock<String> = LazyLock::new(|| rows_of("list_rows($1, $2, $3, $4, $5, $6)"));

fn rows_of(function: &str) -> String {
    let columns = OBJECT.replace("o.", "l.");
    format!("SELECT {columns}, NULL::text AS folder FROM {{schema}}.{function} l")
}

static ASCENDING: LazyLock<String> =
    LazyLock::new(|| in_order("ASC", "(l.rank, l.time, l.name, l.path) > ($8, $9, $10, $11)"));

static DESCENDING: LazyLock<String> = LazyLock::new(|| {
    in_order("DESC", "(l.rank > $8 OR l.rank = $8 AND (l.time, l.name, l.path) < ($9, $10, $11))")
});

/// By time, with folders first, or by name whatever its case: all children are looked at, and the first ones kept.
fn in_order(way: &str, after: &str) -> String {
    format!(
        "WITH l AS (SELECT e.folder, e.object, \
            CASE WHEN $7 <> 'name' AND e.folder IS NULL THEN 1 ELSE 0 END AS rank, \
            CASE WHEN e.folder IS NOT NULL OR $7::text = 'name' THEN 'epoch' \
                WHEN $7 = 'created_at' THEN (e.object).created_at ELSE (e.object).updated_at END AS time, \
            CASE WHEN $6 THEN lower(n.name COLLATE \"C\") ELSE n.name END COLLATE \"C\" AS name, \
            coalesce(e.folder, (e.object).path) COLLATE \"C\" AS path \
            FROM {{schema}}.list_entries($1, $2, $3, $4, $5, '/', $6, false, 0, 9223372036854775807) e, \
            LATERAL (SELECT coalesce(left(e.folder, -1), (e.object).path) AS name) n) \
         SELECT {} FROM l WHERE $8::integer IS NULL OR {after} \
         ORDER BY l.rank, l.time {way}, l.name {way}, l.path {way} OFFSET $12 LIMIT $13",
        *ENTRY
    )
    .replace("$9", "$9::timestamptz")
    .replace("$10", "$10::text")
    .replace("$11", "$11::text")
}

/// Lists objects and folders.
pub(super) async fn list(
    pool: &Arc<Pool>,
    access: &Access,
    bucket: &BucketName,
    listing: &Listing,
) -> Result<Page, Fault> {
    let context = access.on_rows(Permission::ObjectRead, Some(bucket))?;
    let caller = Caller::of(context);
    listing.check_cursor()?;
    let folder = Folder { bucket, listing, start: format!("{}{}", listing.prefix, listing.search) };
    // No path has that character, and PostgreSQL's text can't.
    if folder.start.contains('\0') {
        return Ok(Page::default());
    }
    let found = match (listing.sort.0, listing.collation) {
        (ObjectSort::Name, Collation::Bytes) => in_index_order(pool, &caller, &folder).await,
        (ObjectSort::Name, Collation::IgnoreCase) | (ObjectSort::CreatedAt | ObjectSort::UpdatedAt, _) => {
            in_other_order(pool, &caller, &folder).await
        }
    };
    let mut found = match found {
        Ok(found) => found,
        Err(fault) => return Err(refused(fault, pool, context, Permission::ObjectRead, bucket).await),
    };
    let more = found.len() > listing.page_length();
    found.truncate(listing.page_length());
    let entries = found.iter().map(|row| folder.entry(row)).collect::<Result<_, Fault>>()?;
    Ok(Page::new(entries, more, listing.sort.0))
}

/// The part of a bucket that a list is about.
struct Folder<'a> {
    bucket: &'a BucketName,
    listing: &'a Listing,
    /// The prefix and the search after it: what every path starts with.
    start: String,
}

impl Folder<'_> {
    /// How many characters of a path are the folder's own; `None` where folders are not looked at.
    fn level(&self) -> Option<i32> {
        let length = i32::try_from(self.listing.prefix.chars().count()).unwrap_or(i32::MAX);
        self.listing.delimiter.as_ref().map(|_| length)
    }

    fn delimiter(&self) -> Option<&str> {
        self.listing.delimiter.as_ref().map(Delimiter::as_str)
    }

    fn end(&self) -> String {
        successor(&self.start).unwrap_or_else(|| ABOVE_ALL.clone())
    }

    /// The folder that the list shows instead of this path.
    fn of<'p>(&self, path: &'p str) -> Option<&'p str> {
        let delimiter = self.listing.delimiter.as_ref()?;
        path.get(..delimiter.folder_length(self.listing.prefix.len(), path)?)
    }

    /// Whether the list shows this path as a folder.
    fn is_folder(&self, path: &str) -> bool {
        self.of(path) == Some(path)
    }

    /// What the list shows for a row.
    fn entry(&self, row: &Row) -> Result<Entry, Fault> {
        if let Some(folder) = row.try_get::<_, Option<String>>(OBJECT_WIDTH)? {
            return Ok(Entry::Folder(folder));
        }
        let path: &str = row.try_get(2)?;
        if let Some(folder) = self.of(path) {
            return Ok(Entry::Folder(folder.to_owned()));
        }
        let path = ObjectPath::parse(path)?;
        Ok(Entry::Object(Box::new(rows::object_at(row, 0, self.bucket, &path)?)))
    }

    /// One row more than a page has tells whether there is a next one.
    fn wanted(&self) -> i64 {
        i64::from(self.listing.limit.max(1)).saturating_add(1)
    }

    fn skipped(&self) -> i64 {
        match self.listing.start {
            PageStart::Offset(skipped) => int(skipped),
            PageStart::First | PageStart::After(_) => 0,
        }
    }
}

async fn in_index_order(pool: &Arc<Pool>, caller: &Caller, folder: &Folder<'_>) -> Result<Vec<Row>, Fault> {
    let down = folder.listing.sort.1 == SortOrder::Descending;
    let (mut low, mut high) = (folder.start.clone(), folder.end());
    match &folder.listing.start {
        PageStart::After(cursor) if down => high = high.min(cursor.path.clone()),
        PageStart::After(cursor) if folder.is_folder(&cursor.path) => {
            low = low.max(successor(&cursor.path).unwrap_or_else(|| ABOVE_ALL.clone()));
        }
        PageStart::After(cursor) => low = low.max(format!("{}{JUST_AFTER}", cursor.path)),
        PageStart::First | PageStart::Offset(_) => {}
    }
    let (bucket, skipped, wanted) = (folder.bucket.as_str(), folder.skipped(), folder.wanted());
    let Some(level) = folder.level() else {
        let values = [&bucket as _, &low as _, &high as _, &down as _, &skipped as _, &wanted as _];
        return read(pool, "list_objects", caller, &ROWS_BY_PATH, &values).await;
    };
    let values = [
        &bucket as _,
        &low as _,
        &high as _,
        &level as _,
        &folder.delimiter() as _,
        &down as _,
        &skipped as _,
        &wanted as _,
    ];
    read(pool, "list_objects", caller, &BY_PATH, &values).await
}

async fn in_other_order(pool: &Arc<Pool>, caller: &Caller, folder: &Folder<'_>) -> Result<Vec<Row>, Fault> {
    let listing = folder.listing;
    let folded = listing.collation == Collation::IgnoreCase;
    // Upper case comes first in ASCII; where the matches end, the function sees.
    let (low, high) = if folded {
        (folder.start.to_ascii_uppercase(), ABOVE_ALL.clone())
    } else {
        (folder.start.clone(), folder.end())
    };
    let sort = match listing.sort.0 {
        ObjectSort::Name => "name",
        ObjectSort::CreatedAt => "created_at",
        ObjectSort::UpdatedAt => "updated_at",
    };
    let after = match &listing.start {
        PageStart::After(cursor) => Some(key(folder, cursor, folded)),
        PageStart::First | PageStart::Offset(_) => None,
    };
    let (rank, time) = (after.as_ref().map(|key| key.rank), after.as_ref().map(|key| key.time));
    let (name, path) = (after.as_ref().map(|key| &key.name), after.as_ref().map(|key| &key.path));
    let sql = if listing.sort.1 == SortOrder::Descending { &DESCENDING } else { &ASCENDING };
    let values = [
        &folder.bucket.as_str() as _,
        &folder.start as _,
        &low as _,
        &high as _,
        &folder.level() as _,
        &folded as _,
        &sort as _,
        &rank as _,
        &time as _,
        &name as _,
        &path as _,
        &folder.skipped() as _,
        &folder.wanted() as _,
    ];
    read(pool, "list_objects", caller, sql, &values).await
}

/// What an entry is ordered by.
struct Key {
    rank: i32,
    time: Timestamp,
    name: String,
    path: String,
}

fn key(folder: &Folder<'_>, cursor: &Cursor, folded: bool) -> Key {
    let by_name = folder.listing.sort.0 == ObjectSort::Name;
    let is_folder = if by_name { folder.is_folder(&cursor.path) } else { cursor.time.is_none() };
    let name = if is_folder { cursor.path.strip_suffix('/').unwrap_or(&cursor.path) } else { &cursor.path };
    Key {
        rank: i32::from(!by_name && !is_folder),
        time: cursor.time.unwrap_or(DateTime::UNIX_EPOCH),
        name: if folded { name.to_ascii_lowercase() } else { name.to_owned() },
        path: cursor.path.clone(),
    }
}
