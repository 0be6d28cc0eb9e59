//! Lists that are read before somebody asks: after a change and after a start, for who asked before, and never another answer than
//! the database's.
#![cfg(feature = "failpoints")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests, whose helpers lie outside of test functions"
)]

mod audit;
mod changes;
mod counts;
mod faults;
mod permissions;
mod scene;
mod starts;
#[path = "../support/mod.rs"]
mod support;
mod switches;
