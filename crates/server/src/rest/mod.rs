//! The REST protocol (SPEC 6), in two dialects from one set of handlers.
//!
//! A request comes in by `routes`, becomes a `call::Call` (who asks) with a target (`path`) and perhaps a body
//! (`body`, `json`); the handler, one file per noun and operation, asks the storage and lets the [`Dialect`] word the
//! result. Errors travel as `ApiError` and are worded in one place, `render`. Decides nothing about access.

mod body;
mod bucket;
pub(crate) mod call;
mod dialect;
mod disposition;
pub(crate) mod events;
mod explain;
pub(crate) mod json;
mod object;
mod path;
mod prefer;
mod queries;
pub(crate) mod query;
mod render;
mod routes;
mod unsupported;
mod upload_queue;

pub(crate) use body::{body_stream, form_failed, interrupted, metadata_of_user};
pub use dialect::Dialect;
pub(crate) use dialect::QueueEntryBody;
pub(crate) use object::wants_upsert;
pub use routes::{openapi, router};

/// Where the API is, as clients know it.
pub const BASE: &str = "/storage/v1";
