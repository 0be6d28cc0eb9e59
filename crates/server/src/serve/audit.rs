//! The audit log of a server that is configured to keep one.

use file_storage::audit::{self, AuditError, AuditLog, AuditOptions};
use file_storage::failpoint;

use crate::config::{AuditFailure, AuditedOperations, Config, Durability};

/// The log, where one is wanted.
pub(super) fn open(config: &Config) -> Result<Option<AuditLog>, AuditError> {
    options(config).map(AuditLog::open).transpose()
}

/// Whether it could be kept, where one is wanted. Leaves a server alone that keeps it.
pub(super) fn check(config: &Config) -> Result<(), AuditError> {
    options(config).map_or(Ok(()), |options| audit::check(&options))
}

fn options(config: &Config) -> Option<AuditOptions> {
    let audit = &config.audit;
    let directory = audit.directory.clone()?;
    Some(AuditOptions {
        directory,
        server: audit.server.clone().unwrap_or_else(machine),
        keeps_all: audit.operations == AuditedOperations::All,
        sync: audit.sync == Durability::Full,
        continues_on_failure: audit.on_failure == AuditFailure::Continue,
        max_file_size: audit.rotate_at_size.0,
        keep: audit.keep,
        failpoints: failpoint::Scope::new(&config.data_dir),
    })
}

/// The name of this machine, as far as it can be a file's.
fn machine() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = name.trim_start_matches('.').chars().take(64).map(plain).collect();
    if name.is_empty() { "server".to_owned() } else { name }
}
