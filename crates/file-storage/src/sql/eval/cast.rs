//! Casts, and the texts that PostgreSQL takes for a value of a type.

use std::borrow::Cow;

use chrono::{NaiveDate, NaiveTime};
use serde_json::Value as Json;
use uuid::Uuid;

use super::operator::in_range;
use super::{EvalError, Outcome, json, mistyped};
use crate::sql::{Decimal, Type, Value};

pub(super) fn evaluate(value: Value<'_>, to: Type) -> Outcome<'_> {
    let text = |text: String| Ok(Value::Text(Cow::Owned(text)));
    match (value, to) {
        (Value::Null, _) => Ok(Value::Null),
        (Value::Text(text), to) => from_text(&text, to).map(Value::into_owned),
        (Value::Bool(value), Type::Text) => text(value.to_string()),
        (Value::Bool(value), Type::Int4) => Ok(Value::Int(value.into())),
        (Value::Int(value), Type::Text) => text(value.to_string()),
        (Value::Int(value), Type::Numeric) => Ok(Value::Numeric(Decimal::from(value))),
        (Value::Int(value), ty @ (Type::Int4 | Type::Int8)) => in_range(Some(value), ty),
        (Value::Uuid(value), Type::Text) => text(value.hyphenated().to_string()),
        (Value::Json(value), Type::Text) => text(json::text(&value)),
        _ => Err(mistyped()),
    }
}

/// A text as a value, by the rules of the type's input.
pub(in crate::sql) fn from_text(text: &str, to: Type) -> Result<Value<'static>, EvalError> {
    match to {
        Type::Bool => boolean(text).map(Value::Bool),
        Type::Int4 | Type::Int8 => integer(text, to),
        Type::Uuid => uuid(text).map(Value::Uuid),
        Type::Text => Ok(Value::Text(Cow::Owned(text.to_owned()))),
        _ => Err(mistyped()),
    }
}

pub(in crate::sql) fn invalid(ty: Type) -> EvalError {
    EvalError::new(format!("invalid input syntax for type {ty}"))
}

/// What C calls space.
fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

/// Any beginning of the words for true and false that can't be mistaken, in any case.
fn boolean(text: &str) -> Result<bool, EvalError> {
    let word = text.trim_matches(is_space).to_ascii_lowercase();
    let begins = |whole: &str| !word.is_empty() && whole.starts_with(&word);
    match word.as_str() {
        "1" | "on" => Ok(true),
        "0" | "of" | "off" => Ok(false),
        _ if begins("true") || begins("yes") => Ok(true),
        _ if begins("false") || begins("no") => Ok(false),
        _ => Err(invalid(Type::Bool)),
    }
}

fn integer(text: &str, ty: Type) -> Outcome<'static> {
    let trimmed = text.trim_matches(is_space);
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(invalid(ty));
    }
    in_range(trimmed.parse::<i64>().ok(), ty)
}

/// 32 hexadecimal digits, in braces or not, with a hyphen after any four or not.
fn uuid(text: &str) -> Result<Uuid, EvalError> {
    let fault = || invalid(Type::Uuid);
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(fault)?,
        None => text,
    };
    let mut digits = String::with_capacity(32);
    let mut rest = inner;
    for group in 0..8 {
        let (four, after) = rest.split_at_checked(4).ok_or_else(fault)?;
        digits.push_str(four);
        rest = if group < 7 { after.strip_prefix('-').unwrap_or(after) } else { after };
    }
    let mut bytes = [0; 16];
    if !rest.is_empty() || hex::decode_to_slice(&digits, &mut bytes).is_err() {
        return Err(fault());
    }
    Ok(Uuid::from_bytes(bytes))
}

/// A timestamp in ISO 8601, to the microsecond; without a zone, in UTC.
pub(in crate::sql) fn timestamp(text: &str) -> Result<i64, EvalError> {
    parse_timestamp(text.trim())
        .ok_or_else(|| EvalError::new("the timestamp is not understood: write it as 2026-01-31T23:59:59Z"))
}

fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let well_formed = date.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    if !well_formed {
        return None;
    }
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    let (time, zone) = match rest.strip_prefix(['T', 't', ' ']) {
        None if rest.is_empty() => ("00:00:00", "Z"),
        None => return None,
        Some(rest) => {
            let end = rest.find(['Z', 'z', '+', '-', ' ']).unwrap_or(rest.len());
            let (time, zone) = rest.split_at_checked(end)?;
            (time, if zone.is_empty() { "Z" } else { zone.trim_start() })
        }
    };
    let micros = date.and_time(clock(time)?).and_utc().timestamp_micros();
    let later = micros.checked_sub(offset(zone)?)?;
    // The years that every engine writes with four digits.
    (date.format("%Y").to_string().as_str() >= "0001").then_some(later)
}

fn clock(time: &str) -> Option<NaiveTime> {
    let fraction = time.split_once('.').map_or("", |(_, fraction)| fraction);
    let plain = time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':' || byte == b'.');
    if fraction.len() > 6 || !plain || time.split([':', '.']).any(str::is_empty) {
        return None;
    }
    let hours_two = time.split([':', '.']).take(3).all(|part| part.len() == 2) || time.contains('.');
    let whole = time.split('.').next()?;
    if !hours_two || !whole.split(':').all(|part| part.len() == 2) {
        return None;
    }
    let time = NaiveTime::parse_from_str(time, "%H:%M:%S%.f")
        .or_else(|_| NaiveTime::parse_from_str(time, "%H:%M"))
        .ok()?;
    // PostgreSQL takes a leap second for the next minute's first: not here.
    (chrono::Timelike::nanosecond(&time) < 1_000_000_000).then_some(time)
}

/// The zone's distance from UTC, in microseconds.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z" | "UTC" | "utc") {
        return Some(0);
    }
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None => digits.split_at_checked(2).map(|(h, m)| (h, if m.is_empty() { "00" } else { m }))?,
    };
    if hours.len() != 2
        || minutes.len() != 2
        || !format!("{hours}{minutes}").bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60) * 1_000_000)
}

/// Longest interval, in microseconds: a hundred years.
const LONGEST: i64 = 100 * 366 * 86_400 * 1_000_000;

/// An interval of days and shorter: `1 day 2 hours`, `-30 minutes`, `26:00:00.5`.
pub(in crate::sql) fn interval(text: &str) -> Result<i64, EvalError> {
    if text.split_whitespace().any(|word| {
        let word = word.to_ascii_lowercase();
        word.starts_with("mon")
            || word.starts_with("year")
            || word.starts_with("decade")
            || word.starts_with("cent")
    }) {
        return Err(EvalError::new("months and years have no fixed length: write days"));
    }
    parse_interval(text)
        .filter(|span| span.abs() <= LONGEST)
        .ok_or_else(|| EvalError::new("the interval is not understood: write it as '2 days 12 hours'"))
}

fn parse_interval(text: &str) -> Option<i64> {
    let mut words = text.split_whitespace().peekable();
    words.peek()?;
    let mut span: i64 = 0;
    while let Some(word) = words.next() {
        span = span.checked_add(if word.contains(':') {
            if words.peek().is_some() {
                return None;
            }
            hours_minutes(word)?
        } else {
            let count: i64 = word.parse().ok()?;
            count.checked_mul(unit(words.next()?)?)?
        })?;
    }
    Some(span)
}

fn hours_minutes(word: &str) -> Option<i64> {
    let (sign, word) = word.strip_prefix('-').map_or((1, word), |rest| (-1, rest));
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    if fraction.len() > 6 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let numbers = whole.split(':').map(|part| part.parse::<u32>().ok()).collect::<Option<Vec<_>>>()?;
    let [hours, minutes, seconds] = numbers.as_slice() else { return None };
    if *minutes >= 60 || *seconds >= 60 {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    let seconds = i64::from(*hours).checked_mul(3600)? + i64::from(*minutes) * 60 + i64::from(*seconds);
    seconds.checked_mul(1_000_000)?.checked_add(micros)?.checked_mul(sign)
}

fn unit(word: &str) -> Option<i64> {
    let seconds = match word.to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        _ => return None,
    };
    Some(seconds * 1_000_000)
}

/// A literal of JSON, as far as both engines keep it.
pub(in crate::sql) fn json(text: &str) -> Result<Json, EvalError> {
    if text.contains("\\u0000") {
        return Err(EvalError::new("\\u0000 can't be kept as text"));
    }
    serde_json::from_str(text).map_err(|_| invalid(Type::Jsonb))
}
