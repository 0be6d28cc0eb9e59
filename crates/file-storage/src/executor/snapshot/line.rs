//! Rows as lines of text: a JSON array each, with the values in the order of the table's columns. Knows no SQL.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::executor::migrate::cell::{Cell, Row};
use crate::executor::migrate::tables::Table;

/// The line of a row, without its end.
pub(super) fn write(row: &Row) -> String {
    Value::Array(row.iter().map(value).collect()).to_string()
}

/// The row of a line; `None` where it is none of the table's.
pub(super) fn read(table: &Table, line: &str) -> Option<Row> {
    let values: Vec<Value> = serde_json::from_str(line).ok()?;
    if values.len() != table.columns.len() {
        return None;
    }
    values.into_iter().zip(table.columns).map(|(value, (_, ty))| cell(value, ty)).collect()
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Flag(flag) => (*flag).into(),
        Cell::Int(number) | Cell::Time(number) => (*number).into(),
        Cell::Uuid(uuid) => uuid.to_string().into(),
        // JSON stays text, as it is spelled: a parser would not see its numbers as exactly.
        Cell::Text(text) | Cell::Json(text) => text.as_str().into(),
        Cell::Words(words) => words.as_slice().into(),
        Cell::Bytes(bytes) => BASE64_STANDARD.encode(bytes).into(),
    }
}

fn cell(value: Value, ty: &Type) -> Option<Cell> {
    Some(match (value, ty) {
        (Value::Null, _) => Cell::Null,
        (Value::Bool(flag), &Type::BOOL) => Cell::Flag(flag),
        (Value::Number(number), &Type::INT4) => Cell::Int(i32::try_from(number.as_i64()?).ok()?.into()),
        (Value::Number(number), &Type::INT8) => Cell::Int(number.as_i64()?),
        (Value::Number(micros), &Type::TIMESTAMPTZ) => Cell::Time(micros.as_i64()?),
        (Value::String(text), &Type::UUID) => Cell::Uuid(Uuid::try_parse(&text).ok()?),
        (Value::String(text), &Type::TEXT) => Cell::Text(text),
        (Value::String(text), &Type::JSONB) => Cell::Json(text),
        (Value::String(text), &Type::BYTEA) => Cell::Bytes(BASE64_STANDARD.decode(text).ok()?),
        (Value::Array(words), &Type::TEXT_ARRAY) => {
            let words = words.into_iter().map(|word| match word {
                Value::String(word) => Some(word),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
            });
            Cell::Words(words.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table {
        name: "all_types",
        columns: &[
            ("flag", Type::BOOL),
            ("short", Type::INT4),
            ("long", Type::INT8),
            ("time", Type::TIMESTAMPTZ),
            ("uuid", Type::UUID),
            ("text", Type::TEXT),
            ("words", Type::TEXT_ARRAY),
            ("json", Type::JSONB),
            ("bytes", Type::BYTEA),
            ("nothing", Type::TEXT),
        ],
        sequence: None,
    };

    #[test]
    fn a_row_comes_back_from_its_line() {
        let row = vec![
            Cell::Flag(true),
            Cell::Int(-5),
            Cell::Int(i64::MAX),
            Cell::Time(i64::MIN),
            Cell::Uuid(Uuid::from_u128(7)),
            Cell::Text("a\n\0\u{2028}\"ü😀".into()),
            Cell::Words(vec!["a".into(), String::new()]),
            Cell::Json("{\"n\": 1.50e300}".into()),
            Cell::Bytes(vec![0, 255, 92]),
            Cell::Null,
        ];
        let line = write(&row);
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(read(&TABLE, &line), Some(row));
    }

    #[test]
    fn what_is_no_row_of_the_table_is_none() {
        let table = Table { name: "one", columns: &[("short", Type::INT4)], sequence: None };
        for line in ["", "[]", "[1,2]", "[\"1\"]", "[1.5]", "[5000000000]", "{\"short\":1}", "[1] "] {
            assert_eq!(read(&table, line).is_some(), line == "[1] ", "{line}");
        }
    }
}
