//! One connection, and how the pool makes and judges them.
//!
//! Statements are prepared once per connection and role: PostgreSQL rewrites a statement for the role that runs it,
//! and would plan it anew each time another role came by.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, Statement};
use tokio_util::task::TaskTracker;

use super::PostgresOptions;
use super::errors::Fault;
use super::schema::SchemaName;
use super::tls::Tls;

/// A connection to the database.
pub(super) struct Connection {
    client: Client,
    schema: Arc<SchemaName>,
    statements: Mutex<HashMap<(&'static str, &'static str), Statement>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// A statement of ours, prepared for a role.
    pub(super) async fn statement(&self, role: &'static str, sql: &'static str) -> Result<Statement, Fault> {
        if let Some(prepared) = self.known().get(&(role, sql)) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(&self.schema.fill(sql)).await?;
        self.known().insert((role, sql), prepared.clone());
        Ok(prepared)
    }

    /// Whether a statement is prepared.
    pub(super) fn knows(&self, role: &'static str, sql: &'static str) -> bool {
        self.known().contains_key(&(role, sql))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(&'static str, &'static str), Statement>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes connections.
pub(super) struct Manager {
    config: Config,
    tls: Tls,
    schema: Arc<SchemaName>,
    /// What drives the connections; each task ends with its connection.
    tasks: TaskTracker,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration has a password in it.
        f.debug_struct("Manager").finish_non_exhaustive()
    }
}

impl Manager {
    pub(super) fn new(options: &PostgresOptions, tasks: TaskTracker) -> Result<Self, Fault> {
        let address = &options.address;
        let roots = options.root_certificates.as_deref().or(address.root_certificates.as_deref());
        let mut config = address.config.clone();
        config.connect_timeout(*config.get_connect_timeout().unwrap_or(&options.wait));
        Ok(Self {
            config,
            tls: Tls::new(address.tls, roots)?,
            schema: Arc::new(options.schema.clone()),
            tasks,
        })
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        // A driver's future is of one type or the other.
        type Driver = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;
        let (client, driver): (Client, Driver) = if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self.config.connect(NoTls).await?;
            (client, Box::pin(connection))
        } else {
            let (client, connection) = self.config.connect(self.tls.clone()).await?;
            (client, Box::pin(connection))
        };
        self.tasks.spawn(async move {
            if let Err(error) = driver.await {
                tracing::warn!(%error, "a connection to the database has ended");
            }
        });
        Ok(client)
    }

    pub(super) fn schema(&self) -> &SchemaName {
        &self.schema
    }
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> Result<Connection, tokio_postgres::Error> {
        let client = self.connect().await?;
        Ok(Connection { client, schema: self.schema.clone(), statements: Mutex::default() })
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        _: &Metrics,
    ) -> RecycleResult<tokio_postgres::Error> {
        if connection.client.is_closed() {
            Err(RecycleError::message("the connection has ended"))
        } else {
            Ok(())
        }
    }
}
