//! The bytes of a benchmark's objects: made once, different for each object, checkable at any offset.

/// Bytes that repeat; a prime, so that no power of two lines up with it.
const BLOCK: usize = 1_048_573;
/// How far the contents of neighbouring objects are shifted.
const SHIFT: u64 = 4_099;

/// The contents of all objects of one size.
#[derive(Debug)]
pub(super) struct Payload {
    size: u64,
    block: Vec<u8>,
}

impl Payload {
    pub(super) fn new(size: u64) -> Self {
        let mut random = Random::new(size);
        let block = (0..BLOCK).map(|_| random.next().to_le_bytes()[7]).collect();
        Self { size, block }
    }

    /// The size of each object.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// A run of object `index` from `offset` on: at most as long as asked, not empty before the object's end.
    pub(super) fn run(&self, index: u64, offset: u64, most: usize) -> &[u8] {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let start = (index.wrapping_mul(SHIFT) % BLOCK as u64 + offset % BLOCK as u64) % BLOCK as u64;
        let tail = usize::try_from(start).ok().and_then(|start| self.block.get(start..)).unwrap_or_default();
        tail.get(..most.min(left)).unwrap_or(tail)
    }

    /// Whether `bytes` are what object `index` holds at `offset`.
    pub(super) fn matches(&self, index: u64, mut offset: u64, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let expected = self.run(index, offset, bytes.len());
            if expected.is_empty() || !bytes.starts_with(expected) {
                return false;
            }
            bytes = bytes.get(expected.len()..).unwrap_or_default();
            offset += expected.len() as u64;
        }
        true
    }
}

/// A small generator (xorshift64*): load needs speed and repeatability, not secrecy.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_checkable_in_any_cut() {
        let payload = Payload::new(3_000_000);
        let mut whole = Vec::new();
        while whole.len() < 3_000_000 {
            let run = payload.run(7, whole.len() as u64, usize::MAX);
            assert!(!run.is_empty());
            whole.extend_from_slice(run);
        }
        assert_eq!(whole.len(), 3_000_000);
        for (offset, length) in [(0, 3_000_000), (1_048_570, 10), (2_999_999, 1), (5, 0)] {
            assert!(payload.matches(7, offset as u64, &whole[offset..offset + length]), "{offset} {length}");
        }
        assert!(!payload.matches(8, 0, &whole[..100]), "another object");
        assert!(!payload.matches(7, 1, &whole[..100]), "another offset");
        whole.push(0);
        assert!(!payload.matches(7, 0, &whole), "too long");
    }
}
