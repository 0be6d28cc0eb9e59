//! What lifecycle rules name and a server does not have: such a rule fails each day, or has nothing to do.

use std::collections::BTreeSet;

use file_storage::lifecycle::{ArchiveTarget, LifecycleRule};
use file_storage::{BucketName, FileStorage, RlsContext};

use crate::config::{Config, LOCAL};

/// Rules that archive to a provider which is not configured, and its name: they were kept while it was, or restored without it.
pub(super) fn without_provider<'r>(
    config: &Config,
    rules: &'r [LifecycleRule],
) -> Vec<(&'r LifecycleRule, &'r str)> {
    let archives = rules.iter().filter_map(|rule| match &rule.spec.archive_to {
        Some(ArchiveTarget::Provider(name)) => Some((rule, name.as_str())),
        Some(ArchiveTarget::Folder { .. }) | None => None,
    });
    archives.filter(|(_, name)| *name != LOCAL && !config.providers.contains_key(*name)).collect()
}

/// The buckets that rules of the configuration are about, or archive to.
pub(super) fn buckets(config: &Config) -> Vec<BucketName> {
    let mut named = BTreeSet::new();
    for rule in &config.lifecycle_rules {
        named.insert(rule.bucket.clone());
        if let Some(ArchiveTarget::Folder { bucket, .. }) = &rule.spec.archive_to {
            named.extend(BucketName::parse(bucket).ok());
        }
    }
    named.into_iter().collect()
}

/// Says in the log which rules will fail. A start, or a reload, goes on: who can't read rules now hears of it elsewhere.
pub(super) async fn warn(storage: &FileStorage, config: &Config) {
    let Ok(rules) = storage.lifecycle_rules(&RlsContext::system("start"), None).await else { return };
    for (rule, provider) in without_provider(config, &rules) {
        tracing::warn!(
            rule = %rule.label(), bucket = %rule.bucket, provider,
            "a lifecycle rule archives to a provider that is not configured, and fails until it is"
        );
    }
}
