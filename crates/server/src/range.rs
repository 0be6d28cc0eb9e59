//! The `Range` header (RFC 9110, section 14).
//!
//! One range of bytes is served as asked. Several at once, other units and malformed headers are ignored, as the RFC
//! allows: the whole object is the answer. A range that lies outside the object is 416.

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Everything, or something that is not understood.
    Whole,
    /// These bytes, which the object has.
    Part(Range<u64>),
    /// Bytes that the object does not have.
    Outside,
}

/// What a header's value asks of an object of that size.
pub(crate) fn parse(value: &str, size: u64) -> Asked {
    let Some(spec) = value.trim().get(..6).filter(|unit| unit.eq_ignore_ascii_case("bytes=")) else {
        return Asked::Whole;
    };
    let spec = value.trim().get(spec.len()..).unwrap_or_default().trim();
    match spec.split_once('-') {
        Some(("", count)) => suffix(count.trim(), size),
        Some((first, last)) => between(first.trim(), last.trim(), size),
        None => Asked::Whole,
    }
}

/// The last `count` bytes.
fn suffix(count: &str, size: u64) -> Asked {
    match position(count) {
        None => Asked::Whole,
        Some(0) => Asked::Outside,
        Some(_) if size == 0 => Asked::Outside,
        Some(count) => Asked::Part(size.saturating_sub(count)..size),
    }
}

/// From a byte to another one, or to the end.
fn between(first: &str, last: &str, size: u64) -> Asked {
    let end = if last.is_empty() { Some(u64::MAX) } else { position(last) };
    match (position(first), end) {
        (Some(first), Some(last)) if first > last => Asked::Whole,
        (Some(first), Some(_)) if first >= size => Asked::Outside,
        (Some(first), Some(last)) => Asked::Part(first..last.saturating_add(1).min(size)),
        (None, _) | (_, None) => Asked::Whole,
    }
}

/// A position; one beyond any object counts as the largest.
fn position(digits: &str) -> Option<u64> {
    let sound = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, size: u64, wanted: &Asked) {
        assert_eq!(&parse(value, size), wanted, "{value} of {size}");
    }

    #[test]
    fn ranges_by_the_book() {
        check("bytes=0-3", 10, &Asked::Part(0..4));
        check("bytes=4-", 10, &Asked::Part(4..10));
        check("bytes=-2", 10, &Asked::Part(8..10));
        check("bytes=-99", 10, &Asked::Part(0..10));
        check("bytes=5-99", 10, &Asked::Part(5..10));
        check("bytes=9-9", 10, &Asked::Part(9..10));
        check("BYTES= 0-0 ", 10, &Asked::Part(0..1));
        check("bytes=0-99999999999999999999999", 10, &Asked::Part(0..10));
        check("bytes=10-", 10, &Asked::Outside);
        check("bytes=99-100", 10, &Asked::Outside);
        check("bytes=99999999999999999999999-", 10, &Asked::Outside);
        check("bytes=-0", 10, &Asked::Outside);
        check("bytes=0-", 0, &Asked::Outside);
        check("bytes=-1", 0, &Asked::Outside);
        for ignored in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=3-2",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=0x1-2",
            "bytés=0-1",
        ] {
            check(ignored, 10, &Asked::Whole);
        }
    }
}
