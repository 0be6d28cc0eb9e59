//! Who is asking, what for, and which permission that takes.
//!
//! The way of every operation: an [`Operation`] names the [`Permission`]s it needs (an exhaustive match),
//! [`Access::check`] compares them with the caller's role, and the [`Access`] that it gives back is what an
//! executor demands. Which rows the caller may touch is then decided inside the database, by the same
//! permission's predicate. There is no second door.

mod access;
mod context;
mod operation;
pub mod policy;

pub use access::{Access, AccessRules, AnonGrants, BucketGrant};
pub(crate) use access::{bucket_missing, denied};
pub use context::{RlsContext, Role};
pub use operation::{Operation, Permission};
pub use policy::{Policy, PolicySet, PolicyStatement};

#[cfg(test)]
mod tests;
