//! Traces for OpenTelemetry: what a request took, and what of it went to the database and to providers.
//!
//! ```text
//! tracing spans of the target "trace"     request → database, provider
//!   → tracing-opentelemetry     makes spans of OpenTelemetry of them, of those traces that are sampled
//!     → Queue     takes them when they end; never waits, and counts what has no room
//!       → Exporter     a task: batches, by opentelemetry-otlp as protobuf over HTTP
//! ```
//!
//! A request with `traceparent` (W3C Trace Context) goes on with its caller's trace. Spans tell operations, providers, statuses
//! and the request's id, which the log has as well; no path, no user, no token. Without an endpoint, no span is ever made.
//!
//! NOTE: the SDK's own batches are not used. They run on a thread that blocks, where the client of HTTP wants this runtime; they
//! don't tell what they drop; and a collector that is away is an error for each batch.

mod client;
mod exporter;
mod layer;
mod request;
mod sampling;

pub use exporter::{Exporter, TraceError, TraceOptions};
pub use layer::TraceLayer;

pub(super) use layer::with;
pub(crate) use request::{begin, end};

/// What spans are known by to those who collect them, and to filters.
const TARGET: &str = "trace";
