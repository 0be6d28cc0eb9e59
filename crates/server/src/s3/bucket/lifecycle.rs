//! `?lifecycle` of a bucket: rules that let old files go, as S3 says them. What these rules can't say here is refused, and never
//! taken and ignored.

use std::collections::{BTreeMap, HashSet};

use file_storage::Operation;
use file_storage::lifecycle::{LifecycleAction, LifecycleRule, MAX_DAYS, MAX_RULES, RuleSource, RuleSpec};
use http::StatusCode;
use s3s::dto::{
    AbortIncompleteMultipartUpload, DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput,
    ExpirationStatus, GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
    LifecycleExpiration, LifecycleRule as Rule, LifecycleRuleAndOperator, LifecycleRuleFilter,
    NoncurrentVersionExpiration, PutBucketLifecycleConfigurationInput, PutBucketLifecycleConfigurationOutput,
    Tag,
};
use uuid::Uuid;

use crate::s3::call::Call;
use crate::s3::failure::Failure;

/// Shows the rules that were put for a bucket.
pub(in crate::s3) async fn get(
    call: Call,
    _: GetBucketLifecycleConfigurationInput,
) -> Result<GetBucketLifecycleConfigurationOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    let kept = call.storage().s3_lifecycle(call.context(), call.bucket()?).await?;
    if kept.is_empty() {
        let message = "The lifecycle configuration does not exist";
        return Err(Failure::new(StatusCode::NOT_FOUND, "NoSuchLifecycleConfiguration", message));
    }
    let rules = kept.into_iter().map(shown).collect();
    Ok(GetBucketLifecycleConfigurationOutput { rules: Some(rules), ..Default::default() })
}

/// Puts rules in place of those that were put before.
pub(in crate::s3) async fn put(
    call: Call,
    input: PutBucketLifecycleConfigurationInput,
) -> Result<PutBucketLifecycleConfigurationOutput, Failure> {
    call.begin(Operation::Maintain);
    call.storage().may_ask(call.context(), Operation::Maintain, None).await?;
    if input.transition_default_minimum_object_size.is_some() {
        return Err(Failure::not_implemented("TransitionDefaultMinimumObjectSize"));
    }
    let given = input.lifecycle_configuration.map(|given| given.rules).unwrap_or_default();
    if given.is_empty() || given.len() > MAX_RULES {
        let message = format!("A configuration has between 1 and {MAX_RULES} rules");
        return Err(Failure::bad_request("MalformedXML", message));
    }
    let specs = given.into_iter().map(spec).collect::<Result<Vec<RuleSpec>, _>>()?;
    let mut names = HashSet::new();
    if specs.iter().any(|spec| !names.insert(spec.name.as_deref())) {
        return Err(Failure::argument("Rule ID must be unique. Found same ID for more than one rule"));
    }
    for spec in &specs {
        let rule = LifecycleRule::new(call.bucket()?.clone(), RuleSource::S3, spec.clone());
        if let Some((key, problem)) = rule.fault() {
            return Err(Failure::invalid(in_words_of_s3(key, problem)));
        }
    }
    call.storage().replace_s3_lifecycle(call.context(), call.bucket()?, specs).await?;
    Ok(PutBucketLifecycleConfigurationOutput::default())
}

/// Takes away the rules that were put for a bucket.
pub(in crate::s3) async fn delete(
    call: Call,
    _: DeleteBucketLifecycleInput,
) -> Result<DeleteBucketLifecycleOutput, Failure> {
    call.begin(Operation::Maintain);
    call.storage().replace_s3_lifecycle(call.context(), call.bucket()?, Vec::new()).await?;
    Ok(DeleteBucketLifecycleOutput::default())
}

/// A rule as it was put: `Err` for all that would not be done.
fn spec(rule: Rule) -> Result<RuleSpec, Failure> {
    if rule.transitions.is_some_and(|all| !all.is_empty())
        || rule.noncurrent_version_transitions.is_some_and(|all| !all.is_empty())
    {
        return Err(Failure::not_implemented("A transition to another storage class"));
    }
    let enabled = match rule.status.as_str() {
        ExpirationStatus::ENABLED => true,
        ExpirationStatus::DISABLED => false,
        _ => return Err(Failure::bad_request("MalformedXML", "A rule is Enabled or Disabled")),
    };
    let (prefix, tags) = match (rule.filter, rule.prefix) {
        (Some(_), Some(_)) => {
            return Err(Failure::bad_request("MalformedXML", "A rule has a Filter or a Prefix, not both"));
        }
        (Some(filter), None) => selected(filter)?,
        (None, Some(prefix)) => (prefix, BTreeMap::new()),
        (None, None) => return Err(Failure::bad_request("MalformedXML", "A rule has a Filter or a Prefix")),
    };
    let expiration = rule.expiration.unwrap_or_default();
    if expiration.date.is_some() {
        return Err(Failure::not_implemented("Expiration on a date"));
    }
    let older = match rule.noncurrent_version_expiration {
        Some(older) if older.noncurrent_days.is_none() => {
            let message = "NoncurrentVersionExpiration needs NoncurrentDays";
            return Err(Failure::bad_request("MalformedXML", message));
        }
        older => older.unwrap_or_default(),
    };
    let unfinished = rule.abort_incomplete_multipart_upload.unwrap_or_default();
    let spec = RuleSpec {
        // S3 gives a name to what has none.
        name: Some(rule.id.filter(|id| !id.is_empty()).unwrap_or_else(|| Uuid::new_v4().to_string())),
        prefix,
        tags,
        enabled,
        max_age_days: days("Days", expiration.days)?,
        action: LifecycleAction::Delete,
        noncurrent_days: days("NoncurrentDays", older.noncurrent_days)?,
        noncurrent_keep: number("NewerNoncurrentVersions", older.newer_noncurrent_versions)?,
        expired_delete_markers: expiration.expired_object_delete_marker.unwrap_or(false),
        abort_incomplete_days: days("DaysAfterInitiation", unfinished.days_after_initiation)?,
        ..RuleSpec::default()
    };
    if spec.expired_delete_markers && spec.max_age_days.is_some() {
        let message = "ExpiredObjectDeleteMarker cannot be specified with Days or Date";
        return Err(Failure::bad_request("MalformedXML", message));
    }
    Ok(spec)
}

