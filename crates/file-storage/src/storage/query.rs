//! Queries over rows.

use std::net::IpAddr;

use serde_json::Value as Json;

use super::FileStorage;
use super::turns::Party;
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
    /// Where the request came from: what anon is told apart by, where turns are taken.
    pub client: Option<IpAddr>,
}

impl FileStorage {
    /// Runs one `SELECT` over the rows that the caller may see. It waits for its turn where the caller has as many
    /// under way as one caller may have, so that nobody keeps the others waiting.
    ///
    /// # Errors
    /// [`StorageError::InvalidSql`] for what the gate refuses, [`StorageError::RateLimited`] where the caller's other
    /// queries don't end, and those of [`crate::executor::Executor::query`].
    pub async fn query(
        &self,
        context: &RlsContext,
        request: QueryRequest<'_>,
    ) -> Result<Answer, StorageError> {
        let access = self.access(context, Operation::Query, None).await?;
        let tables = if context.is_service() { query::READABLE } else { query::READABLE_BY_USERS };
        let query = query::parse_over(tables, request.sql, request.parameters);
        let query = query.map_err(StorageError::InvalidSql)?;
        let options = self.inner.options.load().query;
        // Who says how many rows are wanted gets as many, up to the server's limit.
        let asked = [query.limit, request.max_rows].into_iter().flatten().min();
        let rows = asked.unwrap_or(options.default_rows.into()).min(options.max_rows.into());
        let limits = QueryLimits { rows, bytes: options.max_bytes, time: options.timeout };
        let _turn = self.inner.query_turns.take(Party::of(context, request.client), limits.time).await?;
        self.executor().query(&access, &query, &limits).await
    }
}
