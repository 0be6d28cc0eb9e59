//! How SQLite words a query.

use rusqlite::Connection;

use super::tables::SEEN;
use super::{aggregates, tables};
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rules::RoleRules;
use crate::sql::query::{Aggregate, AggregateFunction, COMPUTED, Engine, Query, column_name, render};
use crate::sql::{Expr, Sqlite, Table, Type};

/// The wording for one database.
pub(super) struct Rendering<'r> {
    /// What the caller's role may see.
    rules: &'r RoleRules,
    /// Whether the database has the queue of uploads already.
    has_queue: bool,
}

impl<'r> Rendering<'r> {
    /// The wording for the database as it is, and the rules in force.
    pub(super) fn of(conn: &Connection, rules: &'r RoleRules) -> Result<Self, Fault> {
        // The authorizer keeps the schema itself from being read: a table is there if a statement over it can be made.
        let has_queue = conn.prepare("SELECT count(*) FROM upload_queue").is_ok();
        Ok(Self { rules, has_queue })
    }

    /// The statement that gives at most so many rows.
    pub(super) fn statement(&self, query: &Query, rows: u64) -> String {
        render(query, self, rows.min(i64::MAX.unsigned_abs()))
    }
}

/// That the caller may see the rows whose columns an expression reads. A row that an outer join made up hides nothing.
fn seen(expr: &Expr) -> Option<String> {
    let columns = expr.columns();
    let read = columns.iter().filter(|column| column.table.name != COMPUTED.name);
    let mut sources: Vec<_> = read.map(|column| column.source).collect();
    sources.sort_unstable();
    sources.dedup();
    let seen = sources.iter().map(|source| format!("t{source}.\"{SEEN}\" IS NOT 0"));
    (!sources.is_empty()).then(|| seen.collect::<Vec<_>>().join(" AND "))
}

impl Engine for Rendering<'_> {
    fn value(&self, expr: &Expr) -> String {
        match expr {
            // As it is kept, of whatever type.
            Expr::Column(column) => column_name(*column),
            expr => Sqlite { column: &column_name }.render(expr),
        }
    }

    fn filter(&self, expr: &Expr) -> String {
        Sqlite { column: &column_name }.render_filter(expr, &seen)
    }

    fn table(&self, table: &'static Table) -> String {
        tables::rows(table, self.rules, self.has_queue)
    }

    fn aggregate(&self, aggregate: &Aggregate) -> String {
        let distinct = if aggregate.distinct { "DISTINCT " } else { "" };
        let Some(argument) = &aggregate.argument else { return "count(*)".to_owned() };
        let name = match aggregate.function {
            AggregateFunction::Sum if argument.ty() == Type::Int8 => aggregates::SUM,
            AggregateFunction::Average => aggregates::AVERAGE,
            function => function.name(),
        };
        format!("{name}({distinct}{})", self.value(argument))
    }

    fn order(&self, value: String, ty: Type) -> String {
        if ty == Type::Numeric { format!("{}({value})", aggregates::ORDER) } else { value }
    }
}
