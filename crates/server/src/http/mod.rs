//! The harness that all protocols share: sockets, connections, limits, request ids, panics, CORS, and one log line
//! and one measurement per operation.
//!
//! A protocol is an `axum::Router` that knows nothing of all this. It finds a [`RequestId`] and a [`Peer`] in the
//! extensions of a request, and leaves an [`OperationLog`] in those of its answer.
//! Knows no bucket and no token.

mod accept;
mod answer;
mod connection;
mod cors;
mod harness;
mod host;
mod io;
mod operation;
mod options;
mod request_body;
mod request_id;
mod response_body;

pub use accept::{Listener, Shutdown};
pub use answer::{not_found, problem};
pub use harness::{Harness, Peer};
pub use host::{called_host, is_authority};
pub use operation::OperationLog;
pub(crate) use operation::{AT_THE_DOOR, LogSlot};
pub use options::HttpOptions;
pub use request_body::BodyStalled;
pub use request_id::RequestId;
