//! Resumable uploads by TUS 1.0.0 (SPEC 7), with the extensions that [`EXTENSIONS`] names.
//!
//! Requests are parsed here and answered in TUS's headers; an upload itself, who may go on with it and what it becomes, is the
//! storage's. The routes stand below the REST API's base and share its callers, log lines and dialects.

mod answer;
mod checksum;
mod concat;
mod create;
mod delete;
mod document;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod head;
mod headers;
mod location;
mod metadata;
mod options;
mod patch;
mod routes;
mod uploader;

pub(crate) use answer::{Spoken, render};
pub(crate) use document::Document;
pub(crate) use routes::routes;

/// Where uploads begin, below the base.
const ROOT: &str = "/upload/resumable";

/// The version of the protocol.
const VERSION: &str = "1.0.0";
