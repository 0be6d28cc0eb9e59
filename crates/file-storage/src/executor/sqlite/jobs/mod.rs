//! Jobs: written, shown and cancelled for their callers; claimed, saved and ended by runners.

mod claims;
mod rows;

pub(super) use claims::{claim, end, end_claims, forget, renew, save};
pub(super) use rows::{cancel, create, list, show};
