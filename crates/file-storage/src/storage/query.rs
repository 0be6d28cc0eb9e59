//! Queries over rows.

use serde_json::Value as Json;

use super::FileStorage;
use crate::errors::StorageError;
use crate::permissions::{Operation, RlsContext};
use crate::sql::query::{self, Answer, QueryLimits};

/// What a caller asks.
#[derive(Debug, Clone, Copy)]
pub struct QueryRequest<'a> {
    /// One `SELECT`.
    pub sql: &'a str,
    /// What `$1` and so on stand for.
    pub parameters: &'a [Json],
    /// Most rows that the caller wants.
    pub max_rows: Option<u64>,
}

impl FileStorage {
    /// Runs one `SELECT` over the rows that the caller may see.
    ///
    /// # Errors
    /// [`StorageError::InvalidQuery`] for what the gate refuses, and those of
    /// [`crate::executor::Executor::query`].
    pub async fn query(
        &self,
        context: &RlsContext,
        request: QueryRequest<'_>,
    ) -> Result<Answer, StorageError> {
        let access = self.access(context, Operation::Query, None).await?;
        let query = query::parse(request.sql, request.parameters).map_err(StorageError::InvalidQuery)?;
        let options = &self.inner.options.query;
        // Who says how many rows are wanted gets as many, up to the server's limit.
        let asked = [query.limit, request.max_rows].into_iter().flatten().min();
        let rows = asked.unwrap_or(options.default_rows.into()).min(options.max_rows.into());
        let limits = QueryLimits { rows, bytes: options.max_bytes, time: options.timeout };
        self.executor().query(&access, &query, &limits).await
    }
}
