//! The storage as its callers have it: over real disks, databases and providers, with faults where they may come.
//!
//! All suites are one program: each that is built alone has the whole storage in it, which takes longer than the suite.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests, whose helpers lie outside of test functions"
)]

#[cfg(feature = "failpoints")]
mod batches;
mod cache;
mod cache_rows;
mod failover;
#[cfg(feature = "failpoints")]
mod failures;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
mod folders;
mod invariants;
mod lifecycle;
mod limits;
mod model;
mod multipart;
#[cfg(feature = "failpoints")]
mod orphans;
mod policies_document;
mod postgres;
mod providers;
#[cfg(feature = "failpoints")]
mod queue;
#[cfg(feature = "failpoints")]
mod scrub;
mod signing;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "failpoints")]
mod upkeep;
#[cfg(feature = "failpoints")]
mod warming;
