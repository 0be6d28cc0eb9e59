//! Bodies of the native dialect: the fields of the product and those of Supabase, so that either kind of client finds
//! its own.
//!
//! `metadata` means what it means at Supabase: what the user said, in answers about one object; what the system
//! knows, in rows. `user_metadata` is always the former.

mod bucket;
mod errors;
mod list;
mod object;
mod queue;
mod signed;
mod versions;

pub(in crate::rest) use bucket::BucketBody;
pub(super) use bucket::{BucketUpdated, Emptied};
pub(in crate::rest) use errors::ErrorBody;
pub(in crate::rest) use list::{ListEntry, ListV2Body};
pub(super) use object::Moved;
pub(in crate::rest) use object::{ObjectBody, Uploaded};
pub(crate) use queue::QueueEntryBody;
pub(in crate::rest) use queue::QueueEntryPage;
pub(in crate::rest) use signed::{Signed, SignedEntry, UploadTarget};
pub(in crate::rest) use versions::VersionsBody;

use serde::Serialize;
use utoipa::ToSchema;

/// A word to people.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct Message {
    /// What was done.
    pub(in crate::rest) message: &'static str,
}
