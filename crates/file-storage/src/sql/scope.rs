//! What names mean: the tables in reach and their columns.

use sqlparser::ast::Ident;

use super::query::{COMPUTED, MAX_COMPUTED, READABLE};
use super::{SqlFault, Type, Value};

/// A column.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in both engines.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Other names that it goes by.
    pub synonyms: &'static [&'static str],
}

/// A table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name in both engines.
    pub name: &'static str,
    /// Other names that it goes by, with the schema where they need one.
    pub synonyms: &'static [&'static str],
    /// Its columns.
    pub columns: &'static [Column],
}

pub(super) const fn column(name: &'static str, ty: Type) -> Column {
    Column { name, ty, synonyms: &[] }
}

/// `storage_objects` (SPEC 4), and what Supabase calls it.
pub static OBJECTS: Table = Table {
    name: "storage_objects",
    synonyms: &["objects", "storage.objects", "storage.storage_objects"],
    columns: &[
        column("id", Type::Uuid),
        column("bucket_id", Type::Text),
        Column { name: "path", ty: Type::Text, synonyms: &["name"] },
        column("size", Type::Int8),
        column("content_type", Type::Text),
        column("cache_control", Type::Text),
        column("checksum", Type::Text),
        column("etag", Type::Text),
        Column { name: "owner_id", ty: Type::Uuid, synonyms: &["owner"] },
        Column { name: "metadata", ty: Type::Jsonb, synonyms: &["user_metadata"] },
        column("version", Type::Uuid),
        column("created_at", Type::Timestamptz),
        column("updated_at", Type::Timestamptz),
    ],
};

/// All tables that expressions can read.
pub static TABLES: &[&Table] = &[&OBJECTS];

/// Most tables that one expression can read.
pub const MAX_SOURCES: usize = 8;

impl Table {
    /// Whether a name, with its schema if it has one, is this table's.
    pub fn is_named(&self, parts: &[Ident]) -> bool {
        let name = parts.iter().map(folded).collect::<Vec<_>>().join(".");
        name == self.name || self.synonyms.contains(&name.as_str())
    }

    fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name || column.synonyms.contains(&name))
    }
}

/// An identifier as PostgreSQL reads it: lower case, unless quoted.
pub(super) fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}

/// A table in reach, under another name where it was given one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The table.
    pub table: &'static Table,
    /// The name that hides the table's own.
    pub alias: Option<String>,
}

/// All that names can mean in an expression.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// The tables that may be brought into reach.
    pub tables: &'static [&'static Table],
    /// The tables in reach.
    pub sources: Vec<Source>,
    /// What `$1` and so on stand for: a value, and its type ([`Type::Unknown`] for a text that is still to take one).
    pub parameters: Vec<(Value<'static>, Type)>,
}

/// A column of one of the scope's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnRef {
    /// Which of [`Scope::sources`].
    pub source: usize,
    /// The table.
    pub table: &'static Table,
    /// The column.
    pub column: &'static Column,
}

impl ColumnRef {
    /// The column's name in a text that stands for itself, whatever scope it came from: [`Scope::numbered`] reads it.
    pub(super) fn numbered(self) -> String {
        format!("{}.{}", alias(self.source, self.table), self.column.name)
    }
}

fn alias(source: usize, table: &Table) -> String {
    format!("t{source}_{}", table.name)
}

impl Scope {
    /// Every table at every place that it can have in a scope. Columns keep the order of their places.
    pub(crate) fn numbered() -> Self {
        let places = (0..MAX_SOURCES).flat_map(|source| READABLE.iter().map(move |table| (source, *table)));
        let places = places.chain((0..MAX_COMPUTED).map(|place| (place, &COMPUTED)));
        let sources = places.map(|(source, table)| Source { table, alias: Some(alias(source, table)) });
        Self { tables: &[], sources: sources.collect(), parameters: Vec::new() }
    }

    /// The rows of one table.
    pub fn of(table: &'static Table) -> Self {
        Self { tables: &[], sources: vec![Source { table, alias: None }], parameters: Vec::new() }
    }

    /// The column of a name, with its table if it has one.
    pub(super) fn resolve(&self, parts: &[Ident]) -> Result<ColumnRef, SqlFault> {
        let Some((name, qualifier)) = parts.split_last() else {
            return Err(SqlFault::of_text("a column must have a name"));
        };
        let mut found = None;
        for (source, from) in self.sources.iter().enumerate() {
            let named = match (&from.alias, qualifier) {
                (_, []) => true,
                (Some(alias), [one]) => folded(one) == *alias,
                (Some(_), _) => false,
                (None, qualifier) => from.table.is_named(qualifier),
            };
            let Some(column) = from.table.column(&folded(name)).filter(|_| named) else { continue };
            if found.is_some() {
                let reason = format!("column reference \"{}\" is ambiguous", name.value);
                return Err(SqlFault::at(name.span.start, reason).hint("put the table's name before it"));
            }
            found = Some(ColumnRef { source, table: from.table, column });
        }
        found.ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &Ident) -> SqlFault {
        let fault = SqlFault::at(name.span.start, format!("column \"{}\" does not exist", name.value));
        match name.value.as_str() {
            "path_tokens" => fault.hint("use storage.foldername(name) and storage.filename(name)"),
            "last_accessed_at" => fault.hint("the time of the last access is not kept"),
            _ => {
                let columns = self.sources.iter().flat_map(|source| source.table.columns);
                let names = columns.map(|column| column.name).collect::<Vec<_>>().join(", ");
                fault.hint(format!("there are {names}"))
            }
        }
    }
}
