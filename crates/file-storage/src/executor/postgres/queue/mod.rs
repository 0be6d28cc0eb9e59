//! The upload queue: entries written with blobs, found, claimed, ended, and made for blobs that are there already.
//!
//! An entry goes by a trigger, with the deletion of its blob: whatever puts a blob into `blob_deletions` need not know of it.
//! Every transaction locks what refers to a blob before the blob's entry, as deletions do.

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
pub(super) use copies::{
    ADD_COPIES, CopyColumns, drop_one as drop_copy, of_blob as copies_of, of_provider as blob_copies,
    queue as queue_copies,
};
pub(super) use entries::{ADD, Columns, list, show};
pub(super) use migration::migrate;
pub(super) use operators::{cancel, depths, forget, retry, retry_failed};
pub(super) use providers::{identity, is_named, usage};
pub(super) use replace::replace;
