//! Buckets, one operation per file.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod empty;
mod fields;
pub(super) mod list;
pub(super) mod show;
pub(super) mod update;
