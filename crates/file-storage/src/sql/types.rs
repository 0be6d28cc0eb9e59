//! The types of expressions, by PostgreSQL's names.

use std::fmt;

/// A type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// `boolean`.
    Bool,
    /// `integer`, 32 bits.
    Int4,
    /// `bigint`, 64 bits.
    Int8,
    /// `numeric`, of at most 38 digits.
    Numeric,
    /// `text`, compared by its bytes.
    Text,
    /// `uuid`.
    Uuid,
    /// `timestamptz`.
    Timestamptz,
    /// `interval`, of days and shorter.
    Interval,
    /// `jsonb`.
    Jsonb,
    /// `text[]`.
    TextArray,
    /// Of a quoted literal or NULL, until what stands beside it says.
    Unknown,
}

impl Type {
    /// The type that a name in a cast means.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "bool" | "boolean" => Self::Bool,
            "int" | "integer" | "int4" => Self::Int4,
            "bigint" | "int8" => Self::Int8,
            "numeric" | "decimal" => Self::Numeric,
            "text" | "varchar" | "character varying" => Self::Text,
            "uuid" => Self::Uuid,
            "timestamptz" | "timestamp with time zone" => Self::Timestamptz,
            "interval" => Self::Interval,
            "jsonb" => Self::Jsonb,
            "text[]" => Self::TextArray,
            _ => return None,
        })
    }

    /// Whether it is a number.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Int4 | Self::Int8 | Self::Numeric)
    }

    /// Whether SQLite keeps and orders its values as PostgreSQL does.
    pub(super) fn is_native_to_sqlite(self) -> bool {
        matches!(
            self,
            Self::Bool
                | Self::Int4
                | Self::Int8
                | Self::Text
                | Self::Uuid
                | Self::Timestamptz
                | Self::Interval
        )
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "boolean",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Uuid => "uuid",
            Self::Timestamptz => "timestamptz",
            Self::Interval => "interval",
            Self::Jsonb => "jsonb",
            Self::TextArray => "text[]",
            Self::Unknown => "unknown",
        })
    }
}
