//! Which of the configured places are the ones that the database means. Asked before anything in them is opened: what a crash
//! left in another database's directory is not ours to finish.

use std::collections::BTreeSet;
use std::sync::Arc;

use file_storage::backend::local::Directory;
use file_storage::backend::place::Place;
use file_storage::executor::Executor;
use file_storage::executor::look::Look;
use file_storage::identities::{self, IdentityError, Known, NamedPlace};
use futures_util::future::join_all;
use uuid::Uuid;

use super::{ServerError, open, providers};
use crate::config::{Config, Database, LOCAL, ProviderKind};

/// Looks at all of them; gives the names of those that this server must leave alone, and can do without.
pub(super) async fn foreign(
    config: &Config,
    executor: &dyn Executor,
) -> Result<BTreeSet<String>, ServerError> {
    let (sole, named) = (is_sole(config), configured(config)?);
    let (far, near): (Vec<_>, Vec<_>) = named.into_iter().partition(|named| named.place.is_remote());
    let mut foreign = BTreeSet::new();
    for named in near {
        if !identities::settle(executor, &named, sole).await? {
            foreign.insert(named.provider.to_string());
        }
    }
    // Each may take its time to answer, or not to.
    let settled = far.iter().map(|named| identities::settle(executor, named, sole));
    for (named, settled) in far.iter().zip(join_all(settled).await) {
        if !settled? {
            foreign.insert(named.provider.to_string());
        }
    }
    Ok(foreign)
}

/// What would be refused, by what was read of the database. Changes nothing. Those on another machine are asked where `far` says so.
pub(super) async fn mistaken(
    config: &Config,
    looked: &Look,
    far: bool,
) -> Result<Vec<IdentityError>, ServerError> {
    let books = match looked {
        // It will know what it is told then.
        Look::Older => return Ok(Vec::new()),
        Look::Nothing => None,
        Look::Books(books) => Some(books),
    };
    let sole = is_sole(config);
    let asked = configured(config)?.into_iter().filter(|named| far || !named.place.is_remote());
    let mut mistaken = Vec::new();
    for named in asked {
        let known = books.and_then(|books| books.providers.get(&named.provider).cloned());
        // Where there is no database yet, the first start makes one, which knows nothing.
        let known = known.unwrap_or_default();
        if let Err(error) = judge(&named, &known, sole).await {
            mistaken.push(error);
        }
    }
    Ok(mistaken)
}

async fn judge(named: &NamedPlace, known: &Known, sole: bool) -> Result<(), IdentityError> {
    let found = match named.identity().await {
        // Whether it answers at all is looked at elsewhere, and no reason not to start.
        Err(IdentityError::Place { error, .. })
            if named.place.is_remote() && !identities::is_wrong(&error) =>
        {
            return Ok(());
        }
        found => found?,
    };
    identities::judge(named, known, found, sole).await.map(drop)
}

/// The names of all providers.
pub(super) fn names(config: &Config) -> Vec<Arc<str>> {
    std::iter::once(LOCAL)
        .chain(config.providers.keys().map(String::as_str).filter(|name| *name != LOCAL))
        .map(Arc::from)
        .collect()
}

/// A provider that belongs to the configured database now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOver {
    /// Where it is, for people.
    pub place: String,
    /// Which one it said to be.
    pub before: Option<Uuid>,
    /// Which one it is.
    pub identity: Uuid,
}

/// Has a provider belong to the configured database, whichever it belonged to before. Servers of another one do not start with it
/// any more.
///
/// # Errors
/// [`ServerError`], saying what is in the way.
pub async fn take_over(config: &Config, provider: &str) -> Result<TakenOver, ServerError> {
    super::unfinished::refuse(&config.data_dir)?;
    super::overlaps::refuse(config)?;
    let Some(named) = configured(config)?.into_iter().find(|named| *named.provider == *provider) else {
        return Err(ServerError::NoProvider { name: provider.to_owned() });
    };
    let executor = open::executor(config).await.map_err(ServerError::Database)?;
    let taken = identities::take_over(&*executor, &named).await;
    executor.close().await;
    let (before, identity) = taken?;
    Ok(TakenOver { place: named.place.shown(), before, identity })
}

/// The provider that a backup is to be restored into, where it says which one it is: it is somebody else's yet. What has said nothing is
/// left to the first start. Asked before anything is restored: one that does not answer is found out then.
pub(super) async fn said_before(config: &Config) -> Result<Option<NamedPlace>, ServerError> {
    let active = &*config.storage.active_provider;
    let Some(named) = configured(config)?.into_iter().find(|named| *named.provider == *active) else {
        return Ok(None);
    };
    let said = named.identity().await?;
    Ok(said.map(|_| named))
}

/// Has the provider that was restored into, and was somebody else's before, belong to the restored database: it was empty, and its blobs
/// are there now. Of the others nothing is taken: nothing of the restored database's is there.
pub(super) async fn take_restored(config: &Config, named: &NamedPlace) -> Result<(), ServerError> {
    let name = named.provider.to_string();
    let not_taken = |error| ServerError::NotTaken { name, error: Box::new(error) };
    let taken = async {
        let executor = open::executor(config).await.map_err(ServerError::Database)?;
        let taken = identities::take_over(&*executor, named).await;
        executor.close().await;
        taken.map_err(ServerError::Identity)
    };
    taken.await.map_err(not_taken)?;
    tracing::warn!(provider = %named.provider, "the provider was another database's; it is the restored one's now");
    Ok(())
}

fn is_sole(config: &Config) -> bool {
    matches!(config.database, Database::Sqlite(_))
}

fn configured(config: &Config) -> Result<Vec<NamedPlace>, ServerError> {
    let storage = &config.storage;
    let takes_bytes = |name: &str| {
        storage.active_provider == name
            || storage.failover_providers.iter().any(|standby| standby == name)
            || storage.backup_providers.iter().any(|backup| backup == name)
            || storage.spool.as_deref() == Some(name)
    };
    let named = |name: &str, place: Arc<dyn Place>| NamedPlace {
        provider: name.into(),
        place,
        takes_bytes: takes_bytes(name),
    };
    let mut all = vec![named(LOCAL, Arc::new(Directory::new(config.data_dir.clone())))];
    for (name, provider) in &config.providers {
        match (provider.kind, &provider.path) {
            (None, _) | (Some(ProviderKind::Local), None) => {}
            (Some(ProviderKind::Local), Some(path)) => {
                all.push(named(name, Arc::new(Directory::new(path.clone()))));
            }
            (Some(kind), _) => {
                if let Some(place) = providers::place(config, name, kind, provider)? {
                    all.push(named(name, Arc::new(place)));
                }
            }
        }
    }
    Ok(all)
}
