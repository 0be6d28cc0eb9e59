//! The harness at its boundary, a socket: limits, timeouts, panics, shutdown, CORS, request ids, log lines.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod connections;
mod cors;
mod operations;
mod shutdown;
mod support;
