//! Jobs: written, shown and cancelled for their callers; claimed, saved and ended by runners.
//!
//! Callers read as themselves; all writing is the keeper's, who alone knows with which claims a job runs.

mod claims;
mod rows;

pub(super) use claims::{claim, end, forget, renew, save};
pub(super) use rows::{cancel, create, create_on, list, show};
