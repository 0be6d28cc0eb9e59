//! One page of a list: where it starts, what is on it, where the next one starts.

use std::ops::ControlFlow;

use rusqlite::{Connection, Row};

use super::super::buckets;
use super::super::errors::Fault;
use super::super::read;
use super::super::rls::{Caller, refused};
use super::super::rows::{self, OBJECT_PATH, OBJECT_TIMES, micros};
use super::super::rules::Rules;
use super::scan::{Folder, Found, Rows};
use super::top::{Key, Order, Top};
use crate::bucket::BucketName;
use crate::executor::{Collation, Cursor, Entry, Listing, ObjectSort, Page, PageStart, SortOrder};
use crate::path::ObjectPath;
use crate::permissions::{Access, BucketGrant, Permission};

/// Most keys that a list holds at a time. A page further on is found in several passes.
const HELD: usize = 10_000;

/// Lists objects and folders.
pub(in super::super) fn list(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    bucket: &BucketName,
    listing: &Listing,
) -> Result<Page, Fault> {
    let context = access.on_rows(Permission::ObjectRead, Some(bucket))?;
    listing.check_cursor()?;
    // All statements of a page see the same rows.
    let _snapshot = conn.unchecked_transaction()?;
    let Some((found, _)) = buckets::look(conn, context, Permission::BucketRead, bucket)? else {
        return Ok(Page::default());
    };
    let of_role = rules.of(context);
    let rows = match BucketGrant::of(&found, context) {
        // Policies may show rows of anybody's.
        _ if of_role.widens_reads() => Rows::All,
        BucketGrant::Read | BucketGrant::ReadWrite | BucketGrant::All => Rows::All,
        BucketGrant::OwnRows | BucketGrant::Nothing => Rows::Own,
    };
    let caller = Caller::under(rules, context);
    let start = format!("{}{}", listing.prefix, listing.search);
    let folder = Folder { conn, rules: of_role, caller: &caller, bucket, rows, listing, start };
    let page = match (listing.sort.0, listing.collation) {
        (ObjectSort::Name, Collation::Bytes) => in_index_order(&folder),
        (ObjectSort::Name, Collation::IgnoreCase) | (ObjectSort::CreatedAt | ObjectSort::UpdatedAt, _) => {
            in_other_order(&folder, rules, access)
        }
    };
    page.map_err(|fault| refused(fault, rules, context, Permission::ObjectRead, bucket))
}

fn in_index_order(folder: &Folder<'_>) -> Result<Page, Fault> {
    let order = folder.listing.sort.1;
    let limit = folder.listing.page_length();
    let (mut skip, from) = match &folder.listing.start {
        PageStart::First => (0, None),
        PageStart::Offset(offset) => (*offset, None),
        PageStart::After(cursor) => (0, Some(folder.after(&cursor.path, order))),
    };
    let mut entries = Vec::new();
    let mut more = false;
    folder.visit(order, from, |found| {
        if skip > 0 {
            skip -= 1;
            return Ok(ControlFlow::Continue(()));
        }
        if entries.len() == limit {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        entries.push(match found {
            Found::Object(row) => Entry::Object(Box::new(object(folder, row)?)),
            Found::Folder(path) => Entry::Folder(path.to_owned()),
        });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(Page::new(entries, more, ObjectSort::Name))
}

fn object(folder: &Folder<'_>, row: &Row<'_>) -> Result<crate::file::StorageObject, Fault> {
    let path = ObjectPath::parse(rows::str(row, OBJECT_PATH)?)?;
    rows::object_at(row, 0, folder.bucket, &path)
}

fn in_other_order(folder: &Folder<'_>, rules: &Rules, access: &Access) -> Result<Page, Fault> {
    let limit = folder.listing.page_length();
    let (mut skip, mut after) = match &folder.listing.start {
        PageStart::First => (0, None),
        PageStart::Offset(offset) => (usize::try_from(*offset).unwrap_or(usize::MAX), None),
        PageStart::After(cursor) => (0, Some(key_of(folder, cursor))),
    };
    // One key more than the page tells whether there is a next one.
    let wanted = limit.saturating_add(1);
    while skip.saturating_add(wanted) > HELD && skip > 0 {
        let passed = first_after(folder, after.as_ref(), skip.min(HELD))?;
        skip -= passed.len();
        match passed.into_iter().next_back() {
            Some(last) => after = Some(last),
            None => return Ok(Page::default()),
        }
    }
    let mut keys = first_after(folder, after.as_ref(), skip.saturating_add(wanted))?;
    keys.drain(..skip.min(keys.len()));
    let more = keys.len() > limit;
    keys.truncate(limit);
    let entries = keys
        .into_iter()
        .map(|key| {
            if key.folder {
                return Ok(Entry::Folder(key.path));
            }
            let path = ObjectPath::parse(&key.path)?;
            Ok(Entry::Object(Box::new(read::show(folder.conn, rules, access, folder.bucket, &path)?)))
        })
        .collect::<Result<_, Fault>>()?;
    Ok(Page::new(entries, more, folder.listing.sort.0))
}

/// The first `number` of the list's keys after one.
fn first_after(folder: &Folder<'_>, after: Option<&Key>, number: usize) -> Result<Vec<Key>, Fault> {
    let (sort, way) = folder.listing.sort;
    let order = Order { folders_first: sort != ObjectSort::Name, way };
    let mut top = Top::new(order, number);
    folder.visit(SortOrder::Ascending, None, |found| {
        let key = match found {
            Found::Object(row) => key(folder, rows::str(row, OBJECT_PATH)?, Some(time(sort, row)?)),
            Found::Folder(path) => key(folder, path, None),
        };
        if after.is_none_or(|after| order.compare(after, &key).is_lt()) {
            top.offer(key);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(top.into_sorted())
}

fn time(sort: ObjectSort, row: &Row<'_>) -> Result<i64, Fault> {
    Ok(match sort {
        ObjectSort::Name => 0,
        ObjectSort::CreatedAt => row.get(OBJECT_TIMES.0)?,
        ObjectSort::UpdatedAt => row.get(OBJECT_TIMES.1)?,
    })
}

/// The key of an entry; a folder has no time.
fn key(folder: &Folder<'_>, path: &str, time: Option<i64>) -> Key {
    let is_folder = time.is_none();
    // A folder's name has no slash.
    let name = if is_folder { path.strip_suffix('/').unwrap_or(path) } else { path };
    let name = match folder.listing.collation {
        Collation::Bytes => name.to_owned(),
        Collation::IgnoreCase => name.to_ascii_lowercase(),
    };
    Key { time: time.unwrap_or(0), name, path: path.to_owned(), folder: is_folder }
}

fn key_of(folder: &Folder<'_>, cursor: &Cursor) -> Key {
    let path = cursor.path.as_str();
    let is_folder = match folder.listing.sort.0 {
        ObjectSort::Name => folder.folder_length(path) == Some(path.len()),
        ObjectSort::CreatedAt | ObjectSort::UpdatedAt => cursor.time.is_none(),
    };
    let time = if is_folder { None } else { Some(cursor.time.map_or(0, micros)) };
    key(folder, path, time)
}
