//! Values.

use std::borrow::Cow;

use serde_json::Value as Json;
use uuid::Uuid;

use super::Decimal;

/// A value of any type, or NULL.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// NULL, of any type.
    Null,
    /// `boolean`.
    Bool(bool),
    /// `integer` or `bigint`.
    Int(i64),
    /// `numeric`.
    Numeric(Decimal),
    /// `text`.
    Text(Cow<'a, str>),
    /// `uuid`.
    Uuid(Uuid),
    /// `timestamptz`, in microseconds since 1970.
    Time(i64),
    /// `interval`, in microseconds.
    Interval(i64),
    /// `jsonb`.
    Json(Cow<'a, Json>),
    /// `text[]`.
    Array(Vec<Option<String>>),
}

impl Value<'_> {
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value on its own.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Numeric(value) => Value::Numeric(value),
            Self::Text(value) => Value::Text(Cow::Owned(value.into_owned())),
            Self::Uuid(value) => Value::Uuid(value),
            Self::Time(value) => Value::Time(value),
            Self::Interval(value) => Value::Interval(value),
            Self::Json(value) => Value::Json(Cow::Owned(value.into_owned())),
            Self::Array(value) => Value::Array(value),
        }
    }
}
