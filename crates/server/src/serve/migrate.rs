//! Moving the metadata of a server from one engine to another, as both are configured.

use file_storage::executor::migrate as domain;
pub use file_storage::executor::migrate::{Moved, MovedTable, Progress};

use super::{ServerError, open};
use crate::config::{Config, Database};

/// The move of a server's metadata from SQLite to PostgreSQL.
#[derive(Debug)]
pub struct Migration(domain::Migration);

/// From the SQLite file of the server that `from` configures to the database that `to` does; `None` where that is no
/// PostgreSQL.
pub fn migration(from: &Config, to: &Config) -> Option<Migration> {
    let Database::Postgres(address) = &to.database else { return None };
    Some(Migration(domain::Migration {
        source: open::sqlite_file(from),
        target: open::postgres(to, address),
    }))
}

impl Migration {
    /// Moves everything, or nothing. Ends when it is done; `watch` is told how far it is.
    ///
    /// # Errors
    /// [`ServerError::Migration`], saying what is in the way.
    pub async fn run(&self, watch: &(dyn Fn(Progress) + Send + Sync)) -> Result<Moved, ServerError> {
        self.0.run(watch).await.map_err(ServerError::Migration)
    }

    /// Looks whether it would work, and changes nothing.
    ///
    /// # Errors
    /// As [`Migration::run`].
    pub async fn rehearse(&self, watch: &(dyn Fn(Progress) + Send + Sync)) -> Result<Moved, ServerError> {
        self.0.rehearse(watch).await.map_err(ServerError::Migration)
    }
}
