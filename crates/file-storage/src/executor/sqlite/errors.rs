//! What can go wrong in a statement, and the one place where SQLite's errors become the domain's.

use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::errors::StorageError;
use crate::versions::VersionId;

/// Why an operation did not happen.
#[derive(Debug)]
pub(super) enum Fault {
    /// The operation as such was refused. The database is well.
    Refused(StorageError),
    /// The database failed.
    Engine(rusqlite::Error),
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl Fault {
    /// As an answer about a version.
    pub(super) fn of_version(self, version: VersionId) -> Self {
        match self {
            Self::Refused(error) => Self::Refused(error.of_version(version)),
            Self::Engine(error) => Self::Engine(error),
        }
    }

    /// A row that does not hold what our own code put there.
    pub(super) fn corrupt(what: &str) -> Self {
        Self::Refused(StorageError::internal(format!("the database holds a row with a bad {what}")))
    }

    /// Whether the transaction around the statement is lost with it.
    pub(super) fn ends_transaction(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Engine(error) => {
                breaks_connection(error)
                    || matches!(
                        error.sqlite_error_code(),
                        Some(
                            ErrorCode::DiskFull
                                | ErrorCode::OutOfMemory
                                | ErrorCode::OperationInterrupted
                                | ErrorCode::OperationAborted
                        )
                    )
            }
        }
    }

    /// Why the function that computes policies failed, if that is what failed.
    pub(super) fn of_policy(&self) -> Option<&str> {
        match self {
            Self::Engine(rusqlite::Error::SqliteFailure(_, Some(message))) => {
                message.strip_prefix(super::functions::FAILED)
            }
            _ => None,
        }
    }

    /// As the domain knows it.
    pub(super) fn into_storage(self, operation: &'static str) -> StorageError {
        match self {
            Self::Refused(error) => error,
            Self::Engine(error) => fold(operation, error),
        }
    }
}

/// Whether a connection can't be trusted any more after this error: above all after a failed fsync, which is
/// never tried again.
pub(super) fn breaks_connection(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
        )
    )
}

/// SQLite's error in the domain's words.
fn fold(operation: &'static str, error: rusqlite::Error) -> StorageError {
    let provider: Arc<str> = PROVIDER.into();
    match error.sqlite_error_code() {
        _ if is_full(&error) => StorageError::DiskFull { provider },
        Some(ErrorCode::SystemIoFailure) => StorageError::Io { provider, operation, source: Arc::new(error) },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::CannotOpen) => {
            StorageError::ProviderUnavailable { provider, operation, source: Some(Arc::new(error)) }
        }
        _ => StorageError::Internal {
            context: format!("{operation}: the database refused a statement"),
            source: Some(Arc::new(error)),
        },
    }
}

/// Whether the disk had no room: for a page, or for the log's index, which only a full disk keeps from growing.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || error
            .sqlite_error()
            .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// The answer where a write is refused for lack of room.
pub(super) fn full() -> StorageError {
    StorageError::DiskFull { provider: PROVIDER.into() }
}

/// The answer while the database is closed, or can't be opened again.
pub(super) fn unavailable(operation: &'static str) -> StorageError {
    StorageError::ProviderUnavailable { provider: PROVIDER.into(), operation, source: None }
}

/// What errors call the metadata database.
const PROVIDER: &str = "database";
