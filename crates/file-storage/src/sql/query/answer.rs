//! Answers: rows as JSON objects, written while they are read, until a limit is reached. Alike for all engines, to the
//! byte.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat};
use uuid::Uuid;

use super::{Query, QueryLimits};
use crate::sql::eval::json;
use crate::sql::{Decimal, EvalError, Type, Value};

/// What a query found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The names and types of the columns.
    pub columns: Vec<(String, Type)>,
    /// The rows: JSON objects, with commas between them.
    pub rows: String,
    /// How many they are.
    pub row_count: u64,
    /// Whether there are more that a limit cut off.
    pub truncated: bool,
}

/// Writes an answer, row by row.
#[derive(Debug)]
pub struct AnswerWriter {
    answer: Answer,
    /// The names, as JSON, with their colons.
    names: Vec<String>,
    most_rows: u64,
    most_bytes: usize,
}

impl AnswerWriter {
    /// An answer without rows so far.
    pub fn new(query: &Query, limits: &QueryLimits) -> Self {
        let columns: Vec<_> =
            query.outputs.iter().map(|output| (output.name.clone(), output.expr.ty())).collect();
        let names = columns.iter().map(|(name, _)| format!("{}:", quoted(name))).collect();
        let answer = Answer { columns, rows: String::new(), row_count: 0, truncated: false };
        Self { answer, names, most_rows: limits.rows, most_bytes: limits.bytes }
    }

    /// The types of the columns.
    pub fn types(&self) -> impl Iterator<Item = Type> {
        self.answer.columns.iter().map(|(_, ty)| *ty)
    }

    /// Writes a row; gives whether another one may follow.
    ///
    /// # Errors
    /// [`EvalError`] for a value that can't be written.
    pub fn push<'v>(&mut self, values: impl IntoIterator<Item = Value<'v>>) -> Result<bool, EvalError> {
        let answer = &mut self.answer;
        if answer.row_count >= self.most_rows {
            answer.truncated = true;
            return Ok(false);
        }
        let before = answer.rows.len();
        answer.rows.push_str(if before == 0 { "{" } else { ",{" });
        for (at, (name, value)) in self.names.iter().zip(values).enumerate() {
            answer.rows.push_str(if at == 0 { "" } else { "," });
            answer.rows.push_str(name);
            write(&mut answer.rows, &value)?;
        }
        answer.rows.push('}');
        if answer.rows.len() > self.most_bytes {
            answer.rows.truncate(before);
            answer.truncated = true;
            return Ok(false);
        }
        answer.row_count = answer.row_count.saturating_add(1);
        Ok(true)
    }

    /// The answer.
    pub fn finish(self) -> Answer {
        self.answer
    }
}

/// Numbers of up to 64 bits are numbers; `numeric`, which may be longer than any, is text.
fn write(to: &mut String, value: &Value<'_>) -> Result<(), EvalError> {
    match value {
        Value::Null => to.push_str("null"),
        Value::Bool(value) => to.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => to.push_str(&number.to_string()),
        Value::Numeric(number) => to.push_str(&format!("\"{number}\"")),
        Value::Text(text) => to.push_str(&quoted(text)),
        Value::Uuid(id) => to.push_str(&format!("\"{}\"", id.hyphenated())),
        Value::Time(micros) => {
            let time = DateTime::from_timestamp_micros(*micros);
            let time = time.ok_or_else(|| EvalError::row("timestamp out of range"))?;
            to.push_str(&format!("\"{}\"", time.to_rfc3339_opts(SecondsFormat::Micros, true)));
        }
        Value::Interval(micros) => to.push_str(&format!("\"{}\"", interval(*micros))),
        Value::Json(json) => to.push_str(&json::text(json)),
        Value::Array(elements) => {
            let elements = elements.iter().map(|element| match element {
                Some(text) => Cow::Owned(quoted(text)),
                None => Cow::Borrowed("null"),
            });
            to.push_str(&format!("[{}]", elements.collect::<Vec<_>>().join(",")));
        }
    }
    Ok(())
}

/// `-01:30:00.000000`.
fn interval(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let all = micros.unsigned_abs();
    let (seconds, fraction) = (all / 1_000_000, all % 1_000_000);
    format!("{sign}{:02}:{:02}:{:02}.{fraction:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A value as [`super::postgres`]'s statements give it.
///
/// # Errors
/// [`EvalError`] for a text that is no value of the type.
pub fn read_postgres(text: Option<&str>, ty: Type) -> Result<Value<'_>, EvalError> {
    let Some(text) = text else { return Ok(Value::Null) };
    let value = match ty {
        Type::Bool => match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        Type::Int4 | Type::Int8 => text.parse().ok().map(Value::Int),
        Type::Numeric => Decimal::read(text).map(Value::Numeric),
        Type::Text | Type::Unknown => Some(Value::Text(Cow::Borrowed(text))),
        Type::Uuid => Uuid::try_parse(text).ok().map(Value::Uuid),
        Type::Timestamptz => text.parse().ok().map(Value::Time),
        Type::Interval => text.parse().ok().map(Value::Interval),
        Type::Jsonb => serde_json::from_str(text).ok().map(|json| Value::Json(Cow::Owned(json))),
        Type::TextArray => serde_json::from_str(text).ok().map(Value::Array),
    };
    value.ok_or_else(|| EvalError::row("a column holds a value of another type"))
}
