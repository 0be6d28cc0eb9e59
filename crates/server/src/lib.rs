//! The server: protocols over the domain, behind one harness.

pub mod app;
pub mod auth;
pub mod client_address;
mod conditional;
pub mod config;
pub mod errors;
mod form_data;
mod gauges;
pub mod health;
pub mod http;
mod management;
pub mod openapi;
mod range;
pub mod rate_limit;
pub mod rest;
mod routes;
mod s3;
pub mod secrets;
pub mod serve;
pub mod telemetry;
mod tus;
mod watch;
mod webhooks;

/// The parsers of what strangers send, each with what must hold of it, for the targets of `fuzz/`.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::s3::fuzzing as s3;
    pub use crate::tus::fuzzing as tus;
}

/// What the command line reads of audit logs, which needs no server.
pub mod audit {
    pub use file_storage::audit::{
        AuditError, AuditFilter, AuditFormat, AuditProblem, AuditedSeries, VerifiedAudit, export, verify,
    };
}

/// What the command line reads before it sends it.
pub use file_storage::permissions::PolicyStatement;
pub use serve::{
    BackupError, BackupMade, BackupOptions, BackupProgress, Created, Finding, Losses, Manifest, Migration,
    Moved, MovedTable, Progress, RestoreOptions, Restored, Server, ServerError, Severity, TakenOver,
    Verified, check, create_backup, doctor, migration, remarks, restore_backup, serve, take_over,
    verify_backup,
};
