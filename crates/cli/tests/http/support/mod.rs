//! A server, callers, requests by a client that behaves, and requests written byte by byte.

mod call;
#[allow(dead_code, reason = "shared with other suites, each of which uses a part of it")]
#[path = "../../../../file-storage/tests/support/database.rs"]
mod database;
mod raw;
mod server;

pub(crate) use call::{Call, Reply};
pub(crate) use raw::{RawReply, exchange, open, read_reply};
#[allow(unused_imports, reason = "another suite asks for it")]
pub(crate) use server::Data;
pub(crate) use server::Server;

use uuid::Uuid;

/// The users of these tests.
pub(crate) const OWNER: Uuid = Uuid::from_u128(0x0a11ce00_0000_4000_8000_000000000001);
/// Somebody else.
pub(crate) const OTHER: Uuid = Uuid::from_u128(0x0b0b0000_0000_4000_8000_000000000002);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Nobody: no token.
    Anon,
    /// A user.
    User(Uuid),
    /// The application's backend.
    Service,
}

/// Bytes that tell where they are, so that a part which is misplaced shows.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| ((at * 31 + at / 251) % 256) as u8).collect()
}
