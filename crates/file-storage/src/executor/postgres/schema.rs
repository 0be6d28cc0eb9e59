//! The schema's name: part of every statement, and therefore checked before it is anything.

use std::fmt;

/// Ends the name of the schema that no user may enter.
const INNER: &str = "_inner";

/// Longest name of a schema, so that the inner one's is no longer than PostgreSQL's 63 bytes.
const MAX_LENGTH: usize = 63 - INNER.len();

/// The name of the schema that all objects live in: `[a-z_][a-z0-9_]*`, at most 57 bytes, not PostgreSQL's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaName(String);

/// A name that no schema of ours has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no schema name: up to {MAX_LENGTH} of a-z, 0-9 and _, not starting with a digit or pg_")]
pub struct BadSchema(String);

impl Default for SchemaName {
    fn default() -> Self {
        Self("aerostore".to_owned())
    }
}

impl SchemaName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`BadSchema`] for anything that would need quoting, or is taken.
    pub fn parse(name: &str) -> Result<Self, BadSchema> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let ours = (1..=MAX_LENGTH).contains(&name.len())
            && name.bytes().all(allowed)
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.starts_with("pg_")
            && name != "information_schema"
            && name != "public";
        if ours { Ok(Self(name.to_owned())) } else { Err(BadSchema(name.to_owned())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Puts the names into a statement of ours, in place of `{schema}` and `{inner}`.
    pub(super) fn fill(&self, statement: &str) -> String {
        // Quoted, as a name may be a word of SQL.
        statement
            .replace("{schema}", &format!("\"{}\"", self.0))
            .replace("{inner}", &format!("\"{}{INNER}\"", self.0))
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_more_than_a_name_are_refused() {
        for good in ["aerostore", "a", "_a1", "select", &"x".repeat(57)] {
            assert_eq!(SchemaName::parse(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "A", "1a", "a-b", "a\"b", "a b", "a;b", "é", "pg_x", "public", &"x".repeat(58)] {
            assert!(SchemaName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
