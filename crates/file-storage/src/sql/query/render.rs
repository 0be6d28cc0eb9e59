//! From the typed tree to an engine's statement: one shape for all engines, whose parts each one words for itself.
//!
//! Tables are `t0`, `t1` and so on; what gathering computes is `v.v0`, `v.v1`; the columns of the answer are `c0`, `c1`.
//! No word of a caller's is in a statement but as a literal, quoted by the engine's one function.

use super::{Aggregate, COMPUTED, From, Join, OrderKey, Output, Query};
use crate::sql::{ColumnRef, Expr, Names, Postgres, Table, Type};

/// How an engine words the parts.
pub trait Engine {
    /// A value.
    fn value(&self, expr: &Expr) -> String;

    /// A condition that rows are filtered by; in which order its parts are computed is free.
    fn filter(&self, expr: &Expr) -> String;

    /// The rows of a table that the caller may see, as it stands in FROM, without alias.
    fn table(&self, table: &'static Table) -> String;

    /// What is computed of a group.
    fn aggregate(&self, aggregate: &Aggregate) -> String;

    /// What puts values of a type, worded already, into PostgreSQL's order of their bytes.
    fn order(&self, value: String, ty: Type) -> String;
}

/// How columns are called, in all engines.
pub fn column_name(column: ColumnRef) -> String {
    if column.table.name == COMPUTED.name {
        format!("v.v{}", column.source)
    } else {
        format!("t{}.\"{}\"", column.source, column.column.name)
    }
}

/// The statement that gives at most so many rows.
pub fn render(query: &Query, engine: &dyn Engine, rows: u64) -> String {
    let outputs = query.outputs.iter().enumerate();
    let outputs = outputs.map(|(at, output)| format!("{} AS c{at}", engine.value(&output.expr)));
    let outputs = outputs.collect::<Vec<_>>().join(", ");
    let source = source(query, engine);
    let limit = format!(" LIMIT {rows} OFFSET {}", query.offset);
    if query.distinct {
        let order = order(&query.order, |expr| shown(&query.outputs, expr), engine);
        format!("SELECT * FROM (SELECT DISTINCT {outputs}{source}) AS d{order}{limit}")
    } else {
        let order = order(&query.order, |expr| engine.value(expr), engine);
        format!("SELECT {outputs}{source}{order}{limit}")
    }
}

/// FROM and WHERE, and what gathers the rows.
fn source(query: &Query, engine: &dyn Engine) -> String {
    let from = joins(&query.from, engine);
    let condition = |word: &str, expr: &Option<Expr>| match expr {
        Some(expr) => format!(" {word} {}", engine.filter(expr)),
        None => String::new(),
    };
    let filter = condition("WHERE", &query.filter);
    let Some(grouping) = &query.grouping else { return format!("{from}{filter}") };
    let keys = grouping.keys.iter().map(|key| engine.value(key));
    let aggregates = grouping.aggregates.iter().map(|aggregate| engine.aggregate(aggregate));
    let values = keys.chain(aggregates).enumerate().map(|(at, value)| format!("{value} AS v{at}, "));
    let by = (1..=grouping.keys.len()).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    let by = if by.is_empty() { by } else { format!(" GROUP BY {by}") };
    let having = condition("WHERE", &grouping.having);
    format!(" FROM (SELECT {}count(*) AS n{from}{filter}{by}) AS v{having}", values.collect::<String>())
}

fn joins(from: &[From], engine: &dyn Engine) -> String {
    let joined = from.iter().enumerate().map(|(at, from)| {
        let table = format!("{} AS t{at}", engine.table(from.table));
        match (at, &from.join) {
            (0, _) => format!(" FROM {table}"),
            (_, Join::Cross) => format!(" JOIN {table} ON true"),
            (_, Join::Inner(on)) => format!(" JOIN {table} ON {}", engine.filter(on)),
            (_, Join::Left(on)) => format!(" LEFT JOIN {table} ON {}", engine.filter(on)),
        }
    });
    joined.collect()
}

fn order(keys: &[OrderKey], value: impl Fn(&Expr) -> String, engine: &dyn Engine) -> String {
    let keys = keys.iter().map(|key| {
        let value = engine.order(value(&key.expr), key.expr.ty());
        let direction = if key.descending { " DESC" } else { "" };
        let nulls = match key.nulls_first {
            Some(true) => " NULLS FIRST",
            Some(false) => " NULLS LAST",
            None => "",
        };
        format!("{value}{direction}{nulls}")
    });
    let keys = keys.collect::<Vec<_>>().join(", ");
    if keys.is_empty() { keys } else { format!(" ORDER BY {keys}") }
}

/// The column of the answer that has this value.
fn shown(outputs: &[Output], expr: &Expr) -> String {
    let at = outputs.iter().position(|output| output.expr == *expr);
    at.map_or_else(|| "NULL".to_owned(), |at| format!("d.c{at}"))
}

/// Words queries for PostgreSQL, whose native policies decide about rows.
pub struct PostgresQueries<'a> {
    /// The schema of tables and functions.
    pub schema: &'a str,
}

impl Engine for PostgresQueries<'_> {
    fn value(&self, expr: &Expr) -> String {
        Postgres { names: Names::Schema(self.schema), column: Some(&column_name) }.render(expr)
    }

    fn filter(&self, expr: &Expr) -> String {
        self.value(expr)
    }

    fn table(&self, table: &'static Table) -> String {
        format!("\"{}\".\"{}\"", self.schema.replace('"', "\"\""), table.name)
    }

    fn aggregate(&self, aggregate: &Aggregate) -> String {
        let distinct = if aggregate.distinct { "DISTINCT " } else { "" };
        let argument = match &aggregate.argument {
            None => "*".to_owned(),
            Some(argument) => self.order(self.value(argument), argument.ty()),
        };
        format!("{}({distinct}{argument})", aggregate.function.name())
    }

    fn order(&self, value: String, ty: Type) -> String {
        if ty == Type::Text { format!("({value} COLLATE \"C\")") } else { value }
    }
}

/// The statement for PostgreSQL, run as the caller's role. All its columns are texts, or NULL, in the form that
/// [`super::read_postgres`] reads, whatever the session's settings are.
pub fn postgres(query: &Query, schema: &str, rows: u64) -> String {
    let statement = render(query, &PostgresQueries { schema }, rows);
    let columns = query.outputs.iter().enumerate().map(|(at, output)| match output.expr.ty() {
        Type::Timestamptz | Type::Interval => {
            format!("(extract(epoch FROM q.c{at}) * 1000000)::bigint::text")
        }
        Type::TextArray => format!("to_json(q.c{at})::text"),
        _ => format!("q.c{at}::text"),
    });
    format!("SELECT {} FROM ({statement}) AS q", columns.collect::<Vec<_>>().join(", "))
}
