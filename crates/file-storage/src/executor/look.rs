//! What a database says of itself to somebody who must not change it: the same of either engine, for a check before a start.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::UsageDifference;
use super::postgres::PostgresExecutor;
use super::snapshot::Database;
use super::sqlite::SqliteExecutor;
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::identities::Known;
use crate::lifecycle::LifecycleRule;
use crate::permissions::{Access, AccessRules, Operation, RlsContext};

/// Most files of a database whose counters are compared with a recount: one of more would take a while.
pub(in crate::executor) const COUNTED: u64 = 1_000_000;

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// What is known of each provider that was asked about.
    pub providers: BTreeMap<Arc<str>, Known>,
    /// Entries of the upload queue that were given up.
    pub failed_entries: u64,
    /// Webhooks that were switched off, or paused as too much was in store for them.
    pub silent_webhooks: u64,
    /// Counters that a recount does not confirm; `None` where there is too much to be counted.
    pub wrong_counters: Option<Vec<UsageDifference>>,
    /// The lifecycle rules that are kept.
    pub lifecycle_rules: Vec<LifecycleRule>,
    /// Until when rules wait, as the clock had leapt when a server looked at it last.
    pub lifecycle_held_until: Option<Timestamp>,
    /// Buckets that were asked about, and are not there.
    pub missing_buckets: Vec<BucketName>,
}

/// What a look at a database came to.
#[derive(Debug, Clone)]
pub enum Look {
    /// There is none yet: a start makes it.
    Nothing,
    /// One of an earlier version: a start brings it up to date, and what it says is not looked at before.
    Older,
    /// What it says.
    Books(Books),
}

/// Looks at a database, and changes nothing.
///
/// # Errors
/// What would be in the way of a start: one that can't be read, a newer version, metadata that was moved away.
pub async fn look(
    database: Database,
    providers: Vec<Arc<str>>,
    buckets: Vec<BucketName>,
) -> Result<Look, StorageError> {
    let context = RlsContext::system("a look at the database");
    let access = Access::check(&context, Operation::Maintain, None, AccessRules::default())?;
    match database {
        Database::Sqlite(path) => {
            let look = move || SqliteExecutor::look(&path, &access, &providers, &buckets);
            tokio::task::spawn_blocking(look).await.map_err(|error| StorageError::Internal {
                context: "the look at the database".to_owned(),
                source: Some(Arc::new(error)),
            })?
        }
        Database::Postgres(options) => PostgresExecutor::look(*options, &access, &providers, &buckets).await,
    }
}
