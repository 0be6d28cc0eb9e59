//! A text that must not be seen.

use std::fmt;

use zeroize::Zeroizing;

/// Shortest secret that may sign anything, in bytes: as long as the digest that it keys.
pub const MIN_SECRET_BYTES: usize = 32;

/// A secret: wiped from memory when dropped, and never printed. Whoever reads it says so by [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that computes with it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is long enough to sign with.
    pub fn is_long_enough(&self) -> bool {
        self.0.len() >= MIN_SECRET_BYTES
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
