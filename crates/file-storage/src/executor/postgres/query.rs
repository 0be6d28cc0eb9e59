//! Queries of callers: statements rendered from what the gate let in, run as the caller's own role in a transaction
//! that can only read, for a limited time.
//!
//! The gate decides what is asked, native row-level security which rows are there.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use tokio::sync::Semaphore;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::errors::{Fault, unavailable};
use super::pool::Pool;
use super::rls::Caller;
use super::session::Session;
use crate::errors::StorageError;
use crate::permissions::{Access, Permission};
use crate::sql::query::{Answer, AnswerWriter, Query, QueryLimits, postgres, read_postgres};
use crate::sql::{EvalError, SqlFault, Type};

/// When a caller may try again where too many queries run.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the operation is called.
const OPERATION: &str = "query";

/// Runs a query. `places` bounds how many run at a time, so that they leave connections to the others.
pub(super) async fn run(
    pool: &Arc<Pool>,
    places: &Semaphore,
    access: &Access,
    query: &Query,
    limits: &QueryLimits,
) -> Result<Answer, Fault> {
    access.on_rows(Permission::BucketRead, None)?;
    let context = access.on_rows(Permission::ObjectRead, None)?;
    let _place = match tokio::time::timeout(limits.time, places.acquire()).await {
        Ok(Ok(place)) => place,
        Ok(Err(_)) => return Err(unavailable(OPERATION).into()),
        Err(_) => return Err(StorageError::Overloaded { retry_after: RETRY_AFTER }.into()),
    };
    let sql = postgres(query, pool.schema().as_str(), query.rows_to_read(limits));
    let mut writer = AnswerWriter::new(query, limits);
    let types: Vec<_> = writer.types().collect();
    let mut session = Session::start(pool, OPERATION).await?;
    let client = session.begin_reading(&Caller::of(context), limits.time).await?;
    let statement = client.prepare(&sql).await?;
    let none: [&(dyn ToSql + Sync); 0] = [];
    let mut rows = pin!(client.query_raw(&statement, none).await.map_err(failed)?);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        if !writer.push(values(&row, &types)?).map_err(|error| uncomputed(&error))? {
            break;
        }
    }
    Ok(writer.finish())
}

fn values<'r>(row: &'r Row, types: &[Type]) -> Result<Vec<crate::sql::Value<'r>>, Fault> {
    let value = |(at, ty): (usize, &Type)| {
        let text: Option<&str> = row.try_get(at)?;
        read_postgres(text, *ty).map_err(|error| uncomputed(&error))
    };
    types.iter().enumerate().map(value).collect()
}

/// A value that can't be written.
fn uncomputed(error: &EvalError) -> Fault {
    StorageError::InvalidSql(SqlFault::of_text(error.to_string())).into()
}

/// Why a statement that was well made failed while it ran. PostgreSQL's own words may quote values: they are not
/// handed on.
fn failed(error: tokio_postgres::Error) -> Fault {
    let reason = match error.code() {
        Some(&SqlState::DIVISION_BY_ZERO) => "division by zero",
        Some(&SqlState::NUMERIC_VALUE_OUT_OF_RANGE) => "a number is out of range",
        Some(code) if code.code().starts_with("22") => "a value can't be computed",
        _ => return error.into(),
    };
    StorageError::InvalidSql(SqlFault::of_text(reason.to_owned())).into()
}
