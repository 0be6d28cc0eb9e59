//! An error with all that led to it: for the log and for operators, and never for a client.

use std::error::Error;

use super::StorageError;

impl StorageError {
    /// What failed, and every cause behind it, in one line.
    pub fn with_causes(&self) -> String {
        let mut text = match self {
            Self::Internal { context, .. } => context.clone(),
            other => other.to_string(),
        };
        let mut source = self.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn an_operator_sees_what_failed_and_why() {
        let source: super::super::Cause = Arc::new(io::Error::from(io::ErrorKind::PermissionDenied));
        let error = StorageError::Internal { context: "the file /a".to_owned(), source: Some(source) };
        assert_eq!(error.with_causes(), "the file /a: permission denied");
        assert_eq!(error.to_string(), "Internal error", "a client sees none of it");
    }
}