fn number(name: &str, given: Option<i32>) -> Result<Option<u32>, Failure> {
    let positive = |number: i32| u32::try_from(number).ok().filter(|number| *number > 0);
    let refuse = || Failure::argument(format!("{name} must be a positive integer"));
    given.map(|number| positive(number).ok_or_else(refuse)).transpose()
}

/// The same of days, of which there is a most.
fn days(name: &str, given: Option<i32>) -> Result<Option<u32>, Failure> {
    let number = number(name, given)?;
    if number.is_some_and(|number| number > MAX_DAYS) {
        return Err(Failure::argument(format!("{name} must be at most {MAX_DAYS}")));
    }
    Ok(number)
}

/// What is wrong with a rule, by the elements that its author wrote.
fn in_words_of_s3(key: &str, problem: String) -> String {
    match key {
        "max_age_days" => "At least one action needs to be specified in a rule".to_owned(),
        "bucket" => "ID has at most 255 characters".to_owned(),
        "prefix" => format!("Prefix: {problem}"),
        "tags" => format!("Tag: {problem}"),
        _ => problem,
    }
}

/// What a filter is about: paths, and tags.
fn selected(filter: LifecycleRuleFilter) -> Result<(String, BTreeMap<String, String>), Failure> {
    let sizes = [filter.object_size_greater_than, filter.object_size_less_than];
    let and = filter.and.unwrap_or_default();
    let of_and = [and.object_size_greater_than, and.object_size_less_than];
    if sizes.iter().chain(&of_and).any(Option::is_some) {
        return Err(Failure::not_implemented("A lifecycle filter by size"));
    }
    let and_tags = and.tags.unwrap_or_default();
    let is_and = and.prefix.is_some() || !and_tags.is_empty();
    if usize::from(filter.prefix.is_some()) + usize::from(filter.tag.is_some()) + usize::from(is_and) > 1 {
        let message = "A Filter has one of Prefix, Tag and And";
        return Err(Failure::bad_request("MalformedXML", message));
    }
    let mut tags = BTreeMap::new();
    for tag in filter.tag.into_iter().chain(and_tags) {
        let Some(key) = tag.key.filter(|key| !key.is_empty()) else {
            return Err(Failure::bad_request("MalformedXML", "A tag has a key"));
        };
        if tags.insert(key, tag.value.unwrap_or_default()).is_some() {
            return Err(Failure::bad_request("InvalidRequest", "Duplicate Tag Keys are not allowed"));
        }
    }
    Ok((filter.prefix.or(and.prefix).unwrap_or_default(), tags))
}

/// A rule as S3 shows it.
fn shown(rule: LifecycleRule) -> Rule {
    let LifecycleRule { id, spec, .. } = rule;
    let days = |days: Option<u32>| days.map(|days| i32::try_from(days).unwrap_or(i32::MAX));
    let expires = spec.max_age_days.is_some() || spec.expired_delete_markers;
    let older = spec.noncurrent_days.is_some();
    let tag = |(key, value): (String, String)| Tag { key: Some(key), value: Some(value) };
    let mut tags: Vec<Tag> = spec.tags.into_iter().map(tag).collect();
    let prefix = spec.prefix;
    let filter = match (tags.len(), prefix.is_empty()) {
        (0, _) => LifecycleRuleFilter { prefix: Some(prefix), ..Default::default() },
        (1, true) => LifecycleRuleFilter { tag: tags.pop(), ..Default::default() },
        (_, is_empty) => {
            let prefix = (!is_empty).then_some(prefix);
            let and = LifecycleRuleAndOperator { prefix, tags: Some(tags), ..Default::default() };
            LifecycleRuleFilter { and: Some(and), ..Default::default() }
        }
    };
    Rule {
        abort_incomplete_multipart_upload: spec.abort_incomplete_days.map(|_| {
            AbortIncompleteMultipartUpload { days_after_initiation: days(spec.abort_incomplete_days) }
        }),
        expiration: expires.then(|| LifecycleExpiration {
            date: None,
            days: days(spec.max_age_days),
            expired_object_delete_marker: spec.expired_delete_markers.then_some(true),
        }),
        filter: Some(filter),
        id: Some(spec.name.unwrap_or_else(|| id.to_string())),
        noncurrent_version_expiration: older.then(|| NoncurrentVersionExpiration {
            newer_noncurrent_versions: days(spec.noncurrent_keep),
            noncurrent_days: days(spec.noncurrent_days),
        }),
        noncurrent_version_transitions: None,
        prefix: None,
        status: ExpirationStatus::from_static(match spec.enabled {
            true => ExpirationStatus::ENABLED,
            false => ExpirationStatus::DISABLED,
        }),
        transitions: None,
    }
}
