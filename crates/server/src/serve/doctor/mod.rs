//! What `aerostore doctor` looks at: what commonly goes wrong, and what to do about it. Changes nothing, but for the small blob
//! that a remote provider is asked to take, give back and delete, and the small file that is tried in the audit log's directory.

mod audit;
mod backups;
mod certificate;
mod database;
mod lifecycle;
mod machine;
mod owners;
mod providers;
mod reach;
mod secrets;

use std::error::Error;
use std::time::Duration;

use file_storage::executor::look::Look;
use serde::Serialize;

use super::check::of_machine;
use super::identities;
use crate::config::Loaded;

/// How long anything on another machine may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, and will bring trouble.
    Warning,
    /// The server can't start, or can't do its work.
    Error,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at.
    pub about: &'static str,
    /// What was found.
    pub found: String,
    /// What to do, where something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
}

impl Finding {
    fn ok(about: &'static str, found: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, about, found: found.into(), advice: None }
    }

    fn warning(about: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self { severity: Severity::Warning, about, found: found.into(), advice: Some(advice) }
    }

    fn error(about: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self { severity: Severity::Error, about, found: found.into(), advice: Some(advice) }
    }
}

/// Looks at all that a server with this configuration needs. The slow parts, on other machines, come last.
pub async fn doctor(loaded: &Loaded) -> Vec<Finding> {
    let config = &loaded.config;
    let of_machine = of_machine(config);
    let (of_database, looked) = database::look_at(config).await;
    let mut of_start: Vec<_> = of_machine.iter().map(|error| stumble(error)).collect();
    // Where the database can't be read, it is not known which places it means.
    let mistaken = match &looked {
        Some(looked) => identities::mistaken(config, looked, true).await.unwrap_or_default(),
        None => Vec::new(),
    };
    of_start.extend(mistaken.iter().map(|error| stumble(error)));
    let mut findings = if of_start.is_empty() {
        vec![Finding::ok("start", "nothing on this machine is in the way of a start")]
    } else {
        of_start
    };
    findings.extend(machine::look(loaded));
    findings.extend(owners::look(config));
    findings.extend(audit::look(config));
    findings.extend(secrets::weak(config));
    findings.extend(reach::look(config).await);
    findings.extend(of_database);
    if let Some(Look::Books(books)) = &looked {
        findings.extend(lifecycle::look(config, books));
    }
    // Where there is nothing yet, there is nothing to be backed up.
    if matches!(looked, Some(Look::Books(_) | Look::Older)) {
        findings.push(backups::look(config));
    }
    findings.extend(providers::look(config).await);
    findings
}

/// What a start would stumble over.
fn stumble(error: &dyn Error) -> Finding {
    Finding::error("start", with_cause(error), "a server with this configuration does not start")
}

/// What it says, and what its source does.
fn with_cause(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
