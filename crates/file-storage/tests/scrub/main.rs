//! Scrubs over real disks whose files are damaged behind the storage's back, on either engine of the metadata.
#![cfg(feature = "failpoints")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests, whose helpers lie outside of test functions"
)]

mod meanwhile;
mod repairs;
mod reports;
mod scene;
#[path = "../support/mod.rs"]
mod support;
