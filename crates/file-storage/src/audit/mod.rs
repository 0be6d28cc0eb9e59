//! The audit log: who did what to which object, in order, as lines in files that show if somebody changed them.
//!
//! ```text
//! WatchedExecutor   sees every change (and, where wanted, every read and refusal), with who asked
//!   → AuditLog      waits its turn among others
//!     → writer      one thread: numbers lines, chains them, writes many at once, syncs
//!       → DIR/{server}.{number of its first line}.jsonl
//! ```
//!
//! A change is answered when its line is in the file. Each line holds the SHA-256 of the one before it, over all files of a
//! server: a line that was changed, taken out or put in shows at the next one. Who can write all files can compute the chain anew
//! from there to its end: against that, keep the hash of a line elsewhere now and then ([`verify`] says the last one).
//!
//! Knows no SQL and no protocol. Nothing that opens anything is in a line: names of keys, and never keys.

mod check;
mod entry;
mod export;
mod hold;
mod line;
mod log;
mod series;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use check::check;
pub(crate) use entry::SYSTEM;
pub use entry::{Action, Entry, Event, Outcome};
pub use export::{AuditFilter, AuditFormat, export};
pub use hold::{Holder, holder};
pub use line::Line;
pub use log::AuditLog;
pub(crate) use log::Unanswered;
pub use verify::{AuditProblem, AuditedSeries, VerifiedAudit, verify};

use crate::failpoint;

/// How an audit log is kept.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Where its files are.
    pub directory: PathBuf,
    /// The server's name, which its files begin with: one process has it at a time.
    pub server: String,
    /// The server's data directory, by which it is told from another server that has the name.
    pub data_dir: PathBuf,
    /// Whether reads, lists and refusals are in it, besides changes.
    pub keeps_all: bool,
    /// Whether a line is on stable storage before its change is answered; else a power failure may take the last ones.
    pub sync: bool,
    /// Whether changes go on while lines can't be written.
    pub continues_on_failure: bool,
    /// Length of a file, in bytes, at which the next one is begun. One is begun each day, too.
    pub max_file_size: u64,
    /// Age at which a file is deleted; `None`: never.
    pub keep: Option<Duration>,
    /// Whose failpoints are met.
    pub failpoints: failpoint::Scope,
}

/// Why there is no audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Its directory or a file of it can't be used.
    #[error("{}: {source}", path.display())]
    Place {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The server of another data directory writes lines of this name.
    #[error("another process writes the lines of \"{server}\" in {}: give each server a name of its own", directory.display())]
    Taken {
        /// The server's name.
        server: String,
        /// The directory.
        directory: PathBuf,
    },
    /// The last line is none: nothing can be chained to it.
    #[error("{} does not end with a line of an audit log: look at it, and move it away", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl AuditError {
    fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Place { path, source }
    }
}
