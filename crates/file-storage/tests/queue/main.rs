//! Blobs that are not where they belong, and how they get there: over real disks and a cloud behind a proxy that harms what
//! passes, on either engine of the metadata.
#![cfg(feature = "failpoints")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests, whose helpers lie outside of test functions"
)]

mod copies;
mod crashes;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
mod faults;
mod moving;
mod scene;
mod spool;
#[path = "../support/mod.rs"]
mod support;
mod switches;
