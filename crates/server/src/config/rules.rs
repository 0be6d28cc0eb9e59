//! Lifecycle rules: `lifecycle.rules.NAME.KEY`. Names are the operator's, keys are those of [`super::rule_keys`]. They stand in the
//! file alone: a variable can't say which rule it is about.

use std::collections::BTreeMap;

use file_storage::lifecycle::{ArchiveTarget, LifecycleAction, LifecycleRule, RuleSpec};
use file_storage::{BucketName, StorageError};

use super::raw::{RawConfig, RawValue};
use super::rule_keys::{KEYS, RuleConfig};
use super::{ConfigErrors, LOCAL, Origin, ProviderConfig};

/// What the keys of rules begin with.
pub(super) const PREFIX: &str = "lifecycle.rules.";

/// What was written of each rule.
#[derive(Debug, Default)]
pub(super) struct RawRules(BTreeMap<String, RawConfig>);

impl RawRules {
    /// Sets a key, named from the rule's name on.
    pub(super) fn set(&mut self, name: &str, value: RawValue, origin: Origin, errors: &mut ConfigErrors) {
        let Some((rule, key)) = name.split_once('.') else {
            let problem = format!("{PREFIX}{name}: is a rule: keys and values below its name");
            errors.add(origin, problem, None);
            return;
        };
        let raw = || RawConfig::below(format!("{PREFIX}{rule}."), KEYS);
        self.0.entry(rule.to_owned()).or_insert_with(raw).set(key, value, origin, errors);
    }

    /// Reads and checks all of them, which may archive to these providers.
    pub(super) fn resolve(
        &self,
        providers: &BTreeMap<String, ProviderConfig>,
        errors: &mut ConfigErrors,
    ) -> Vec<LifecycleRule> {
        let mut rules = Vec::new();
        for (name, raw) in &self.0 {
            let Some(config) = RuleConfig::resolve(raw, errors) else { continue };
            match rule(name, config).and_then(|rule| archives(rule, providers)) {
                Ok(rule) => rules.push(rule),
                Err((key, problem)) => {
                    // A key that was not written has no place: the rule's first one stands for it.
                    let at = raw.said().find(|(said, _)| *said == key).or_else(|| raw.said().next());
                    let origin = at.map_or(Origin::Default, |(_, origin)| origin.clone());
                    errors.add(origin, format!("{PREFIX}{name}.{key}: {problem}"), None);
                }
            }
        }
        rules
    }

    /// What was said, as one would write it, with its places.
    pub(super) fn shown(&self) -> Vec<(String, String, Origin)> {
        let mut lines = Vec::new();
        for (name, raw) in &self.0 {
            let shown = RuleConfig::resolve(raw, &mut ConfigErrors::default());
            let shown = shown.as_ref().map(RuleConfig::shown).unwrap_or_default();
            for (key, origin) in raw.said() {
                let value = shown.iter().find(|(shown, _)| *shown == key).map_or("", |(_, value)| value);
                lines.push((format!("{PREFIX}{name}.{key}"), value.to_owned(), origin.clone()));
            }
        }
        lines
    }
}

/// Why no bucket has such a name.
fn no_name(error: &StorageError) -> String {
    match error {
        StorageError::InvalidBucketName { name, reason } => format!("'{name}' is no bucket's name: {reason}"),
        error => error.to_string(),
    }
}

/// A rule of which there is the provider that it archives to.
fn archives(
    rule: LifecycleRule,
    providers: &BTreeMap<String, ProviderConfig>,
) -> Result<LifecycleRule, (&'static str, String)> {
    match &rule.spec.archive_to {
        Some(ArchiveTarget::Provider(name)) if name != LOCAL && !providers.contains_key(name) => {
            Err(("archive_to_provider", format!("there is no provider '{name}' below providers")))
        }
        Some(_) | None => Ok(rule),
    }
}

/// A rule, or which of its keys is wrong, and why.
fn rule(name: &str, config: RuleConfig) -> Result<LifecycleRule, (&'static str, String)> {
    let wrong = |key: &'static str, problem: &str| Err((key, problem.to_owned()));
    let Some(bucket) = &config.bucket else { return wrong("bucket", "is needed") };
    let bucket = BucketName::parse(bucket).map_err(|error| ("bucket", no_name(&error)))?;
    let action = match config.action.as_str() {
        "delete" => LifecycleAction::Delete,
        "archive" => LifecycleAction::Archive,
        "warn" => LifecycleAction::Warn,
        _ => return wrong("action", "is one of delete, archive, warn"),
    };
    let archive_to = match (config.archive_to_provider, config.archive_to_bucket, config.archive_to_prefix) {
        (None, None, None) => None,
        (Some(provider), None, None) => Some(ArchiveTarget::Provider(provider)),
        (None, Some(bucket), prefix) => {
            Some(ArchiveTarget::Folder { bucket, prefix: prefix.unwrap_or_default() })
        }
        _ => return wrong("archive_to_provider", "goes without archive_to_bucket and archive_to_prefix"),
    };
    let mut tags = BTreeMap::new();
    for tag in &config.tags {
        let Some((key, value)) = tag.split_once('=') else {
            return wrong("tags", &format!("'{tag}' is no tag; write it as key=value"));
        };
        tags.insert(key.to_owned(), value.to_owned());
    }
    let spec = RuleSpec {
        name: Some(name.to_owned()),
        prefix: config.prefix.unwrap_or_default(),
        tags,
        enabled: config.enabled,
        max_age_days: config.max_age_days,
        action,
        archive_to,
        warn_before_days: config.warn_before_days,
        noncurrent_days: config.noncurrent_days,
        noncurrent_keep: config.noncurrent_keep,
        expired_delete_markers: config.expired_delete_markers,
        abort_incomplete_days: config.abort_incomplete_days,
    };
    let rule = LifecycleRule::configured(bucket, spec);
    match rule.fault() {
        None => Ok(rule),
        // Who reads it sees the key before it.
        Some((key, problem)) => wrong(key, problem.strip_prefix(key).map_or(&*problem, str::trim_start)),
    }
}
