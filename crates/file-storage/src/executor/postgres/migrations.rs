//! The schema's versions: embedded scripts, applied forward when a database is opened, each in a transaction, one
//! process at a time. `schema_migrations` says how far a database has come. A script that was released is never changed.

use std::sync::Arc;

use aws_lc_rs::digest;
use tokio_postgres::Client;

use super::errors::Fault;
use super::roles;
use super::schema::SchemaName;
use crate::errors::StorageError;

/// One step of the schema.
struct Migration {
    version: i32,
    name: &'static str,
    forward: &'static str,
    back: &'static str,
}

/// Names a script and its way back.
macro_rules! migration {
    ($version:literal, $file:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            forward: include_str!(concat!("migrations/", $file, "_", $name, ".sql")),
            back: include_str!(concat!("migrations/", $file, "_", $name, ".rollback.sql")),
        }
    };
}

const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001", "tables"),
    migration!(2, "0002", "row_level_security"),
    migration!(3, "0003", "bookkeeping"),
    migration!(4, "0004", "lists"),
    migration!(5, "0005", "queue_and_policies"),
    migration!(6, "0006", "policies_in_force"),
    migration!(7, "0007", "cheaper_reads"),
    migration!(8, "0008", "multipart_uploads"),
    migration!(9, "0009", "s3"),
    migration!(10, "0010", "versions"),
    migration!(11, "0011", "unfinished_uploads"),
    migration!(12, "0012", "owned_versions"),
    migration!(13, "0013", "sound_mirrors"),
    migration!(14, "0014", "levels"),
    migration!(15, "0015", "quotas"),
    migration!(16, "0016", "events"),
    migration!(17, "0017", "queue_of_blobs"),
    migration!(18, "0018", "copies"),
    migration!(19, "0019", "jobs"),
    migration!(20, "0020", "lifecycle"),
    migration!(21, "0021", "webhooks"),
    migration!(22, "0022", "provider_events"),
    migration!(23, "0023", "marks"),
    migration!(24, "0024", "adopt"),
    migration!(25, "0025", "marks_of_objects"),
    migration!(26, "0026", "named_quotas"),
    migration!(27, "0027", "actions_of_warnings"),
];

/// The oldest server that has all that the scripts use.
const OLDEST_SERVER: i32 = 150_000;

/// Where versions are written down.
const LEDGER: &str = "CREATE SCHEMA IF NOT EXISTS {schema}; \
     CREATE TABLE IF NOT EXISTS {schema}.schema_migrations ( \
         version integer NOT NULL PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";

/// A database that this build must not touch.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database has schema version {found}, made by a newer Aerostore; this one knows versions up to {known}"
)]
struct NewerSchema {
    found: i32,
    known: i32,
}

/// The schema that this build works with.
pub(super) fn newest() -> i32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// All versions that there are, beginning with nothing.
#[cfg(test)]
pub(super) fn versions() -> impl Iterator<Item = i32> {
    std::iter::once(0).chain(MIGRATIONS.iter().map(|migration| migration.version))
}

/// Makes a database ready: roles, and the newest schema.
pub(super) async fn prepare(client: &mut Client, schema: &SchemaName) -> Result<(), Fault> {
    let server = check_server(client).await?;
    roles::ensure(client, server).await?;
    migrate(client, schema, newest()).await
}

/// Refuses what the scripts would fail on.
pub(super) async fn check_server(client: &Client) -> Result<i32, Fault> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding')",
            &[],
        )
        .await?;
    let (version, encoding): (i32, &str) = (row.try_get(0)?, row.try_get(1)?);
    if version < OLDEST_SERVER {
        let context = format!("PostgreSQL {} is too old: Aerostore needs 15 or newer", version / 10_000);
        return Err(StorageError::internal(context).into());
    }
    if encoding != "UTF8" {
        let context = format!("the database's encoding is {encoding}: Aerostore needs UTF8");
        return Err(StorageError::internal(context).into());
    }
    Ok(version)
}

/// Brings a database forward to `version`.
pub(super) async fn migrate(client: &mut Client, schema: &SchemaName, version: i32) -> Result<(), Fault> {
    loop {
        let transaction = client.transaction().await?;
        let found = locked(&transaction, schema).await?;
        if found > newest() {
            return Err(Fault::Refused(StorageError::Internal {
                context: "the database can't be opened".to_owned(),
                source: Some(Arc::new(NewerSchema { found, known: newest() })),
            }));
        }
        let Some(step) = MIGRATIONS.iter().find(|step| step.version > found && step.version <= version)
        else {
            return Ok(transaction.commit().await?);
        };
        tracing::info!(version = step.version, name = step.name, %schema, "migrating the database");
        transaction.batch_execute(&schema.fill(step.forward)).await?;
        let done = schema.fill("INSERT INTO {schema}.schema_migrations (version, name) VALUES ($1, $2)");
        transaction.execute(&done, &[&step.version, &step.name]).await?;
        transaction.commit().await?;
    }
}

/// Takes a database back to `version`. What the later versions kept is lost.
pub(super) async fn roll_back(client: &mut Client, schema: &SchemaName, version: i32) -> Result<(), Fault> {
    loop {
        let transaction = client.transaction().await?;
        let found = locked(&transaction, schema).await?;
        let last = MIGRATIONS.iter().rev().find(|step| step.version <= found && step.version > version);
        let Some(step) = last else { return Ok(transaction.commit().await?) };
        tracing::warn!(version = step.version, name = step.name, %schema, "rolling the database back");
        transaction.batch_execute(&schema.fill(step.back)).await?;
        let undone = schema.fill("DELETE FROM {schema}.schema_migrations WHERE version = $1");
        transaction.execute(&undone, &[&step.version]).await?;
        transaction.commit().await?;
    }
}

/// Keeps other processes away until the transaction ends, and gives the schema's version; 0 for an empty one.
async fn locked(transaction: &tokio_postgres::Transaction<'_>, schema: &SchemaName) -> Result<i32, Fault> {
    transaction.query("SELECT pg_advisory_xact_lock($1)", &[&lock(schema)]).await?;
    // Made only where it is missing: to ask for it otherwise would take rights that an operator may not give.
    let ledger = schema.fill("{schema}.schema_migrations");
    let missing = transaction.query_one("SELECT to_regclass($1::text) IS NULL", &[&ledger]).await?;
    if missing.try_get(0)? {
        transaction.batch_execute(&schema.fill(LEDGER)).await?;
    }
    let version = schema.fill("SELECT coalesce(max(version), 0) FROM {schema}.schema_migrations");
    Ok(transaction.query_one(&version, &[]).await?.try_get(0)?)
}

/// What stands for the schema, among locks.
fn lock(schema: &SchemaName) -> i64 {
    let digest = digest::digest(&digest::SHA256, format!("aerostore migrations {schema}").as_bytes());
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    i64::from_be_bytes(first)
}
