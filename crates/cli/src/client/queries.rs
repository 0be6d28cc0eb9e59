//! Requests that ask over rows.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Client;
use crate::failure::Failure;

/// What a query found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Map<String, Value>>,
    pub(crate) row_count: u64,
    pub(crate) truncated: bool,
}

/// A column of what was found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) ty: String,
}

impl Client {
    /// Runs a `SELECT` in which `$1` and so on stand for `params`.
    pub(crate) async fn query(
        &self,
        sql: &str,
        params: &[Value],
        max_rows: Option<u32>,
    ) -> Result<Found, Failure> {
        let body = json!({ "sql": sql, "params": params, "max_rows": max_rows });
        self.json(self.request(Method::POST, "/storage/v1/query").json(&body)).await
    }
}
