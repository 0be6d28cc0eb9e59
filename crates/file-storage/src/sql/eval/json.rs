//! `jsonb`: fields, equality and text as PostgreSQL has them.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Number, Value as Json};

use crate::sql::Value;

/// `->` and `->>`.
pub(super) fn field<'a>(as_text: bool, json: Value<'a>, key: &Value<'_>) -> Value<'a> {
    let found = match (json, key) {
        (Value::Json(Cow::Borrowed(json)), key) => get(json, key).map(Cow::Borrowed),
        (Value::Json(Cow::Owned(json)), key) => get(&json, key).cloned().map(Cow::Owned),
        _ => None,
    };
    match found {
        None => Value::Null,
        Some(json) if !as_text => Value::Json(json),
        Some(json) => match &*json {
            Json::Null => Value::Null,
            _ => Value::Text(unquoted(json)),
        },
    }
}

fn get<'j>(json: &'j Json, key: &Value<'_>) -> Option<&'j Json> {
    match (json, key) {
        (Json::Object(members), Value::Text(key)) => members.get(&**key),
        (Json::Array(elements), Value::Int(index)) => {
            let index =
                if *index < 0 { i64::try_from(elements.len()).ok()?.checked_add(*index)? } else { *index };
            elements.get(usize::try_from(index).ok()?)
        }
        // PostgreSQL keeps a scalar as an array of one.
        (Json::Object(_) | Json::Array(_), _) => None,
        (scalar, Value::Int(0 | -1)) => Some(scalar),
        _ => None,
    }
}

fn unquoted(json: Cow<'_, Json>) -> Cow<'_, str> {
    match json {
        Cow::Borrowed(Json::String(text)) => Cow::Borrowed(text),
        Cow::Owned(Json::String(text)) => Cow::Owned(text),
        other => Cow::Owned(text(&other)),
    }
}

/// The text of a value: keys by length and then bytes, a blank after each colon and comma.
pub(in crate::sql) fn text(json: &Json) -> String {
    let mut text = String::new();
    write(&mut text, json);
    text
}

fn write(to: &mut String, json: &Json) {
    match json {
        Json::Null => to.push_str("null"),
        Json::Bool(value) => to.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => to.push_str(&Digits::of(number).text()),
        Json::String(text) => quote(to, text),
        Json::Array(elements) => {
            to.push('[');
            for (at, element) in elements.iter().enumerate() {
                to.push_str(if at > 0 { ", " } else { "" });
                write(to, element);
            }
            to.push(']');
        }
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            to.push('{');
            for (at, (key, value)) in members.into_iter().enumerate() {
                to.push_str(if at > 0 { ", " } else { "" });
                quote(to, key);
                to.push_str(": ");
                write(to, value);
            }
            to.push('}');
        }
    }
}

fn quote(to: &mut String, text: &str) {
    to.push('"');
    for char in text.chars() {
        match char {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\u{8}' => to.push_str("\\b"),
            '\u{c}' => to.push_str("\\f"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            char if char < ' ' => {
                // Writing to a String can't fail.
                let _written = write!(to, "\\u{:04x}", u32::from(char));
            }
            char => to.push(char),
        }
    }
    to.push('"');
}

/// Whether two values are equal; numbers by what they count.
pub(super) fn equal(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => Digits::of(left).same(&Digits::of(right)),
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| equal(left, right)))
        }
        (left, right) => left == right,
    }
}

/// `?`: whether a text is a key of an object, an element of an array, or all there is.
pub(super) fn has(json: &Json, key: &str) -> bool {
    match json {
        Json::Object(members) => members.contains_key(key),
        Json::Array(elements) => elements.iter().any(|element| element.as_str() == Some(key)),
        Json::String(text) => text == key,
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

/// `@>`: whether all of `part` is in a value, neither order nor number counting in arrays. An array has a scalar that is one
/// of its elements.
pub(super) fn contains(json: &Json, part: &Json) -> bool {
    match (json, part) {
        (Json::Array(elements), Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => {
            elements.iter().any(|element| equal(element, part))
        }
        (json, part) => is_within(part, json),
    }
}

/// The same, of what is inside: there, an array and a scalar are two things.
fn is_within(part: &Json, json: &Json) -> bool {
    match (json, part) {
        (Json::Object(members), Json::Object(part)) => {
            part.iter().all(|(key, value)| members.get(key).is_some_and(|member| is_within(value, member)))
        }
        (Json::Array(elements), Json::Array(part)) => {
            part.iter().all(|value| elements.iter().any(|element| is_within(value, element)))
        }
        (json, part) => equal(json, part),
    }
}

/// A JSON number as PostgreSQL's `numeric` reads it: exactly as it is written.
struct Digits {
    negative: bool,
    /// Digits without leading zeros.
    digits: String,
    /// How many of them follow the point; less than zero, how many zeros are still to come.
    scale: i64,
}

impl Digits {
    fn of(number: &Number) -> Self {
        let written = number.to_string();
        let (mantissa, exponent) = written.split_once(['e', 'E']).unwrap_or((&written, "0"));
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i64 = exponent.parse().unwrap_or(0);
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0').to_owned();
        let scale = i64::try_from(fraction.len()).unwrap_or(0).saturating_sub(exponent);
        Self { negative: negative && !digits.is_empty(), digits, scale }
    }

    fn text(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let Ok(scale) = usize::try_from(self.scale) else {
            let zeros = usize::try_from(self.scale.unsigned_abs()).unwrap_or(0);
            let digits = if self.digits.is_empty() {
                "0".to_owned()
            } else {
                self.digits.clone() + &"0".repeat(zeros)
            };
            return format!("{sign}{digits}");
        };
        let digits = format!("{:0>width$}", self.digits, width = scale + 1);
        let (whole, fraction) = digits.split_at_checked(digits.len() - scale).unwrap_or((&digits, ""));
        let point = if scale > 0 { "." } else { "" };
        format!("{sign}{whole}{point}{fraction}")
    }

    fn same(&self, other: &Self) -> bool {
        let bare = |number: &Self| {
            let digits = number.digits.trim_end_matches('0');
            let cut = i64::try_from(number.digits.len() - digits.len()).unwrap_or(0);
            (digits.to_owned(), if digits.is_empty() { 0 } else { number.scale.saturating_sub(cut) })
        };
        self.negative == other.negative && bare(self) == bare(other)
    }
}
