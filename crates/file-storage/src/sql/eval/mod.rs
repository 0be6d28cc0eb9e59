//! What an expression is for one row and one caller: PostgreSQL's semantics, to the error.
//!
//! SQLite calls this as a function where its own operators mean something else. Everything that can fail fails here
//! as it does in PostgreSQL, and in the same order: AND, OR, CASE and COALESCE look no further than they must.

pub(super) mod cast;
mod function;
pub(super) mod json;
mod like;
mod operator;

use std::borrow::Cow;

use serde_json::Value as Json;
use uuid::Uuid;

use super::{ColumnRef, Comparison, Expr, Fact, Test, Value};

/// Why an expression has no value. Says what is wrong without the row's own data, so that a log may have it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvalError(pub(super) Cow<'static, str>);

impl EvalError {
    /// A row that does not hold what its columns say.
    pub(crate) fn row(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }

    pub(super) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

/// Who asks, and when.
#[derive(Debug, Clone)]
pub struct Asker<'a> {
    /// For `auth.uid()`.
    pub user_id: Option<Uuid>,
    /// For `auth.role()`.
    pub role: Cow<'a, str>,
    /// For `auth.jwt()`: an object.
    pub claims: Cow<'a, Json>,
    /// For `now()`, in microseconds since 1970.
    pub now: i64,
}

impl Asker<'static> {
    /// Nobody, at no time: for what depends on neither.
    pub(super) fn nobody() -> Self {
        Self { user_id: None, role: Cow::Borrowed(""), claims: Cow::Owned(Json::Null), now: 0 }
    }
}

/// The values of a row.
pub trait Cells {
    /// The value of a column.
    ///
    /// # Errors
    /// [`EvalError`] where the row has no such value.
    fn cell(&self, column: ColumnRef) -> Result<Value<'_>, EvalError>;
}

/// No row.
pub(super) struct NoCells;

impl Cells for NoCells {
    fn cell(&self, _: ColumnRef) -> Result<Value<'_>, EvalError> {
        Err(EvalError::new("there is no row"))
    }
}

type Outcome<'a> = Result<Value<'a>, EvalError>;

impl Expr {
    /// Its value.
    ///
    /// # Errors
    /// What PostgreSQL, too, would fail with.
    pub fn evaluate<'a>(
        &'a self,
        asker: &'a Asker<'_>,
        cells: &'a dyn Cells,
    ) -> Result<Value<'a>, EvalError> {
        let eval = |expr: &'a Self| expr.evaluate(asker, cells);
        match self {
            Self::Literal(value, _) => Ok(borrowed(value)),
            Self::Column(column) => cells.cell(*column),
            Self::Caller(Fact::UserId) => Ok(asker.user_id.map_or(Value::Null, Value::Uuid)),
            Self::Caller(Fact::Role) => Ok(Value::Text(Cow::Borrowed(&asker.role))),
            Self::Caller(Fact::Claims) => Ok(Value::Json(Cow::Borrowed(&asker.claims))),
            Self::Now => Ok(Value::Time(asker.now)),
            Self::Not(operand) => {
                Ok(truth(&eval(operand)?)?.map_or(Value::Null, |value| Value::Bool(!value)))
            }
            Self::And(all) => connected(all.iter().map(eval), false),
            Self::Or(all) => connected(all.iter().map(eval), true),
            Self::Compare(comparison, left, right) => {
                operator::compare(*comparison, &eval(left)?, &eval(right)?)
            }
            Self::Is(test, operand) => is(*test, &eval(operand)?),
            Self::Arithmetic(op, left, right, ty) => {
                operator::arithmetic(*op, eval(left)?, eval(right)?, *ty)
            }
            Self::Negate(operand) => operator::negate(&eval(operand)?, self.ty()),
            Self::Concat(left, right) => Ok(joined(eval(left)?, &eval(right)?)),
            Self::Like { negated, fold_case, text, pattern, escape } => {
                let (text, pattern) = (eval(text)?, eval(pattern)?);
                like::evaluate((*negated, *fold_case), &text, &pattern, *escape)
            }
            Self::In { negated, value, list } => {
                let found = is_among(&eval(value)?, list.iter().map(eval))?;
                Ok(truth(&found)?.map_or(Value::Null, |found| Value::Bool(found != *negated)))
            }
            Self::AnyOf(value, array) => Ok(function::any_of(&eval(value)?, &eval(array)?)),
            Self::Case(branches, otherwise, _) => {
                for (condition, result) in branches {
                    if truth(&eval(condition)?)? == Some(true) {
                        return eval(result);
                    }
                }
                otherwise.as_deref().map_or(Ok(Value::Null), eval)
            }
            Self::Coalesce(all, _) => first_known(all.iter().map(eval)),
            Self::NullIf(left, right, _) => unless_equal(eval(left)?, &eval(right)?),
            Self::Cast(operand, to) => cast::evaluate(eval(operand)?, *to),
            Self::Json(as_text, json, key) => Ok(json::field(*as_text, eval(json)?, &eval(key)?)),
            Self::Element(array, index) => Ok(function::element(eval(array)?, &eval(index)?)),
            Self::Array(all) => array(all.iter().map(eval)),
            Self::Call(function, arguments) => {
                let arguments = arguments.iter().map(eval).collect::<Result<Vec<_>, _>>()?;
                function::call(*function, &arguments)
            }
        }
    }

    /// Whether it is true: not false, and not NULL.
    ///
    /// # Errors
    /// As [`Expr::evaluate`].
    pub fn holds(&self, asker: &Asker<'_>, cells: &dyn Cells) -> Result<bool, EvalError> {
        Ok(truth(&self.evaluate(asker, cells)?)? == Some(true))
    }
}

