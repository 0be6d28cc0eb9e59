//! Who keeps the audit log. What is wrong with its place, or that another server keeps it, is in the way of a start and said there.

use file_storage::audit::Holder;

use super::Finding;
use crate::config::Config;
use crate::serve::audit;

const ABOUT: &str = "audit log";

/// Who keeps it now, where one is wanted.
pub(super) fn look(config: &Config) -> Option<Finding> {
    let (holder, said) = audit::kept_by(config)?;
    Some(match holder {
        Holder::Nobody | Holder::Ours => Finding::ok(ABOUT, said),
        Holder::Unknown => Finding::warning(
            ABOUT,
            said,
            "if this server is not running, give each server a name of its own (`audit.server`); else it says so after a restart",
        ),
    })
}
