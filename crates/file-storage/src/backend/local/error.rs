//! Errors of the file system, folded into the backend's: the only place where that happens.

use std::io;
use std::sync::Arc;

use crate::backend::BackendError;

/// Says which operation an error of the file system belongs to.
pub(super) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> BackendError {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackendError::DiskFull,
        _ => BackendError::Io { operation, source: Arc::new(error) },
    }
}

/// As [`io`], where a missing file is a missing blob.
pub(super) fn blob(operation: &'static str) -> impl FnOnce(io::Error) -> BackendError {
    move |error| match error.kind() {
        io::ErrorKind::NotFound => BackendError::NotFound,
        _ => io(operation)(error),
    }
}

/// Says which operation a fault of the runtime belongs to: a step that panicked, or a shutdown.
pub(super) fn other<E: std::error::Error + Send + Sync + 'static>(
    operation: &'static str,
) -> impl FnOnce(E) -> BackendError {
    move |error| BackendError::Io { operation, source: Arc::new(error) }
}

/// `None` where what was asked for is not there.
pub(super) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
