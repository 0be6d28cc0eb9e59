//! Rows of objects that are kept: never out of date, whoever wrote, and never what somebody else was shown.
//!
//! Every object is asked for four times and compared each time with what the database says: the first is noted, the second is kept on
//! PostgreSQL, and later ones come from memory. On SQLite nothing is kept, and all else holds. The conformance suite of executors asks
//! for its objects in this way, too.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests, whose helpers lie outside of test functions"
)]

mod audit;
mod bounds;
mod by_hand;
mod callers;
mod changes;
mod cost;
mod moved;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod writers;
