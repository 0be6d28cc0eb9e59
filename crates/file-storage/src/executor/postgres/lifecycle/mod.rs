//! Rules that let old files go: kept, asked and followed. Whose time has come is decided elsewhere.

mod aged;
mod endings;
mod rules;
mod warnings;

pub(super) use aged::{uploads, versions};
pub(super) use endings::{end_uploads, end_versions};
pub(super) use rules::{all, clock, remove, replace, set, take_turn};
pub(super) use warnings::{forget, given, warn};
