//! AWS Signature Version 4: who signed a request, and whether the signature fits it.
//!
//! ```text
//! let shown = signature::shown(&parts, &query, clock)?;           // what the request shows: in its header or in its query
//! let (key, origin) = shown.verify((&keys, &secret), &parts, &query, &origins)?; // constant-time; `origin` says what is meant
//! let payload = shown.payload(key)?;                          // what the body must be
//! ```
//!
//! Everything that S3 acts by must be signed: the host, and each `x-amz-` header. Knows no storage.

mod canonical;
pub(super) mod chunked;
mod claim;
pub(super) mod key;
mod time;

pub(super) use canonical::Origin;
pub(super) use claim::shown;
pub(super) use time::{Clock, parse as parse_time};

/// The one algorithm there is.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
