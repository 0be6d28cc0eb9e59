//! The harness at its boundary, a socket: limits, timeouts, panics, shutdown, CORS, request ids, log lines.

mod connections;
mod cors;
mod operations;
mod shutdown;
mod support;
