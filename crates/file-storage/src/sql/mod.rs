//! SQL that callers write: a small typed subset of PostgreSQL's expressions, the same on every engine.
//!
//! Text is bounded and parsed (`parse`), lowered by an allow-list into a typed [`Expr`] (`lower`), and from there
//! rendered for an engine ([`Postgres`], [`Sqlite`]) or computed in place ([`Expr::evaluate`]). No text of a caller
//! reaches an engine: what it runs is rendered from the typed tree, literals by one quoting function per engine.
//!
//! PostgreSQL's meaning is the meaning. What SQLite computes alike is rendered as SQLite's own SQL; all else goes
//! through [`Expr::evaluate`], which SQLite calls as a function; what neither does exactly is refused.
//! Knows the shape of tables ([`Table`]), and nothing of permissions, executors or connections.

mod decimal;
mod eval;
mod expr;
mod fault;
mod lower;
mod parse;
pub mod query;
mod render;
mod scope;
#[cfg(test)]
pub(crate) mod tests;
mod types;
mod value;

pub use decimal::Decimal;
pub use eval::{Asker, Cells, EvalError};
pub use expr::{Arithmetic, Comparison, Expr, Fact, Function, Test};
pub use fault::{Position, SqlFault};
pub use lower::{Lowering, lower};
pub use parse::{MAX_TEXT, expression, parser};
pub(crate) use parse::{end, fault};
pub(crate) use render::FUNCTION;
pub use render::{Names, Postgres, Sqlite, quote_postgres, quote_sqlite};
pub use scope::{Column, ColumnRef, MAX_SOURCES, OBJECTS, Scope, Source, TABLES, Table};
pub use types::Type;
pub use value::Value;
