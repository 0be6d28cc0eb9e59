//! Unfinished uploads: begun, found, listed, added to, made objects of, given up. Who has begun one goes on with it; whether
//! something may be written at its path is decided when it is begun and when it becomes an object.

mod append;
mod complete;
mod create;
mod discard;
mod find;
mod part;

pub(super) use append::{announce_length, append, claim};
pub(super) use complete::complete;
pub(super) use create::create;
pub(super) use discard::{abort, expire, lost, of_bucket};
pub(super) use find::{first_parts, list, parts, show};
pub(super) use part::put;
