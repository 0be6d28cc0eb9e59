//! The children of a folder, in the order of the index, each folder below them once: after its first row, the
//! scan seeks to the end of the folder instead of walking through it.

use std::ops::ControlFlow;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, named_params};

use super::super::errors::Fault;
use super::super::rls::Caller;
use super::super::rows::{OBJECT, OBJECT_PATH, str};
use super::super::rules::{RoleRules, Statement};
use crate::bucket::BucketName;
use crate::executor::bounds::{just_after, next_match, starts_with_ignoring_case, successor};
use crate::executor::{Collation, Listing, SortOrder};
use crate::permissions::Permission;

/// Which rows a list has to look at. The predicate decides in either case; this chooses the index that
/// does not lead past rows of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Rows {
    /// The bucket lets the caller read all of them.
    All,
    /// Rows decide: the caller's own.
    Own,
}

/// What a scan comes upon.
pub(super) enum Found<'r> {
    /// An object; its columns start at 0.
    Object(&'r Row<'r>),
    /// A folder: its full path, with the slash.
    Folder(&'r str),
}

/// The part of a bucket that a list is about.
pub(super) struct Folder<'a> {
    pub(super) conn: &'a Connection,
    pub(super) rules: &'a RoleRules,
    pub(super) caller: &'a Caller,
    pub(super) bucket: &'a BucketName,
    pub(super) rows: Rows,
    pub(super) listing: &'a Listing,
    /// The prefix and the search after it: what every path starts with.
    pub(super) start: String,
}

/// What a path is to the list.
enum Place {
    /// One of its objects.
    Child,
    /// Below a folder, whose path has this many bytes.
    Below(usize),
    /// Not in the list. What may be starts there; nothing does where it is `None`.
    Elsewhere(Option<String>),
}

impl Folder<'_> {
    /// Visits objects and folders from the one on whose path is `from`, or after it, until told to stop.
    /// Ascending, `from` itself is visited; descending, it is not.
    pub(super) fn visit(
        &self,
        order: SortOrder,
        from: Option<String>,
        mut visit: impl FnMut(Found<'_>) -> Result<ControlFlow<()>, Fault>,
    ) -> Result<(), Fault> {
        let (mut low, mut high) = self.range();
        match (order, from) {
            (SortOrder::Ascending, Some(from)) if from > low => low = from,
            (SortOrder::Descending, Some(from)) if high.as_ref().is_none_or(|high| from < *high) => {
                high = Some(from);
            }
            _ => {}
        }
        let mut statement = self.conn.prepare_cached(sql(self.rules, self.rows, order))?;
        'seek: loop {
            let end = bound(high.as_deref());
            let mut rows = statement.query(&*self.caller.with(named_params! {
                ":bucket": self.bucket.as_str(), ":role": self.caller.role, ":uid": self.caller.uid,
                ":low": low, ":high": end,
            }))?;
            while let Some(row) = rows.next()? {
                let path = str(row, OBJECT_PATH)?;
                let flow = match self.place(path) {
                    Place::Child => visit(Found::Object(row))?,
                    Place::Below(length) => {
                        let folder = path.get(..length).unwrap_or(path).to_owned();
                        if visit(Found::Folder(&folder))?.is_break() {
                            return Ok(());
                        }
                        match order {
                            SortOrder::Ascending => match successor(&folder) {
                                Some(next) => low = next,
                                None => return Ok(()),
                            },
                            SortOrder::Descending => high = Some(folder),
                        }
                        continue 'seek;
                    }
                    Place::Elsewhere(Some(next)) if next.as_str() > path => {
                        low = next;
                        continue 'seek;
                    }
                    Place::Elsewhere(_) => return Ok(()),
                };
                if flow.is_break() {
                    return Ok(());
                }
            }
            return Ok(());
        }
    }

    /// The range of paths that the list is in.
    fn range(&self) -> (String, Option<String>) {
        match self.listing.collation {
            Collation::Bytes => (self.start.clone(), successor(&self.start)),
            // Upper case comes first in ASCII; where the matches end, `place` says.
            Collation::IgnoreCase => (self.start.to_ascii_uppercase(), None),
        }
    }

    fn place(&self, path: &str) -> Place {
        if self.listing.collation == Collation::IgnoreCase && !starts_with_ignoring_case(path, &self.start) {
            return Place::Elsewhere(next_match(path, &self.start));
        }
        match self.folder_length(path) {
            Some(length) => Place::Below(length),
            None => Place::Child,
        }
    }

    /// How long the path of the folder is in which the list shows this path, if in one.
    pub(super) fn folder_length(&self, path: &str) -> Option<usize> {
        self.listing.delimiter.as_ref()?.folder_length(self.listing.prefix.len(), path)
    }

    /// From where a scan goes on after an entry with this path.
    pub(super) fn after(&self, path: &str, order: SortOrder) -> String {
        match order {
            SortOrder::Descending => path.to_owned(),
            SortOrder::Ascending if self.folder_length(path) == Some(path.len()) => {
                successor(path).unwrap_or_else(|| just_after(path))
            }
            SortOrder::Ascending => just_after(path),
        }
    }
}

/// An upper bound for a statement. Where there is none, an empty blob: above all text, in SQLite's order.
fn bound(high: Option<&str>) -> Value {
    high.map_or(Value::Blob(Vec::new()), |high| Value::Text(high.to_owned()))
}

/// The statement that walks over these rows in this order.
pub(in super::super) fn sql(rules: &RoleRules, rows: Rows, order: SortOrder) -> &str {
    match (rows, order) {
        (Rows::All, SortOrder::Ascending) => rules.sql(Statement::AllUp, |rules| build(rules, "", "", "ASC")),
        (Rows::All, SortOrder::Descending) => {
            rules.sql(Statement::AllDown, |rules| build(rules, "", "", "DESC"))
        }
        (Rows::Own, SortOrder::Ascending) => {
            rules.sql(Statement::OwnUp, |rules| build(rules, BY_OWNER, OWN, "ASC"))
        }
        (Rows::Own, SortOrder::Descending) => {
            rules.sql(Statement::OwnDown, |rules| build(rules, BY_OWNER, OWN, "DESC"))
        }
    }
}

const BY_OWNER: &str = "INDEXED BY storage_objects_by_owner";
const OWN: &str = "o.owner_id = :uid AND";

fn build(rules: &RoleRules, index: &str, own: &str, way: &str) -> String {
    format!(
        "SELECT {OBJECT} FROM storage_buckets b CROSS JOIN storage_objects o {index} \
         WHERE b.id = :bucket AND {own} o.bucket_id = :bucket AND o.path >= :low AND o.path < :high \
         AND {} ORDER BY o.path {way}",
        rules.predicate(Permission::ObjectRead)
    )
}
