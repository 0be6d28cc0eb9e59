//! `aerostore query`: a SELECT over the rows that the caller may see.

use clap::Args;
use serde_json::Value;

use super::Context;
use crate::client::queries::Found;
use crate::failure::Failure;
use crate::output;

/// Options of `query`.
#[derive(Debug, Args)]
pub(crate) struct Query {
    /// One SELECT over storage_objects, storage_buckets, storage_usage and upload_queue
    sql: String,
    /// What $1 stands for, then $2, and so on: JSON, or else a text
    #[arg(long = "param", short = 'p', value_name = "VALUE", allow_hyphen_values = true)]
    params: Vec<String>,
    /// Most rows of the answer
    #[arg(long, value_name = "N")]
    max_rows: Option<u32>,
}

/// Runs `aerostore query`.
pub(crate) async fn run(query: &Query, context: &Context<'_>) -> Result<(), Failure> {
    let params: Vec<Value> = query.params.iter().map(|text| parameter(text)).collect();
    let found = context.client.query(&query.sql, &params, query.max_rows).await?;
    context.out.result(&found, table)?;
    if found.truncated {
        let shown = found.row_count;
        context.out.note(&format!("there are more than these {shown} rows; say LIMIT, or --max-rows"));
    }
    Ok(())
}

fn parameter(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// The rows below the names of their columns.
fn table(found: &Found) -> String {
    let is_number = |ty: &str| matches!(ty, "integer" | "bigint" | "numeric");
    let right: Vec<usize> = found
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| is_number(&column.ty))
        .map(|(at, _)| at)
        .collect();
    let names = found.columns.iter().map(|column| column.name.clone()).collect();
    let cells = |row: &serde_json::Map<String, Value>| {
        found.columns.iter().map(|column| cell(row.get(&column.name))).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = std::iter::once(names).chain(found.rows.iter().map(cells)).collect();
    output::table(&rows, &right)
}

/// A value as a text, which the table has on one line.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_found_is_a_table() {
        let found = json!({
            "columns": [{ "name": "path", "type": "text" }, { "name": "size", "type": "bigint" }],
            "rows": [{ "path": "a\nb", "size": 12 }, { "path": null, "size": 3456 }],
            "row_count": 2, "truncated": false,
        });
        let found: Found = serde_json::from_value(found).unwrap();
        assert_eq!(table(&found), "path  size\na\\nb    12\n-     3456");
    }

    #[test]
    fn parameters_are_json_or_texts() {
        let check = |text: &str, value: Value| assert_eq!(parameter(text), value);
        check("5", json!(5));
        check("null", json!(null));
        check("avatars", json!("avatars"));
        check("\"5\"", json!("5"));
        check("2026-01-31", json!("2026-01-31"));
    }
}
