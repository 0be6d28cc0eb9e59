//! Bodies of the `supabase` dialect: to the letter those of Supabase Storage, and nothing more.

mod bucket;
pub(super) mod errors;
mod list;
mod object;
mod signed;

pub(super) use bucket::{BucketRow, Named};
pub(super) use list::{ListRow, ListV2};
pub(super) use object::{Copied, Info, Key, ObjectRow, Uploaded};
pub(super) use signed::{Signed, SignedEntry, SignedUpload, signed_url};
