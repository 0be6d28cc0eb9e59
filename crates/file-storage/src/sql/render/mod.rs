//! From the typed tree to an engine's own SQL.

mod postgres;
mod quote;
mod sqlite;

pub use postgres::{Names, Postgres};
pub use quote::{quote_postgres, quote_sqlite};
pub(crate) use sqlite::FUNCTION;
pub use sqlite::Sqlite;
