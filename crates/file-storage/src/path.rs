//! Where an object is, inside its bucket: parsed and checked once, before authorization (SPEC 6).

use std::fmt;
use std::sync::Arc;

use crate::errors::StorageError;

/// Longest path, in bytes of UTF-8.
pub const MAX_PATH_BYTES: usize = 1024;

/// A path that an object can have: 1 to 1024 bytes of UTF-8, no leading slash, no `.` or `..` segment, no
/// control characters. Held by the millions, hence shared and immutable. A new one has no U+FFFE and U+FFFF either, which
/// XML can't say; objects from before that rule are read as ever.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPath(Arc<str>);

/// How strict a protocol is with the path of a new object. Reading follows [`PathRules::Lenient`] everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathRules {
    /// Native REST: no empty segments, no trailing slash.
    Strict,
    /// S3 and TUS, where folder markers are common: what every path must obey, and no more.
    Lenient,
    /// The `supabase` dialect: lenient, but only the characters that its server allows.
    Supabase,
}

impl ObjectPath {
    /// Checks what every path must obey, in every protocol.
    ///
    /// # Errors
    /// [`StorageError::InvalidPath`] with the broken rule.
    pub fn parse(path: &str) -> Result<Self, StorageError> {
        let refuse = |reason| Err(StorageError::InvalidPath { path: path.to_owned(), reason });
        if path.is_empty() {
            return refuse("a path has at least one character");
        }
        if path.len() > MAX_PATH_BYTES {
            return refuse("a path has at most 1024 bytes");
        }
        if path.starts_with('/') {
            return refuse("a path does not start with a slash");
        }
        if path.chars().any(char::is_control) {
            return refuse("a path has no control characters");
        }
        if path.split('/').any(|segment| segment == "." || segment == "..") {
            return refuse("a path has no '.' or '..' segments");
        }
        Ok(Self(path.into()))
    }

    /// Checks the path of an object that is about to be created.
    ///
    /// # Errors
    /// [`StorageError::InvalidPath`] with the broken rule.
    pub fn parse_new(path: &str, rules: PathRules) -> Result<Self, StorageError> {
        let parsed = Self::parse(path)?;
        let reason = match rules {
            _ if path.contains(['\u{fffe}', '\u{ffff}']) => {
                Some("a path does not have the characters U+FFFE and U+FFFF")
            }
            PathRules::Strict if path.ends_with('/') => Some("a path does not end with a slash"),
            PathRules::Strict if path.contains("//") => Some("a path has no empty segments"),
            PathRules::Supabase if !path.chars().all(is_supabase_key_char) => {
                Some("a path has only the characters that Supabase Storage allows")
            }
            PathRules::Strict | PathRules::Lenient | PathRules::Supabase => None,
        };
        match reason {
            Some(reason) => Err(StorageError::InvalidPath { path: path.to_owned(), reason }),
            None => Ok(parsed),
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment: what a file dialogue would show.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

/// The characters of a Supabase object key, as its server checks them.
fn is_supabase_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_/!.*'() &$=@;:+,?-".contains(c)
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for ObjectPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, strict: bool, lenient: bool, supabase: bool) {
        let allowed = |rules| ObjectPath::parse_new(path, rules).is_ok();
        assert_eq!(allowed(PathRules::Strict), strict, "strict: {path:?}");
        assert_eq!(allowed(PathRules::Lenient), lenient, "lenient: {path:?}");
        assert_eq!(allowed(PathRules::Supabase), supabase, "supabase: {path:?}");
    }

    #[test]
    fn paths_are_checked_by_the_rules_of_their_protocol() {
        check("a", true, true, true);
        check("a/b c/d.txt", true, true, true);
        check("...", true, true, true);
        check("a/..b/c", true, true, true);
        check("日本/ü.txt", true, true, false);
        check("a%2Fb", true, true, false);
        check("a/", false, true, true);
        check("a//b", false, true, true);
        check("", false, false, false);
        check("/a", false, false, false);
        check("..", false, false, false);
        check("a/../b", false, false, false);
        check("./a", false, false, false);
        check("a/.", false, false, false);
        check("a\0b", false, false, false);
        check("a\nb", false, false, false);
        check("a\u{85}b", false, false, false);
        check("a\u{fffe}b", false, false, false);
        check("\u{ffff}", false, false, false);
        check("\u{10ffff}\u{1fffe}\u{fffd}", true, true, false);
        assert!(ObjectPath::parse("a\u{fffe}\u{ffff}").is_ok(), "rows that are there stay readable");
        check(&"x".repeat(1024), true, true, true);
        check(&"x".repeat(1025), false, false, false);
        check(&"ü".repeat(513), false, false, false);
    }
}
