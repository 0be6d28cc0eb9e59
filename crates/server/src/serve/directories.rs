//! Which of the configured directories are the ones that the database means. Asked before anything in them is opened: what a crash
//! left in another database's directory is not ours to finish.

use std::collections::BTreeSet;

use file_storage::backend::local::Directory;
use file_storage::directories::{NamedDirectory, settle};
use file_storage::executor::Executor;

use super::ServerError;
use crate::config::{Config, Database, LOCAL, ProviderKind};

/// Looks at all of them; gives the names of those that this server must leave alone, and can do without. Blocks.
pub(super) async fn foreign(
    config: &Config,
    executor: &dyn Executor,
) -> Result<BTreeSet<String>, ServerError> {
    let sole = matches!(config.database, Database::Sqlite(_));
    let mut foreign = BTreeSet::new();
    for named in configured(config) {
        if !settle(executor, &named, sole).await? {
            foreign.insert(named.provider.to_string());
        }
    }
    Ok(foreign)
}

fn configured(config: &Config) -> impl Iterator<Item = NamedDirectory> {
    let storage = &config.storage;
    let takes_bytes = |name: &str| {
        storage.active_provider == name
            || storage.failover_providers.iter().any(|standby| standby == name)
            || storage.backup_providers.iter().any(|backup| backup == name)
            || storage.spool.as_deref() == Some(name)
    };
    let others = config.providers.iter().filter_map(|(name, provider)| {
        let path = provider.path.as_ref().filter(|_| provider.kind == Some(ProviderKind::Local))?;
        Some((name.as_str(), path))
    });
    std::iter::once((LOCAL, &config.data_dir)).chain(others).map(move |(name, path)| NamedDirectory {
        provider: name.into(),
        directory: Directory::new(path.clone()),
        takes_bytes: takes_bytes(name),
    })
}
