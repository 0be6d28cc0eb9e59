//! The identity of a request, in logs, errors and the answer's `x-request-id`.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it, both ways.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over from a proxy.
const MAX_LENGTH: usize = 64;

/// The identity of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// A fresh one: 16 hex digits, a counter behind a mix that starts elsewhere in each process. It has to tell
    /// requests apart, not to keep a secret.
    pub fn generate() -> Self {
        static START: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = START.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        let mut text = [0_u8; 16];
        for (digit, shift) in text.iter_mut().zip((0..16).rev()) {
            let nibble = (mix(number) >> (shift * 4)) & 0xf;
            *digit = b"0123456789abcdef".get(nibble as usize).copied().unwrap_or(b'0');
        }
        Self(std::str::from_utf8(&text).unwrap_or_default().into())
    }

    /// The one that a trusted proxy gave, if it is short and printable.
    pub(super) fn from_proxy(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(HEADER)?.to_str().ok()?;
        let sound = !value.is_empty()
            && value.len() <= MAX_LENGTH
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte));
        sound.then(|| Self(value.into()))
    }

    /// As a header's value.
    pub(super) fn header_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("unprintable"))
    }
}

/// The finalizer of SplitMix64: a bijection, so that ids of one process never collide.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_are_hex_and_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| RequestId::generate().0).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn a_proxys_id_is_taken_only_if_short_and_printable() {
        let check = |value: &str, taken: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            assert_eq!(RequestId::from_proxy(&headers).is_some(), taken, "{value}");
        };
        check("0190-abc.DEF_1", true);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        check("", false);
        check("two words", false);
        check("quote\"", false);
        check("\u{fc}", false);
        assert_eq!(RequestId::from_proxy(&HeaderMap::new()), None);
    }
}
