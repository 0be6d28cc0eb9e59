//! Comparison and arithmetic.

use std::cmp::Ordering;

use super::{EvalError, Outcome, json, mistyped};
use crate::sql::{Arithmetic, Comparison, Type, Value};

pub(super) fn compare(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> Outcome<'static> {
    let is = match comparison {
        Comparison::Distinct | Comparison::NotDistinct => {
            let same = match (left.is_null(), right.is_null()) {
                (false, false) => order(left, right)?.is_eq(),
                (left, right) => left == right,
            };
            same == (comparison == Comparison::NotDistinct)
        }
        _ if left.is_null() || right.is_null() => return Ok(Value::Null),
        Comparison::Eq => order(left, right)?.is_eq(),
        Comparison::NotEq => order(left, right)?.is_ne(),
        Comparison::Less => order(left, right)?.is_lt(),
        Comparison::LessEq => order(left, right)?.is_le(),
        Comparison::Greater => order(left, right)?.is_gt(),
        Comparison::GreaterEq => order(left, right)?.is_ge(),
    };
    Ok(Value::Bool(is))
}

/// The order of two values; of JSON and arrays, only whether they are equal.
fn order(left: &Value<'_>, right: &Value<'_>) -> Result<Ordering, EvalError> {
    let equality = |same: bool| if same { Ordering::Equal } else { Ordering::Less };
    Ok(match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right))
        | (Value::Time(left), Value::Time(right))
        | (Value::Interval(left), Value::Interval(right)) => left.cmp(right),
        (Value::Numeric(left), Value::Numeric(right)) => left.compare(*right).ok_or_else(overflow)?,
        (Value::Text(left), Value::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
        (Value::Uuid(left), Value::Uuid(right)) => left.cmp(right),
        (Value::Json(left), Value::Json(right)) => equality(json::equal(left, right)),
        (Value::Array(left), Value::Array(right)) => equality(left == right),
        _ => return Err(mistyped()),
    })
}

pub(super) fn arithmetic(op: Arithmetic, left: Value<'_>, right: Value<'_>, ty: Type) -> Outcome<'static> {
    let span = |left: i64, right: i64| match op {
        Arithmetic::Add => left.checked_add(right),
        _ => left.checked_sub(right),
    };
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::Int(left), Value::Int(right)) => integers(op, left, right, ty),
        (Value::Numeric(left), Value::Numeric(right)) => {
            let number = match op {
                Arithmetic::Add => left.add(right),
                Arithmetic::Subtract => left.subtract(right),
                Arithmetic::Multiply => left.multiply(right),
                Arithmetic::Divide | Arithmetic::Remainder => return Err(mistyped()),
            };
            number.map(Value::Numeric).ok_or_else(overflow)
        }
        (Value::Time(left), Value::Time(right)) => {
            span(left, right).map(Value::Interval).ok_or_else(out_of_time)
        }
        (Value::Time(time), Value::Interval(by)) | (Value::Interval(by), Value::Time(time)) => {
            span(time, by).map(Value::Time).ok_or_else(out_of_time)
        }
        (Value::Interval(left), Value::Interval(right)) => {
            span(left, right).map(Value::Interval).ok_or_else(out_of_time)
        }
        _ => Err(mistyped()),
    }
}

fn integers(op: Arithmetic, left: i64, right: i64, ty: Type) -> Outcome<'static> {
    let number = match op {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide | Arithmetic::Remainder if right == 0 => {
            return Err(EvalError::new("division by zero"));
        }
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Remainder => Some(left.checked_rem(right).unwrap_or(0)),
    };
    in_range(number, ty)
}

/// An integer of its type, if it is in the type's range.
pub(super) fn in_range(number: Option<i64>, ty: Type) -> Outcome<'static> {
    match number {
        Some(number) if ty == Type::Int8 || i32::try_from(number).is_ok() => Ok(Value::Int(number)),
        _ => Err(EvalError::new(format!("{ty} out of range"))),
    }
}

pub(super) fn negate(value: &Value<'_>, ty: Type) -> Outcome<'static> {
    match *value {
        Value::Null => Ok(Value::Null),
        Value::Int(number) => in_range(number.checked_neg(), ty),
        Value::Numeric(number) => number.negate().map(Value::Numeric).ok_or_else(overflow),
        Value::Interval(span) => span.checked_neg().map(Value::Interval).ok_or_else(out_of_time),
        _ => Err(mistyped()),
    }
}

fn overflow() -> EvalError {
    EvalError::new("numeric out of range")
}

fn out_of_time() -> EvalError {
    EvalError::new("timestamp out of range")
}
