//! Providers that lie in each other: each would take what the other keeps for orphans, and delete it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::ServerError;
use crate::config::{Config, LOCAL, ProviderConfig, ProviderKind, WebUrl};

/// Refuses providers of which one is where another is, or within it. Looks at the disk, and asks nobody.
pub(super) fn refuse(config: &Config) -> Result<(), ServerError> {
    let spots = spots(config);
    let mut seen: BTreeMap<&str, &Spot> = BTreeMap::new();
    for (name, spot) in &spots {
        for (other, known) in &seen {
            let relation = match (known.holds(spot), spot.holds(known)) {
                (true, true) => "are the same place",
                (true, false) => "overlap: the second lies within the first",
                (false, true) => "overlap: the first lies within the second",
                (false, false) => continue,
            };
            let (first, second) = ((*other).to_owned(), (*name).to_owned());
            return Err(ServerError::Overlap { first, second, relation, place: spot.shown() });
        }
        seen.insert(name, spot);
    }
    Ok(())
}

/// Where a provider's blobs are, so that it can be compared.
enum Spot {
    Directory(PathBuf),
    Store {
        /// The endpoint, the account, the bucket.
        bucket: [String; 3],
        /// The segments of the prefix.
        prefix: Vec<String>,
    },
}

impl Spot {
    fn directory(path: &Path) -> Self {
        Self::Directory(canonical(path))
    }

    fn store(kind: ProviderKind, provider: &ProviderConfig) -> Self {
        let endpoint = provider.endpoint.as_ref().map(|WebUrl(url)| url.trim_end_matches('/').to_lowercase());
        let endpoint = endpoint.unwrap_or_else(|| kind.as_str().to_owned());
        let account = provider.account.clone().unwrap_or_default();
        let prefix = provider.prefix.as_deref().unwrap_or_default();
        let prefix = prefix.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        Self::Store { bucket: [endpoint, account, provider.bucket.clone().unwrap_or_default()], prefix }
    }

    /// Whether another one is in it, or is the same.
    fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Directory(this), Self::Directory(other)) => {
                other.ancestors().any(|place| place == this || is_same(place, this))
            }
            (Self::Store { bucket, prefix }, Self::Store { bucket: other, prefix: below }) => {
                bucket == other && below.starts_with(prefix)
            }
            (Self::Directory(_), Self::Store { .. }) | (Self::Store { .. }, Self::Directory(_)) => false,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Directory(path) => path.display().to_string(),
            Self::Store { bucket: [endpoint, _, bucket], prefix } => {
                std::iter::once(format!("{bucket} of {endpoint}"))
                    .chain(prefix.iter().cloned())
                    .collect::<Vec<_>>()
                    .join("/")
            }
        }
    }
}

fn spots(config: &Config) -> Vec<(&str, Spot)> {
    let mut spots = vec![(LOCAL, Spot::directory(&config.data_dir))];
    for (name, provider) in &config.providers {
        match (provider.kind, &provider.path) {
            (None, _) | (Some(ProviderKind::Local), None) => {}
            (Some(ProviderKind::Local), Some(path)) => spots.push((name, Spot::directory(path))),
            (Some(kind), _) => spots.push((name, Spot::store(kind, provider))),
        }
    }
    spots
}

/// The path without links, as far as it is there; the rest as it is written.
fn canonical(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for place in path.ancestors() {
        if let Ok(found) = place.canonicalize() {
            return path.strip_prefix(place).map_or_else(|_| found.clone(), |rest| found.join(rest));
        }
    }
    path
}

/// Whether two paths are one directory all the same, mounted twice.
fn is_same(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => one.is_dir() && (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}
