//! A look at a database that changes nothing: whether it can be reached, and whether it is fit.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::errors::Fault;
use super::pool::Pool;
use super::{PostgresExecutor, PostgresOptions, SchemaName, migrations, roles};
use crate::errors::StorageError;

/// How often the connection is asked which process serves it.
const LOOKS: usize = 5;

/// What a look at a database found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Its version: 170002 for 17.2.
    pub server_version: i32,
    /// How long it takes to answer.
    pub latency: Duration,
    /// How far its clock is ahead of this machine's (or behind), in milliseconds.
    pub clock_ahead_ms: i64,
    /// The version of the schema that is there; 0 where a first start would make it.
    pub schema_version: i32,
    /// The version that this program works with.
    pub known_schema_version: i32,
    /// Whether the login bypasses row-level security by itself.
    pub bypasses_row_security: bool,
    /// How many connections the database has for logins like this one, of all programs together.
    pub usable_connections: i32,
    /// What a start would stumble over: roles that are missing and can't be made, rights that are.
    pub in_the_way: Option<String>,
    /// Whether statements of one connection are served by several processes: a pooler that gives each transaction another one.
    pub is_pooled_by_transaction: bool,
}

impl PostgresExecutor {
    /// Looks at a database, and changes nothing in it.
    ///
    /// # Errors
    /// As [`PostgresExecutor::open`].
    pub async fn diagnose(options: PostgresOptions) -> Result<Diagnosis, StorageError> {
        look(&options).await.map_err(|fault| fault.into_storage("open"))
    }
}

/// The version of the schema; 0 where there is none.
pub(super) async fn schema_version(client: &Client, schema: &SchemaName) -> Result<i32, Fault> {
    let table = schema.fill("{schema}.schema_migrations");
    let there = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table]).await?;
    if !there.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let newest = schema.fill("SELECT coalesce(max(version), 0)::integer FROM {schema}.schema_migrations");
    Ok(client.query_one(&newest, &[]).await?.try_get(0)?)
}

async fn look(options: &PostgresOptions) -> Result<Diagnosis, Fault> {
    let pool = Pool::new(options)?;
    let client = pool.unpooled().await?;
    let server_version = migrations::check_server(&client).await?;
    let asked = Instant::now();
    let row = client
        .query_one(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, \
             (SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user), \
             current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer, \
             (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user), \
             has_database_privilege(current_database(), 'CREATE')",
            &[],
        )
        .await?;
    let latency = asked.elapsed();
    let (database_ms, bypasses_row_security): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
    let (usable_connections, login_limit, may_create): (i32, i32, bool) =
        (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
    let halfway = i64::try_from(latency.as_millis() / 2).unwrap_or_default();
    let clock_ahead_ms = database_ms + halfway - chrono::Utc::now().timestamp_millis();
    let schema_version = schema_version(&client, pool.schema()).await?;
    let in_the_way = match roles::in_the_way(&client, server_version).await? {
        None if schema_version == 0 && !may_create => {
            Some("the login may not make a schema in it".to_owned())
        }
        roles => roles,
    };
    let mut served_by = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await?;
        served_by.push(row.try_get::<_, i32>(0)?);
    }
    served_by.dedup();
    Ok(Diagnosis {
        server_version,
        latency,
        clock_ahead_ms,
        schema_version,
        known_schema_version: migrations::newest(),
        bypasses_row_security,
        usable_connections: usable_connections.min(if login_limit < 0 { i32::MAX } else { login_limit }),
        in_the_way,
        is_pooled_by_transaction: served_by.len() > 1,
    })
}
