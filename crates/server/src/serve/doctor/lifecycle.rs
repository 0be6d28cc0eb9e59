//! Whether lifecycle rules can be followed.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use file_storage::executor::look::Books;

use super::Finding;
use crate::config::Config;
use crate::serve::rules;

const ABOUT: &str = "lifecycle";

pub(super) fn look(config: &Config, books: &Books) -> Vec<Finding> {
    let mut findings = Vec::new();
    // No hold lies further ahead than a day: then the clock was set back, and the next look lifts it.
    let now = Utc::now();
    let holds = |until: &DateTime<Utc>| *until > now && *until - now <= TimeDelta::days(1);
    if let Some(until) = books.lifecycle_held_until.filter(holds) {
        let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
        findings.push(Finding::warning(
            ABOUT,
            format!("rules wait until {until}: the clock is more than a day ahead of when a server last looked at it"),
            "see that the clock is right (`timedatectl`); `aerostore lifecycle --apply --force` follows them once, now",
        ));
    }
    for (rule, provider) in rules::without_provider(config, &books.lifecycle_rules) {
        findings.push(Finding::warning(
            ABOUT,
            format!(
                "the rule {} of the bucket {} archives to '{provider}', which is no provider here",
                rule.label(),
                rule.bucket
            ),
            "it fails each day: configure the provider below `providers`, or change the rule by `aerostore lifecycle set --id`",
        ));
    }
    for bucket in &books.missing_buckets {
        findings.push(Finding::warning(
            ABOUT,
            format!("lifecycle.rules names the bucket '{bucket}', which is not there"),
            "it is mistyped, or still to be made: nothing goes by such a rule",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use file_storage::BucketName;
    use file_storage::lifecycle::{ArchiveTarget, LifecycleRule, RuleSource, RuleSpec};

    use super::*;
    use crate::config::Sources;

    #[test]
    fn rules_that_name_what_is_not_there_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let sources = Sources {
            environment: vec![("AEROSTORE_DATA_DIR".to_owned(), dir.path().display().to_string())],
            ..Sources::default()
        };
        let config = Config::load(&sources).unwrap().config;
        let bucket = BucketName::parse("logs").unwrap();
        let rule = |provider: &str| {
            let to = Some(ArchiveTarget::Provider(provider.to_owned()));
            let spec = RuleSpec { archive_to: to, name: Some("cool".to_owned()), ..RuleSpec::default() };
            LifecycleRule::new(bucket.clone(), RuleSource::Api, spec)
        };
        for (seconds, is_held) in [(-1, false), (3600, true), (2 * 86_400, false)] {
            let books = Books {
                lifecycle_rules: vec![rule("local")],
                lifecycle_held_until: Some(Utc::now() + TimeDelta::seconds(seconds)),
                ..Books::default()
            };
            assert_eq!(look(&config, &books).len(), usize::from(is_held), "{seconds}");
        }
        let books = Books {
            lifecycle_rules: vec![rule("cold")],
            missing_buckets: vec![bucket.clone()],
            ..Books::default()
        };
        let found: Vec<String> = look(&config, &books).into_iter().map(|finding| finding.found).collect();
        assert_eq!(
            found,
            [
                "the rule cool of the bucket logs archives to 'cold', which is no provider here",
                "lifecycle.rules names the bucket 'logs', which is not there"
            ]
        );
    }
}
