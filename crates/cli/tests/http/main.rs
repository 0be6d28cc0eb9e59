//! The real binary, seen through its door: what every route answers to every caller, to nonsense, and under load.
//!
//! Each test starts a server of its own on a free port, with a data directory that goes away with it. What a test
//! expects is written from the specification, never taken from the code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests, whose helpers lie outside of test functions"
)]

mod support;

mod access;
mod adopt;
mod audit;
mod batch;
mod concurrency;
mod download;
mod errors;
mod events;
mod figures;
mod input;
mod jobs;
mod leaks;
mod lifecycle;
mod origin;
mod policies;
mod queries;
mod refusals;
mod signing;
mod subscribers;
mod tokens;
mod traces;
mod tus;
mod upload_queue;
mod usage;
mod versions;
mod webhooks;
