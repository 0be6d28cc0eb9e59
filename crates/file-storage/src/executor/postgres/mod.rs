//! The shared engine: metadata in PostgreSQL, for any number of identical processes.
//!
//! Every statement about rows that a user is shown, or changes, runs as the user's own database role, under native
//! row-level security; what the server must know besides runs as `aerostore_keeper`, which no user can become. An
//! operation is one transaction, sent in as few round trips as possible (`session`). Counters, quotas, queued
//! blobs and events are kept by the database itself, by triggers (`migrations/0003_bookkeeping.sql`).
//! Each file here is one operation or one noun, as in `sqlite/`.

mod address;
mod buckets;
mod cells;
mod connection;
mod credentials;
mod decide;
mod delete;
mod diagnose;
mod emptying;
mod engine;
mod errors;
mod events;
mod explain;
pub(super) mod export;
mod extra;
pub(super) mod import;
mod jobs;
mod lifecycle;
mod listing;
mod look;
mod marks;
mod migrations;
mod multipart;
mod policies;
mod pool;
mod put;
mod put_many;
mod put_together;
mod query;
mod queue;
mod quotas;
mod read;
mod relocate;
mod rls;
mod roles;
mod rows;
mod rules;
mod schema;
mod scrub;
mod session;
mod tls;
mod upkeep;
mod usage;
mod usage_by;
mod versions;
mod webhooks;

#[cfg(test)]
pub(super) mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use uuid::Uuid;

use errors::Fault;
use marks::Marks;
use pool::Pool;

use crate::errors::StorageError;
use crate::failpoint::Scope;

pub use address::{BadAddress, PostgresAddress};
pub use diagnose::Diagnosis;
pub use schema::{BadSchema, SchemaName};

/// How the database is reached.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where it is, and who connects.
    pub address: PostgresAddress,
    /// The schema that everything lives in; another one, with `_inner` at its end, stands beside it.
    pub schema: SchemaName,
    /// Most connections of this process.
    pub connections: usize,
    /// Most operations that wait for a connection; more are refused as overload.
    pub waiting: usize,
    /// How long an operation waits for a connection, or for one to be made.
    pub wait: Duration,
    /// How long the database may take for a statement.
    pub statement_timeout: Duration,
    /// How many queries of callers run at a time.
    pub queries: usize,
    /// A file of certificates (PEM) of authorities to trust, instead of the system's.
    pub root_certificates: Option<PathBuf>,
    /// Whose points tests make fail here.
    pub failpoints: Scope,
}

impl PostgresOptions {
    /// With what suits one process of a few.
    pub fn new(address: PostgresAddress) -> Self {
        Self {
            address,
            schema: SchemaName::default(),
            connections: 32,
            waiting: 4096,
            wait: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            queries: 4,
            root_certificates: None,
            failpoints: Scope::new(Path::new("")),
        }
    }
}

/// Metadata in PostgreSQL.
#[derive(Debug)]
pub struct PostgresExecutor {
    pool: Arc<Pool>,
    /// Places for queries of callers, and for looks at all objects.
    queries: Arc<Semaphore>,
    /// The place for a batch: a lock for each of its paths and blobs is a good part of what the database has room for.
    batches: Semaphore,
    /// Who waits to be told of marks.
    marks: Marks,
    /// Which process it is that claims work.
    instance: Uuid,
}

impl PostgresExecutor {
    /// Connects, makes roles and tables where they are missing, and brings the schema up to date. Processes that
    /// start at the same time wait for each other.
    ///
    /// # Errors
    /// [`StorageError::ProviderUnavailable`] where the database can't be reached, and [`StorageError::Internal`]
    /// where it can't be used: newer than this program, too old a server, missing rights.
    pub async fn open(options: PostgresOptions) -> Result<Self, StorageError> {
        let open = async {
            let pool = Pool::new(&options)?;
            migrations::prepare(&mut pool.unpooled().await?, pool.schema()).await?;
            // Whatever queries take, a connection is left to the rest.
            let queries = options.queries.min(options.connections.saturating_sub(1));
            let queries = Arc::new(Semaphore::new(queries.max(1)));
            let pool = Arc::new(pool);
            policies::mirror(&pool).await?;
            let (batches, marks) = (Semaphore::new(1), Marks::default());
            Ok(Self { pool, queries, batches, marks, instance: Uuid::new_v4() })
        };
        open.await.map_err(|fault: Fault| fault.into_storage("open"))
    }

    /// Takes the schema of a database that nobody has open back to an earlier version, for a return to an
    /// earlier program. What later versions kept is lost.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn roll_back(options: PostgresOptions, version: u32) -> Result<(), StorageError> {
        let back = async {
            let pool = Pool::new(&options)?;
            let version = i32::try_from(version).unwrap_or(i32::MAX);
            migrations::roll_back(&mut pool.unpooled().await?, pool.schema(), version).await
        };
        back.await.map_err(|fault: Fault| fault.into_storage("roll back"))
    }
}
