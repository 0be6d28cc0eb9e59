//! Functions, and what is done with arrays.

use std::borrow::Cow;

use super::{EvalError, Outcome, json, mistyped};
use crate::sql::{Function, Value};

pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>]) -> Outcome<'a> {
    if arguments.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    let owned = |text: String| Ok(Value::Text(Cow::Owned(text)));
    match (function, arguments) {
        (Function::Foldername, [Value::Text(path)]) => Ok(foldername(path)),
        (Function::Filename, [Value::Text(path)]) if path.is_empty() => Ok(Value::Null),
        (Function::Extension, [Value::Text(path)]) if path.is_empty() => Ok(Value::Null),
        (Function::Filename, [Value::Text(path)]) => owned(filename(path).to_owned()),
        (Function::Extension, [Value::Text(path)]) => {
            let name = filename(path);
            owned(name.rsplit_once('.').map_or(name, |(_, extension)| extension).to_owned())
        }
        (Function::Lower, [Value::Text(text)]) => owned(text.to_ascii_lowercase()),
        (Function::Upper, [Value::Text(text)]) => owned(text.to_ascii_uppercase()),
        (Function::Length, [Value::Text(text)]) => Ok(Value::Int(count(text.chars().count()))),
        (Function::SplitPart, [Value::Text(text), Value::Text(separator), Value::Int(number)]) => {
            owned(split_part(text, separator, *number)?)
        }
        (Function::StartsWith, [Value::Text(text), Value::Text(start)]) => {
            Ok(Value::Bool(text.starts_with(&**start)))
        }
        (Function::ArrayLength, [Value::Array(array), Value::Int(dimension)]) => {
            let there = !array.is_empty() && *dimension == 1;
            Ok(if there { Value::Int(count(array.len())) } else { Value::Null })
        }
        (Function::Cardinality, [Value::Array(array)]) => Ok(Value::Int(count(array.len()))),
        (Function::JsonHas, [Value::Json(json), Value::Text(key)]) => Ok(Value::Bool(json::has(json, key))),
        (Function::JsonContains, [Value::Json(json), Value::Json(part)]) => {
            Ok(Value::Bool(json::contains(json, part)))
        }
        _ => Err(mistyped()),
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The folders that a path leads through. Of an empty path, NULL, as Supabase's function has it.
fn foldername(path: &str) -> Value<'static> {
    if path.is_empty() {
        return Value::Null;
    }
    let mut parts: Vec<Option<String>> = path.split('/').map(|part| Some(part.to_owned())).collect();
    parts.pop();
    Value::Array(parts)
}

fn filename(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// PostgreSQL's `split_part`, also from the end.
fn split_part(text: &str, separator: &str, number: i64) -> Result<String, EvalError> {
    if number == 0 {
        return Err(EvalError::new("field position must not be zero"));
    }
    if text.is_empty() {
        return Ok(String::new());
    }
    let parts: Vec<&str> = if separator.is_empty() { vec![text] } else { text.split(separator).collect() };
    let at = if number > 0 { number.checked_sub(1) } else { count(parts.len()).checked_add(number) };
    let part = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| parts.get(at));
    Ok((*part.unwrap_or(&"")).to_owned())
}

/// `array[index]`: the first element is 1; beside the array there is NULL.
pub(super) fn element(array: Value<'_>, index: &Value<'_>) -> Value<'static> {
    let (Value::Array(mut array), Value::Int(index)) = (array, index) else { return Value::Null };
    let at = index.checked_sub(1).and_then(|at| usize::try_from(at).ok()).filter(|at| *at < array.len());
    match at.and_then(|at| array.swap_remove(at)) {
        Some(text) => Value::Text(Cow::Owned(text)),
        None => Value::Null,
    }
}

/// `value = ANY (array)`.
pub(super) fn any_of(value: &Value<'_>, array: &Value<'_>) -> Value<'static> {
    let Value::Array(array) = array else { return Value::Null };
    let Value::Text(value) = value else {
        // Nothing equals NULL, and no element is there to ask in an empty array.
        return if array.is_empty() { Value::Bool(false) } else { Value::Null };
    };
    if array.iter().flatten().any(|element| element == value) {
        Value::Bool(true)
    } else if array.contains(&None) {
        Value::Null
    } else {
        Value::Bool(false)
    }
}
