//! Parameters: JSON values that stand for `$1` and so on. They come into the tree as values, and never as text.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::sql::{Decimal, SqlFault, Type, Value};

/// Most parameters of a query.
const MAX_PARAMETERS: usize = 500;

/// Most bytes of all parameters, as JSON.
const MAX_BYTES: usize = 64 * 1024;

/// The values of the parameters. A text and NULL take the type that stands beside them.
pub(super) fn values(parameters: &[Json]) -> Result<Vec<(Value<'static>, Type)>, SqlFault> {
    if parameters.len() > MAX_PARAMETERS {
        return Err(SqlFault::of_text(format!("there are more than {MAX_PARAMETERS} parameters")));
    }
    let bytes: usize = parameters.iter().map(|parameter| parameter.to_string().len()).sum();
    if bytes > MAX_BYTES {
        return Err(SqlFault::of_text(format!("the parameters have more than {MAX_BYTES} bytes")));
    }
    parameters.iter().enumerate().map(|(at, json)| value(at.saturating_add(1), json)).collect()
}

fn value(number: usize, json: &Json) -> Result<(Value<'static>, Type), SqlFault> {
    if has_nul(json) {
        return Err(SqlFault::of_text(format!("the parameter ${number} holds a NUL character")));
    }
    let refused =
        |what: &str, hint: &str| Err(SqlFault::of_text(format!("the parameter ${number} {what}")).hint(hint));
    Ok(match json {
        Json::Null => (Value::Null, Type::Unknown),
        Json::Bool(value) => (Value::Bool(*value), Type::Bool),
        Json::String(text) => (Value::Text(Cow::Owned(text.clone())), Type::Unknown),
        Json::Number(digits) => match (digits.as_i64(), Decimal::read(&digits.to_string())) {
            (Some(number), _) if i32::try_from(number).is_ok() => (Value::Int(number), Type::Int4),
            (Some(number), _) => (Value::Int(number), Type::Int8),
            (None, Some(number)) => (Value::Numeric(number), Type::Numeric),
            (None, None) => {
                return refused(
                    "is a number of another form",
                    "write it out, with at most 38 digits, as text",
                );
            }
        },
        Json::Array(elements) => {
            let elements = elements.iter().map(|element| match element {
                Json::Null => Some(None),
                Json::String(text) => Some(Some(text.clone())),
                _ => None,
            });
            match elements.collect::<Option<Vec<_>>>() {
                Some(elements) => (Value::Array(elements), Type::TextArray),
                None => return refused("is no array of texts", "send jsonb as a text: '[1, 2]'"),
            }
        }
        Json::Object(_) => (Value::Json(Cow::Owned(json.clone())), Type::Jsonb),
    })
}

/// A NUL can be in no text of PostgreSQL's.
fn has_nul(json: &Json) -> bool {
    match json {
        Json::String(text) => text.contains('\0'),
        Json::Array(elements) => elements.iter().any(has_nul),
        Json::Object(members) => members.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}
