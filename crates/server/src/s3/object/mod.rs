//! Objects: read, written, copied, deleted, tagged.

pub(super) mod acl;
pub(super) mod attributes;
pub(super) mod copy;
pub(super) mod delete;
pub(super) mod get;
mod headers;
pub(super) mod list;
mod names;
pub(super) mod put;
pub(super) mod tagging;
mod tags;
pub(super) mod versions;

pub(super) use acl::{check_canned, owner};
pub(super) use headers::{Described, VERSION_ID, checksum_headers, checksum_type, insert};
pub(super) use names::Names;
pub(super) use put::{condition, not_as_announced, not_taken};
pub(super) use tags::{from_set as tags_from_set, to_set as tags_to_set};
