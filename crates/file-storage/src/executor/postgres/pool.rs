//! The connections of this process: so many at most, and a bounded queue of those who wait for one. And what was last
//! learnt over them of the policies in force.

use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Object, PoolError, TimeoutType};
use tokio_postgres::Client;
use tokio_util::task::TaskTracker;

use super::PostgresOptions;
use super::connection::Manager;
use super::errors::{Fault, unavailable};
use super::rules::KnownRules;
use super::schema::SchemaName;
use crate::errors::StorageError;
use crate::failpoint::Scope;

/// How much longer an operation may take than the statement that takes longest: for the way there and back.
const WAY: Duration = Duration::from_secs(5);

/// The connections, and how long things may take.
#[derive(Debug)]
pub(super) struct Pool {
    connections: managed::Pool<Manager>,
    waiting: usize,
    wait: Duration,
    statement_timeout: Duration,
    failpoints: Scope,
    /// Drivers of connections, and what goes on behind operations whose callers went away.
    tasks: TaskTracker,
    rules: KnownRules,
}

impl Pool {
    pub(super) fn new(options: &PostgresOptions) -> Result<Self, Fault> {
        let tasks = TaskTracker::new();
        let connections = managed::Pool::builder(Manager::new(options, tasks.clone())?)
            .max_size(options.connections.max(1))
            .wait_timeout(Some(options.wait))
            .create_timeout(Some(options.wait))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StorageError::Internal {
                context: "the pool of connections could not be made".to_owned(),
                source: Some(Arc::new(error)),
            })?;
        let PostgresOptions { waiting, wait, statement_timeout, .. } = *options;
        let failpoints = options.failpoints.clone();
        let rules = KnownRules::default();
        Ok(Self { connections, waiting, wait, statement_timeout, failpoints, tasks, rules })
    }

    /// A connection, when one is free.
    pub(super) async fn get(&self, operation: &'static str) -> Result<Object<Manager>, Fault> {
        if self.connections.status().waiting >= self.waiting {
            return Err(self.overloaded());
        }
        match self.connections.get().await {
            Ok(connection) => Ok(connection),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(self.overloaded()),
            Err(PoolError::Backend(error)) => Err(error.into()),
            Err(PoolError::Timeout(_) | PoolError::Closed | PoolError::PostCreateHook(_)) => {
                Err(unavailable(operation).into())
            }
            Err(PoolError::NoRuntimeSpecified) => Err(StorageError::internal("the pool has no clock").into()),
        }
    }

    fn overloaded(&self) -> Fault {
        StorageError::Overloaded { retry_after: self.wait.max(Duration::from_secs(1)) }.into()
    }

    /// A connection beside the pool, for what is done before anything else.
    pub(super) async fn unpooled(&self) -> Result<Client, Fault> {
        Ok(self.connections.manager().connect().await?)
    }

    pub(super) fn schema(&self) -> &SchemaName {
        self.connections.manager().schema()
    }

    /// Announces a point at which a test may have the connection break.
    pub(super) async fn hit(&self, point: &'static str) -> Result<(), Fault> {
        self.failpoints.hit_async(point).await.map_err(|error| Fault::Lost(Arc::new(error)))
    }

    pub(super) fn rules(&self) -> &KnownRules {
        &self.rules
    }

    /// How long one statement may take.
    pub(super) fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// How long a whole operation may take, whatever became of the network.
    pub(super) fn operation_timeout(&self) -> Duration {
        self.statement_timeout.saturating_add(self.wait).saturating_add(WAY)
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Gives no connection away any more, and waits for those that are out.
    pub(super) async fn close(&self) {
        self.connections.close();
        self.tasks.close();
        if tokio::time::timeout(self.operation_timeout(), self.tasks.wait()).await.is_err() {
            tracing::warn!("the database's connections did not end in time");
        }
    }
}
