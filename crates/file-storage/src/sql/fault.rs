//! Why a text was refused, and where.

use std::fmt;

use sqlparser::tokenizer::Location;

/// A place in a text; both count from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The character in it.
    pub column: u64,
}

impl From<Location> for Position {
    fn from(location: Location) -> Self {
        Self { line: location.line.max(1), column: location.column.max(1) }
    }
}

/// A text that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SqlFault {
    /// Where it is, as far as that is known.
    pub position: Option<Position>,
    /// What is wrong.
    pub reason: String,
    /// What to write instead, where that is known.
    pub hint: Option<String>,
}

impl SqlFault {
    /// A fault at a place.
    pub fn at(position: impl Into<Position>, reason: impl Into<String>) -> Self {
        Self { position: Some(position.into()), reason: reason.into(), hint: None }
    }

    /// A fault of the text as a whole.
    pub fn of_text(reason: impl Into<String>) -> Self {
        Self { position: None, reason: reason.into(), hint: None }
    }

    /// With a word on what to write instead.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for SqlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.position {
            write!(f, "line {}, column {}: ", at.line, at.column)?;
        }
        f.write_str(&self.reason)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}
