//! Amazon's S3 protocol (SPEC 7), over the same storage and under the same row-level security as all others.
//!
//! A request's signature is verified (`signature`), its caller found (`caller`), and what its signer meant (`target`), before
//! anything else is looked at; then which operation it is (`route`), whether all that it asks for is there (`supported`), and
//! whether the bucket is whose it expects (`owners`).
//! What carries an object's bytes is answered here (`object`, `multipart`, `form`); what carries XML goes through `s3s`
//! (`documents`), whose operations (`operations`) are one function each, in files by what they are about. `s3s` never sees a
//! signature: it can't verify one below a path prefix or behind a proxy. Errors become S3's codes in `failure` alone. Decides
//! nothing about access.

mod bucket;
mod budget;
mod call;
mod caller;
mod cors;
mod documents;
mod failure;
mod form;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod hoisted;
mod multipart;
mod object;
mod operations;
mod owners;
mod payload;
mod route;
mod service;
mod signature;
mod supported;
mod target;
mod xml;

pub(crate) use budget::Budget;
pub(crate) use caller::Keys;
pub(crate) use service::{own_listener, service};

/// Where the protocol is, below the server's own address.
pub(crate) const BASE: &str = "/storage/v1/s3";
