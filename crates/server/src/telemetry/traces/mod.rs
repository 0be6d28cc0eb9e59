//! Traces for OpenTelemetry: what a request took, and what of it went to the database and to providers.
//!
//! ```text
//! tracing spans of the target "trace"     request → database, provider
//!   → TraceLayer     those of a trace that is sampled, when they end; never waits
//!     → Exporter     a task: batches, as OTLP's JSON over HTTP
//! ```
//!
//! A request with `traceparent` (W3C Trace Context) goes on with its caller's trace. Spans tell operations, providers, statuses
//! and the request's id, which the log has as well; no path, no user, no token. Written by hand, as OTLP's JSON is a page, and
//! OpenTelemetry's own crates bring a second way of serializing everything. Without an endpoint, no span is ever made.

mod context;
mod exporter;
mod layer;
mod otlp;

pub use exporter::{Exporter, TraceOptions};
pub use layer::TraceLayer;

pub(super) use layer::with;

/// What spans are known by to those who collect them, and to filters.
const TARGET: &str = "trace";
