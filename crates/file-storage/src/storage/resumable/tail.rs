//! The end of an upload that came in small pieces. They stay in the database until they are worth a blob of their own, so
//! that many small requests do not make as many files: pieces are merged into rows, and rows into one blob.

use bytes::{Bytes, BytesMut};

use crate::file::{Place, Segment};
use crate::multipart::NewPart;

/// Most bytes that wait in the database for more.
pub(super) const WAITING: usize = 256 << 10;

/// Most bytes of one row of them: more is not rewritten for a few bytes.
const ROW: usize = 32 << 10;

/// The last pieces, all of them inline.
pub(super) struct Tail {
    pieces: Vec<Segment>,
}

/// A run of bytes, and what of the tail it takes in.
pub(super) struct Merged {
    /// Where it begins in the upload.
    pub(super) offset: u64,
    /// How many of the last pieces are part of it.
    pub(super) takes_in: u32,
    /// Its bytes.
    pub(super) bytes: Bytes,
}

impl Tail {
    pub(super) fn new(pieces: Vec<Segment>) -> Self {
        Self { pieces }
    }

    /// Bytes that may still come before all of it is worth a blob.
    pub(super) fn room(&self) -> usize {
        WAITING.saturating_sub(self.pieces.iter().map(length).sum())
    }

    /// A run was made known in place of the pieces that it takes in.
    pub(super) fn took(&mut self, merged: &Merged, part: NewPart) {
        let left = self.pieces.len().saturating_sub(merged.takes_in as usize);
        self.pieces.truncate(left);
        match part.place {
            Place::Inline(_) => self.pieces.push(Segment {
                offset: merged.offset,
                size: part.size,
                sha256: part.sha256,
                place: part.place,
                belongs: None,
            }),
            // What comes after a blob does not wait with what came before it.
            Place::Blob { .. } => self.pieces.clear(),
        }
    }

    /// A few bytes more, at an offset: with the last piece, if both are small.
    pub(super) fn with(&self, more: &Bytes, offset: u64) -> Merged {
        match self.pieces.last() {
            Some(last) if length(last) + more.len() <= ROW => {
                merged(std::slice::from_ref(last), more, offset)
            }
            _ => merged(&[], more, offset),
        }
    }

    /// All of it, with the bytes that come next.
    pub(super) fn whole_with(&self, more: &Bytes, offset: u64) -> Merged {
        merged(&self.pieces, more, offset)
    }
}

fn length(piece: &Segment) -> usize {
    match &piece.place {
        Place::Inline(bytes) => bytes.len(),
        Place::Blob { .. } => 0,
    }
}

fn merged(pieces: &[Segment], more: &Bytes, offset: u64) -> Merged {
    let Some(first) = pieces.first() else { return Merged { offset, takes_in: 0, bytes: more.clone() } };
    let mut bytes = BytesMut::with_capacity(pieces.iter().map(length).sum::<usize>() + more.len());
    for piece in pieces {
        if let Place::Inline(inline) = &piece.place {
            bytes.extend_from_slice(inline);
        }
    }
    bytes.extend_from_slice(more);
    Merged {
        offset: first.offset,
        takes_in: u32::try_from(pieces.len()).unwrap_or(u32::MAX),
        bytes: bytes.freeze(),
    }
}
