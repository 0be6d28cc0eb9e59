//! The audit log of a server that is configured to keep one.

use file_storage::audit::{self, AuditError, AuditLog, AuditOptions, Holder};
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

/// Who keeps it now, in words, where one is wanted; and whether that is known. What is wrong with its place, a check says.
pub(super) fn kept_by(config: &Config) -> Option<(Holder, String)> {
    let options = options(config)?;
    let holder = audit::holder(&options).ok()?;
    let (server, directory) = (&options.server, options.directory.display());
    let said = match holder {
        Holder::Nobody => format!("nobody writes lines of \"{server}\" in {directory} now"),
        Holder::Ours => {
            format!(
                "the running server of this data directory writes the lines of \"{server}\" in {directory}"
            )
        }
        Holder::Unknown => format!(
            "a process writes the lines of \"{server}\" in {directory}, and does not say which data directory it is the server of: this \
             server as it runs now, by an older version, or another one"
        ),
    };
    Some((holder, said))
}

fn options(config: &Config) -> Option<AuditOptions> {
    let audit = &config.audit;
    let directory = audit.directory.clone()?;
    Some(AuditOptions {
        directory,
        server: audit.server.clone().unwrap_or_else(machine),
        data_dir: config.data_dir.clone(),
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
