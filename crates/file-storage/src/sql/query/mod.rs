//! Queries that callers write: one `SELECT` over the tables that they may read, typed like all expressions here.
//!
//! [`parse`] is the gate: it bounds and parses the text and lowers it, by an allow-list, into a [`Query`]. No text of
//! the caller's goes further: engines run what [`render`] makes of the tree. Which rows a caller sees is theirs to
//! decide, by row-level security behind the gate. What they read becomes an [`Answer`], alike for all engines.

mod aggregate;
mod answer;
mod average;
mod from;
mod gate;
mod grouping;
mod names;
mod order;
mod parameters;
mod render;
mod select;
mod tables;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::generate;

pub(crate) use aggregate::Aggregates;
pub use aggregate::{Aggregate, AggregateFunction};
pub use answer::{Answer, AnswerWriter, read_postgres};
pub(crate) use average::average;
pub use gate::{parse, parse_over};
pub use render::{Engine, PostgresQueries, column_name, postgres, render};
pub use tables::{BUCKETS, OWN_QUEUE, QUEUE, READABLE, READABLE_BY_USERS, USAGE};
pub(crate) use tables::{COMPUTED, MAX_COMPUTED, computed, digits, key};

use std::time::Duration;

use super::{Expr, Table};

/// One `SELECT`.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The tables, joined from left to right; none for a query of constants.
    pub from: Vec<From>,
    /// `WHERE`.
    pub filter: Option<Expr>,
    /// What rows are gathered by. Then all that follows reads only what gathering computes (`computed`).
    pub grouping: Option<Grouping>,
    /// `DISTINCT`.
    pub distinct: bool,
    /// The columns of the answer.
    pub outputs: Vec<Output>,
    /// What rows are ordered by, until no two are alike.
    pub order: Vec<OrderKey>,
    /// `LIMIT`.
    pub limit: Option<u64>,
    /// `OFFSET`.
    pub offset: u64,
}

/// A table, and how it is joined to those before it.
#[derive(Debug, Clone, PartialEq)]
pub struct From {
    /// The table.
    pub table: &'static Table,
    /// How it is joined. The first one's is of no account.
    pub join: Join,
}

/// How a table is joined to those before it.
#[derive(Debug, Clone, PartialEq)]
pub enum Join {
    /// Each row with each.
    Cross,
    /// Rows of which the condition holds.
    Inner(Expr),
    /// The same, and rows that have no partner, with NULLs for it.
    Left(Expr),
}

/// What rows are gathered by, and what is computed of each group.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouping {
    /// `GROUP BY`: empty for one group of all rows.
    pub keys: Vec<Expr>,
    /// What is computed of each group.
    pub aggregates: Vec<Aggregate>,
    /// `HAVING`.
    pub having: Option<Expr>,
}

/// A column of the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its value.
    pub expr: Expr,
}

/// What rows are ordered by.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderKey {
    /// The value.
    pub expr: Expr,
    /// Largest first.
    pub descending: bool,
    /// Where NULLs stand; `None` where there are none, or none that matter.
    pub nulls_first: Option<bool>,
}

/// How much a query may take and give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// Most rows of an answer.
    pub rows: u64,
    /// Most bytes of an answer's rows, as JSON.
    pub bytes: usize,
    /// How long it may run.
    pub time: Duration,
}

impl Query {
    /// How many rows an engine is to read under a limit: one more than are shown, where the query would go on.
    pub fn rows_to_read(&self, limits: &QueryLimits) -> u64 {
        match self.limit {
            Some(limit) if limit <= limits.rows => limit,
            _ => limits.rows.saturating_add(1),
        }
    }

    /// All expressions in it.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let joins = self.from.iter().filter_map(|from| match &from.join {
            Join::Cross => None,
            Join::Inner(on) | Join::Left(on) => Some(on),
        });
        let grouped = self.grouping.iter().flat_map(|grouping| {
            let arguments = grouping.aggregates.iter().filter_map(|aggregate| aggregate.argument.as_ref());
            grouping.keys.iter().chain(arguments).chain(&grouping.having)
        });
        let shown = self.outputs.iter().map(|output| &output.expr);
        joins.chain(&self.filter).chain(grouped).chain(shown).chain(self.order.iter().map(|key| &key.expr))
    }
}
