//! What can go wrong in a statement, and the one place where PostgreSQL's errors become the domain's.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::error::SqlState;

use crate::errors::{Cause, StorageError};
use crate::executor::UsageDifference;
use crate::sql::SqlFault;
use crate::versions::VersionId;

/// What errors call the metadata database.
const PROVIDER: &str = "database";

/// The SQLSTATE by which our triggers refuse to go over a quota.
const QUOTA: &str = "AEQ01";

/// Why an operation did not happen.
#[derive(Debug)]
pub(super) enum Fault {
    /// The operation as such was refused. The database is well.
    Refused(StorageError),
    /// The database refused a statement, or could not be asked.
    Engine(tokio_postgres::Error),
    /// The connection broke: as a test wanted it to.
    Lost(Cause),
    /// What was decided no longer holds, as somebody else was faster: to be tried again from the start.
    Overtaken,
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        Self::Refused(error)
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Engine(error)
    }
}

impl Fault {
    /// As an answer about a version.
    pub(super) fn of_version(self, version: VersionId) -> Self {
        match self {
            Self::Refused(error) => Self::Refused(error.of_version(version)),
            fault => fault,
        }
    }

    /// A row that does not hold what our own code put there.
    pub(super) fn corrupt(what: &str) -> Self {
        Self::Refused(StorageError::internal(format!("the database holds a row with a bad {what}")))
    }

    fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Engine(error) => error.code(),
            Self::Refused(_) | Self::Lost(_) | Self::Overtaken => None,
        }
    }

    /// Whether the transaction lost a race, was undone, and may be tried again as it is.
    pub(super) fn lost_a_race(&self) -> bool {
        matches!(self, Self::Overtaken)
            || matches!(
                self.state(),
                Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
            )
            || self.met_two_writers()
    }

    /// Whether PostgreSQL gave up on a row that many lock and change at once, as it took two of them for its last writer: it
    /// calls that an internal error (seen in 15.18), and has undone the transaction.
    fn met_two_writers(&self) -> bool {
        let Self::Engine(error) = self else { return false };
        error.as_db_error().is_some_and(|error| {
            *error.code() == SqlState::INTERNAL_ERROR
                && error.routine() == Some("MultiXactIdCreateFromMembers")
        })
    }

    /// Whether a row was there already.
    pub(super) fn is_taken(&self) -> bool {
        self.state() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// Whether a row that others refer to was to go, or one that must be there was not.
    pub(super) fn breaks_reference(&self) -> bool {
        self.state() == Some(&SqlState::FOREIGN_KEY_VIOLATION)
    }

    /// Whether row-level security, or a missing grant, refused the statement.
    pub(super) fn is_denial(&self) -> bool {
        self.state() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
    }

    /// Whether there is something of this name already, or a row with it.
    pub(super) fn is_duplicate(&self) -> bool {
        self.is_taken() || self.state() == Some(&SqlState::DUPLICATE_OBJECT)
    }

    /// Whether our triggers refused for a quota.
    pub(super) fn is_over_quota(&self) -> bool {
        self.state().is_some_and(|state| state.code() == QUOTA)
    }

    /// Whether somebody else held a lock for longer than was waited.
    pub(super) fn is_kept_waiting(&self) -> bool {
        self.state() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Why a condition could not be computed, if that is what failed: in a statement of ours as a caller, only what
    /// policies ask can. Without the values, which PostgreSQL quotes at the end.
    pub(super) fn of_policy(&self) -> Option<&str> {
        let Self::Engine(error) = self else { return None };
        let error = error.as_db_error()?;
        let of_text = [SqlState::UNTRANSLATABLE_CHARACTER, SqlState::CHARACTER_NOT_IN_REPERTOIRE];
        (error.code().code().starts_with("22") && !of_text.contains(error.code()))
            .then(|| error.message().split(": \"").next().unwrap_or_default())
    }

    /// As the fault of a policy that PostgreSQL does not take, or of a login that may not make any.
    pub(super) fn of_definition(self) -> Self {
        let Some(error) = (match &self {
            Self::Engine(error) => error.as_db_error(),
            Self::Refused(_) | Self::Lost(_) | Self::Overtaken => None,
        }) else {
            return self;
        };
        let class = error.code().code().get(..2).unwrap_or_default();
        match class {
            _ if self.is_denial() => StorageError::internal(format!(
                "policies are made by the owner of the tables: connect as the role that made them ({})",
                error.message()
            ))
            .into(),
            "22" | "42" | "54" => {
                let reason = format!("PostgreSQL does not take it: {}", error.message());
                StorageError::InvalidSql(SqlFault::of_text(reason)).into()
            }
            _ => self,
        }
    }

    /// Whether the connection is of no use any more, so that another one may do better.
    pub(super) fn breaks_connection(&self) -> bool {
        match self {
            Self::Engine(error) => match error.code() {
                // The plan or the statement is not the server's any more.
                Some(code) => {
                    is_unavailable(code)
                        || [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::FEATURE_NOT_SUPPORTED]
                            .contains(code)
                }
                None => true,
            },
            Self::Lost(_) => true,
            Self::Refused(_) | Self::Overtaken => false,
        }
    }

    /// As the domain knows it.
    pub(super) fn into_storage(self, operation: &'static str) -> StorageError {
        match self {
            Self::Refused(error) => error,
            Self::Engine(error) => fold(operation, error),
            Self::Lost(cause) => StorageError::ProviderUnavailable {
                provider: PROVIDER.into(),
                operation,
                source: Some(cause),
            },
            Self::Overtaken => StorageError::Overloaded { retry_after: Duration::from_secs(1) },
        }
    }
}

/// Whether the server is not there for us just now.
fn is_unavailable(code: &SqlState) -> bool {
    code.code().starts_with("08")
        || [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ]
        .contains(code)
}

/// PostgreSQL's error in the domain's words.
fn fold(operation: &'static str, error: tokio_postgres::Error) -> StorageError {
    let provider: Arc<str> = PROVIDER.into();
    let Some(code) = error.code() else {
        // Not the server's word, but that the connection failed, or that a row did not fit: only the first passes.
        return if error.is_closed()
            || std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
        {
            StorageError::ProviderUnavailable { provider, operation, source: Some(Arc::new(error)) }
        } else {
            StorageError::Internal {
                context: format!("{operation}: the database could not be asked"),
                source: Some(Arc::new(error)),
            }
        };
    };
    match code {
        code if is_unavailable(code) => {
            StorageError::ProviderUnavailable { provider, operation, source: Some(Arc::new(error)) }
        }
        &SqlState::QUERY_CANCELED | &SqlState::LOCK_NOT_AVAILABLE => {
            StorageError::OperationTimeout { operation }
        }
        // Mostly its table of locks, which others' transactions give back as they end.
        &SqlState::T_R_SERIALIZATION_FAILURE
        | &SqlState::T_R_DEADLOCK_DETECTED
        | &SqlState::OUT_OF_MEMORY => StorageError::Overloaded { retry_after: Duration::from_secs(1) },
        &SqlState::DISK_FULL => StorageError::DiskFull { provider },
        &SqlState::IO_ERROR => StorageError::Io { provider, operation, source: Arc::new(error) },
        &SqlState::UNTRANSLATABLE_CHARACTER | &SqlState::CHARACTER_NOT_IN_REPERTOIRE => {
            StorageError::InvalidRequest {
                message: "the metadata has a character that can't be kept".to_owned(),
            }
        }
        code if code.code() == QUOTA => quota(&error).unwrap_or_else(|| StorageError::Internal {
            context: format!("{operation}: a quota was exceeded that can't be read"),
            source: Some(Arc::new(error)),
        }),
        _ => StorageError::Internal {
            context: format!("{operation}: the database refused a statement"),
            source: Some(Arc::new(error)),
        },
    }
}

/// What a trigger says of a quota.
fn quota(error: &tokio_postgres::Error) -> Option<StorageError> {
    #[derive(Deserialize)]
    struct Detail {
        scope: String,
        /// Of a statement that began before a migration: none.
        #[serde(default)]
        name: String,
        used: u64,
        limit: u64,
        requested: u64,
    }
    let detail: Detail = serde_json::from_str(error.as_db_error()?.detail()?).ok()?;
    let scope = UsageDifference::scope(&detail.scope);
    let Detail { name, used, limit, requested, .. } = detail;
    Some(StorageError::QuotaExceeded { scope, name: name.into(), used, limit, requested })
}

/// The answer while the database is closed, or can't be reached.
pub(super) fn unavailable(operation: &'static str) -> StorageError {
    StorageError::ProviderUnavailable { provider: PROVIDER.into(), operation, source: None }
}
