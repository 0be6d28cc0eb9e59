//! PostgreSQL as the judge: random expressions, rows and callers, computed by PostgreSQL from the text as it was
//! written, and by us in every way that we have. Needs `AEROSTORE_TEST_POSTGRES`, the URL of a server on which
//! databases may be made; without it, nothing is judged, and the test says so.
//!
//! `AEROSTORE_ORACLE_CASES` sets how many cases, `AEROSTORE_ORACLE_SEED` repeats a run. Both are printed.

pub(crate) mod database;
mod expressions;
pub(crate) mod generate;
pub(crate) mod judge;
