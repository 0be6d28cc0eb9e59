//! Aggregate functions, and which types they take and give: PostgreSQL's, as far as all engines are exact.

use crate::sql::{Expr, Type};

/// A function of all rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateFunction {
    /// `count(*)` and `count(x)`.
    Count,
    /// `sum`.
    Sum,
    /// `min`.
    Min,
    /// `max`.
    Max,
    /// `avg`.
    Average,
}

/// A call of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// The function.
    pub function: AggregateFunction,
    /// Its argument; `None` for `count(*)`.
    pub argument: Option<Expr>,
    /// `DISTINCT`.
    pub distinct: bool,
}

/// The calls that a lowering met, computed behind so many keys.
#[derive(Debug, Default)]
pub(crate) struct Aggregates {
    /// The number of keys.
    pub(crate) keys: usize,
    /// The calls, each once.
    pub(crate) all: Vec<Aggregate>,
}

impl AggregateFunction {
    /// The function of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "min" => Self::Min,
            "max" => Self::Max,
            "avg" => Self::Average,
            _ => return None,
        })
    }

    /// Its name in all engines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Average => "avg",
        }
    }

    /// The type of its result for an argument's type; `None` where it does not take it.
    pub(crate) fn of(self, argument: Type) -> Option<Type> {
        use Type as T;
        match (self, argument) {
            (Self::Count, ty) => ty.is_native_to_sqlite().then_some(T::Int8),
            (Self::Sum, T::Int4) => Some(T::Int8),
            (Self::Sum, T::Int8) | (Self::Average, T::Int4 | T::Int8) => Some(T::Numeric),
            (Self::Min | Self::Max, ty @ (T::Int4 | T::Int8 | T::Text | T::Timestamptz | T::Interval)) => {
                Some(ty)
            }
            _ => None,
        }
    }
}

impl Aggregate {
    /// The type of its result.
    pub fn ty(&self) -> Type {
        let argument = self.argument.as_ref().map_or(Type::Int8, Expr::ty);
        self.function.of(argument).unwrap_or(Type::Int8)
    }
}
