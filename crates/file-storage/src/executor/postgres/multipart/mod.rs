//! Unfinished uploads: begun, found, listed, added to, made objects of, given up. The keeper changes them, in the name of who
//! has begun them; whether something may be written at their path is decided when one is begun and when it becomes an object.

mod append;
mod complete;
mod create;
mod discard;
mod find;
mod part;

pub(super) use append::{announce_length, append, claim};
pub(super) use complete::complete;
pub(super) use create::create;
pub(super) use discard::{DISCARD_OF_BUCKET, abort, expire, given_up, lost};
pub(super) use find::{first_parts, list, parts, show};
pub(super) use part::put;
