//! What only a shared database brings: several processes over one database and one directory, and a database that goes
//! away while they work.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests, whose helpers lie outside of test functions"
)]

mod cluster;
mod outages;
mod shared;
#[path = "../support/mod.rs"]
mod support;
mod tls;
