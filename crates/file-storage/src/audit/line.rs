//! One line as it stands in a file, and the chain that joins it to the one before.

use std::io::{self, BufRead, Read as _};

use serde::{Deserialize, Serialize};

use super::Entry;
use crate::file::Sha256;

/// Longest line that is read. The longest path, twice, and all else is far below.
pub(super) const LONGEST: u64 = 1 << 20;

/// The hash that a server's first line names as the one before it.
pub(super) const NOTHING: Sha256 = Sha256([0; 32]);

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its number among the server's lines, from 1.
    pub sequence: u64,
    /// The server that wrote it.
    pub server: String,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
    /// SHA-256 of the line before it, without its line feed.
    pub previous: String,
}

impl Line {
    /// The line that these bytes are, without their line feed.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Hash of the line before it.
    pub(super) fn previous_hash(&self) -> Option<Sha256> {
        Sha256::from_hex(&self.previous)
    }
}

/// What a file has next.
pub(super) enum Found {
    /// A line, without its line feed.
    Whole,
    /// The beginning of one: nobody was told that it is there.
    Torn,
    /// More than a line can have.
    TooLong,
    /// Nothing.
    End,
}

/// Reads the next line into `buffer`.
pub(super) fn read(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<Found> {
    buffer.clear();
    let length = reader.take(LONGEST).read_until(b'\n', buffer)?;
    Ok(match buffer.last() {
        None => Found::End,
        Some(b'\n') => {
            buffer.pop();
            Found::Whole
        }
        Some(_) if length as u64 == LONGEST => Found::TooLong,
        Some(_) => Found::Torn,
    })
}
