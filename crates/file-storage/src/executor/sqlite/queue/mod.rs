//! The upload queue: entries written with blobs, found, claimed, ended, and made for blobs that are there already.
//!
//! An entry goes by a trigger, with the deletion of its blob: whatever puts a blob into `blob_deletions` need not know of it.

mod archive;
mod claims;
mod copies;
mod entries;
mod migration;
mod operators;
mod providers;
mod replace;

pub(super) use archive::archive;
pub(super) use claims::{claim, complete, end, renew};
pub(super) use copies::{add_copies, blob_copies, copies_of, drop_copy, look, queue_copies};
pub(super) use entries::{add, list, show};
pub(super) use migration::migrate;
pub(super) use operators::{cancel, depths, forget, retry, retry_failed};
pub(super) use providers::{identity, is_named, say_identity, usage};
pub(super) use replace::replace;

#[cfg(test)]
pub(super) use {
    claims::{DUE, expired_sql},
    entries::list_sql,
};