/// AND (`winner` false) and OR (`winner` true) of values that are computed one after the other.
fn connected<'a>(all: impl Iterator<Item = Outcome<'a>>, winner: bool) -> Outcome<'a> {
    let mut unknown = false;
    for value in all {
        match truth(&value?)? {
            Some(value) if value == winner => return Ok(Value::Bool(winner)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(!winner) })
}

/// IN: whether one of the values is equal. All are computed first, as the list is an array to PostgreSQL.
fn is_among<'a>(value: &Value<'_>, all: impl Iterator<Item = Outcome<'a>>) -> Outcome<'a> {
    let all = all.collect::<Result<Vec<_>, _>>()?;
    connected(all.iter().map(|item| operator::compare(Comparison::Eq, value, item)), true)
}

/// COALESCE: the first that is not NULL. What comes after it is not computed.
fn first_known<'a>(all: impl Iterator<Item = Outcome<'a>>) -> Outcome<'a> {
    for value in all {
        let value = value?;
        if !value.is_null() {
            return Ok(value);
        }
    }
    Ok(Value::Null)
}

/// NULLIF.
fn unless_equal<'a>(left: Value<'a>, right: &Value<'_>) -> Outcome<'a> {
    match operator::compare(Comparison::Eq, &left, right)? {
        Value::Bool(true) => Ok(Value::Null),
        _ => Ok(left),
    }
}

/// Two texts, one after the other.
fn joined<'a>(left: Value<'a>, right: &Value<'_>) -> Value<'a> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Value::Text(Cow::Owned(left.into_owned() + right)),
        _ => Value::Null,
    }
}

/// An array of texts.
fn array<'a>(all: impl Iterator<Item = Outcome<'a>>) -> Outcome<'a> {
    let elements = all.map(|element| match element? {
        Value::Text(text) => Ok(Some(text.into_owned())),
        _ => Ok(None),
    });
    Ok(Value::Array(elements.collect::<Result<_, EvalError>>()?))
}

fn is(test: Test, value: &Value<'_>) -> Outcome<'static> {
    let is = match (test, value) {
        (Test::Null, value) => value.is_null(),
        (Test::NotNull, value) => !value.is_null(),
        (Test::True, value) => *value == Value::Bool(true),
        (Test::NotTrue, value) => *value != Value::Bool(true),
        (Test::False, value) => *value == Value::Bool(false),
        (Test::NotFalse, value) => *value != Value::Bool(false),
    };
    Ok(Value::Bool(is))
}

/// A truth value; `None` for NULL.
fn truth(value: &Value<'_>) -> Result<Option<bool>, EvalError> {
    match *value {
        Value::Bool(value) => Ok(Some(value)),
        Value::Null => Ok(None),
        _ => Err(mistyped()),
    }
}

/// A value that its type rules out: a row that does not hold what its columns say, or a fault of ours.
fn mistyped() -> EvalError {
    EvalError::new("a value has another type than its expression")
}

/// A literal, without copying what is long.
fn borrowed<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::Text(text) => Value::Text(Cow::Borrowed(text)),
        Value::Json(json) => Value::Json(Cow::Borrowed(json)),
        other => other.clone(),
    }
}
