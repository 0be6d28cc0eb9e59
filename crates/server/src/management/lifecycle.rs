//! `/lifecycle`: rules that let old files go, made, shown and removed by the service role.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::lifecycle::{ArchiveTarget, LifecycleAction, LifecycleRule, RuleSource, RuleSpec};
use file_storage::{BucketName, StorageError, Timestamp};
use http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::jobs::{self, JobShown};
use super::{Maintainer, Path, answer};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::{json, query};

const OPERATION: &str = "lifecycle_rules";

/// Where archived objects go: `{"provider"}`, or `{"bucket", "prefix"}`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ArchivePlace {
    /// A provider, to which their bytes go; name, metadata and URL stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// A bucket, to which they are moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    /// The folder that they come into, with or without the slash at its end; their whole path follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
}

/// What a rule says. What is left out is not done.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleBody {
    /// The bucket that it is about.
    bucket: String,
    /// What its author calls it; each name of a bucket once.
    #[serde(default)]
    name: Option<String>,
    /// How the paths begin that it is about; empty for all.
    #[serde(default)]
    prefix: String,
    /// Tags that an object must have, all of them.
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// Whether it is followed.
    #[serde(default = "yes")]
    enabled: bool,
    /// Days since an object was written, after which the action is due.
    #[serde(default)]
    max_age_days: Option<u32>,
    /// `delete` (the default), `archive` or `warn`.
    #[serde(default = "delete")]
    action: String,
    /// Where archived objects go.
    #[serde(default, deserialize_with = "json::object")]
    archive_to: Option<ArchivePlace>,
    /// Days before the action, on which it is told of. No object goes that was not told of so long ago.
    #[serde(default)]
    warn_before_days: Option<u32>,
    /// Days since a version was replaced or deleted, after which it goes for good.
    #[serde(default)]
    noncurrent_days: Option<u32>,
    /// The newest of such versions that stay at each path.
    #[serde(default)]
    noncurrent_keep: Option<u32>,
    /// Whether delete markers go that hide nothing any more.
    #[serde(default)]
    expired_delete_markers: bool,
    /// Days since an upload began, after which it is given up.
    #[serde(default)]
    abort_incomplete_days: Option<u32>,
}

fn yes() -> bool {
    true
}

fn delete() -> String {
    LifecycleAction::Delete.as_str().to_owned()
}

/// A rule.
#[derive(Serialize, ToSchema)]
pub(super) struct RuleShown {
    /// Its identity.
    id: Uuid,
    /// Who made it: `api`, `s3` or `configuration`.
    source: &'static str,
    #[serde(flatten)]
    rule: RuleBody,
    /// When it was made; a rule of the configuration has no such time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Timestamp>,
}

/// A rule that is gone.
#[derive(Serialize, ToSchema)]
pub(super) struct RuleRemoved {
    /// Which one it was.
    id: Uuid,
}

impl RuleBody {
    fn spec(self) -> Result<(BucketName, RuleSpec), ApiError> {
        let action = match self.action.as_str() {
            "delete" => LifecycleAction::Delete,
            "archive" => LifecycleAction::Archive,
            "warn" => LifecycleAction::Warn,
            _ => return Err(ApiError::schema("body/action must be one of delete, archive, warn")),
        };
        let archive_to = match self.archive_to {
            None => None,
            Some(ArchivePlace { provider: Some(provider), bucket: None, prefix: None }) => {
                Some(ArchiveTarget::Provider(provider))
            }
            Some(ArchivePlace { provider: None, bucket: Some(bucket), prefix }) => {
                Some(ArchiveTarget::Folder { bucket, prefix: prefix.unwrap_or_default() })
            }
            Some(_) => {
                return Err(ApiError::schema("body/archive_to has a provider, or a bucket and a prefix"));
            }
        };
        let spec = RuleSpec {
            name: self.name,
            prefix: self.prefix,
            tags: self.tags,
            enabled: self.enabled,
            max_age_days: self.max_age_days,
            action,
            archive_to,
            warn_before_days: self.warn_before_days,
            noncurrent_days: self.noncurrent_days,
            noncurrent_keep: self.noncurrent_keep,
            expired_delete_markers: self.expired_delete_markers,
            abort_incomplete_days: self.abort_incomplete_days,
        };
        Ok((BucketName::parse(&self.bucket)?, spec))
    }
}

impl From<LifecycleRule> for RuleShown {
    fn from(rule: LifecycleRule) -> Self {
        let has_row = rule.source != RuleSource::Configuration;
        let spec = rule.spec;
        let archive_to = spec.archive_to.map(|to| match to {
            ArchiveTarget::Provider(provider) => {
                ArchivePlace { provider: Some(provider), bucket: None, prefix: None }
            }
            ArchiveTarget::Folder { bucket, prefix } => {
                ArchivePlace { provider: None, bucket: Some(bucket), prefix: Some(prefix) }
            }
        });
        Self {
            id: rule.id,
            source: rule.source.as_str(),
            rule: RuleBody {
                bucket: rule.bucket.to_string(),
                name: spec.name,
                prefix: spec.prefix,
                tags: spec.tags,
                enabled: spec.enabled,
                max_age_days: spec.max_age_days,
                action: spec.action.as_str().to_owned(),
                archive_to,
                warn_before_days: spec.warn_before_days,
                noncurrent_days: spec.noncurrent_days,
                noncurrent_keep: spec.noncurrent_keep,
                expired_delete_markers: spec.expired_delete_markers,
                abort_incomplete_days: spec.abort_incomplete_days,
            },
            created_at: has_row.then_some(rule.created_at),
            updated_at: has_row.then_some(rule.updated_at),
        }
    }
}

/// The rules of all buckets, or of one, whoever made them.
#[utoipa::path(
    get, path = "/lifecycle", tag = "Management", operation_id = "listLifecycleRules",
    params(("bucket" = Option<String>, Query, description = "Only those of this bucket")),
    responses(
        (status = 200, description = "The rules, by bucket and age; those of the configuration last", body = [RuleShown]),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role reads this"),
    ),
)]
pub(super) async fn list(State(app): State<AppState>, caller: Maintainer, uri: Uri) -> Response {
    let found = async {
        let bucket = query::parameter(&uri, "bucket").filter(|name| !name.is_empty());
        let bucket = bucket.map(|name| BucketName::parse(&name)).transpose()?;
        let rules = app.storage.lifecycle_rules(caller.context(), bucket.as_ref()).await?;
        Ok(rules.into_iter().map(RuleShown::from).collect::<Vec<_>>())
    };
    answer(&caller, OPERATION, found.await)
}

/// A rule.
#[utoipa::path(
    get, path = "/lifecycle/{id}", tag = "Management", operation_id = "lifecycleRule",
    params(("id" = Uuid, Path, description = "The rule")),
    responses(
        (status = 200, description = "The rule", body = RuleShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role reads this"),
        (status = 404, description = "There is no such rule"),
    ),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    caller: Maintainer,
    Path(id): Path<String>,
) -> Response {
    let found = async { Ok(app.storage.lifecycle_rule(caller.context(), rule_id(&id)?).await?.into()) };
    answer::<RuleShown>(&caller, OPERATION, found.await)
}

/// Makes a rule.
#[utoipa::path(
    post, path = "/lifecycle", tag = "Management", operation_id = "createLifecycleRule",
    request_body = RuleBody,
    responses(
        (status = 201, description = "The rule", body = RuleShown),
        (status = 400, description = "No such rule can be"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such bucket, or no such provider"),
        (status = 409, description = "The bucket has a rule of this name, made by the API"),
    ),
)]
pub(super) async fn create(State(app): State<AppState>, caller: Maintainer, body: Body) -> Response {
    let made = async {
        let (bucket, spec) = json::read::<RuleBody>(body).await?.spec()?;
        Ok(app.storage.create_lifecycle_rule(caller.context(), bucket, spec).await?.into())
    };
    let outcome: Result<RuleShown, ApiError> = made.await;
    let is_made = outcome.is_ok();
    let mut response = answer(&caller, OPERATION, outcome);
    if is_made {
        *response.status_mut() = StatusCode::CREATED;
    }
    response
}

/// Puts another rule in place of one, or makes it. Rules of S3 and of the configuration are changed where they were made.
#[utoipa::path(
    put, path = "/lifecycle/{id}", tag = "Management", operation_id = "setLifecycleRule",
    params(("id" = Uuid, Path, description = "The rule")),
    request_body = RuleBody,
    responses(
        (status = 200, description = "The rule as it now is", body = RuleShown),
        (status = 400, description = "No such rule can be, or it was made elsewhere"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such bucket, or no such provider"),
        (status = 409, description = "The bucket has a rule of this name, made by the API"),
    ),
)]
pub(super) async fn set(
    State(app): State<AppState>,
    caller: Maintainer,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    let set = async {
        let id = rule_id(&id)?;
        let (bucket, spec) = json::read::<RuleBody>(body).await?.spec()?;
        Ok(app.storage.set_lifecycle_rule(caller.context(), id, bucket, spec).await?.into())
    };
    answer::<RuleShown>(&caller, OPERATION, set.await)
}

/// Removes a rule, also one that S3 put.
#[utoipa::path(
    delete, path = "/lifecycle/{id}", tag = "Management", operation_id = "removeLifecycleRule",
    params(("id" = Uuid, Path, description = "The rule")),
    responses(
        (status = 200, description = "It is gone", body = RuleRemoved),
        (status = 400, description = "It is one of the configuration"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such rule"),
    ),
)]
pub(super) async fn remove(
    State(app): State<AppState>,
    caller: Maintainer,
    Path(id): Path<String>,
) -> Response {
    let removed = async {
        let id = rule_id(&id)?;
        app.storage.remove_lifecycle_rule(caller.context(), id).await?;
        Ok(RuleRemoved { id })
    };
    answer(&caller, OPERATION, removed.await)
}

/// How a run goes.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunRules {
    /// Whether it only looks what it would do.
    #[serde(default)]
    dry_run: bool,
    /// Whether it runs although the clock leapt.
    #[serde(default)]
    force: bool,
}

/// Follows all rules now, or looks what they would do. A run that is not over yet is given back in place of a second one.
#[utoipa::path(
    post, path = "/lifecycle/run", tag = "Management", operation_id = "runLifecycle",
    request_body = RunRules,
    responses(
        (status = 202, description = "The job", body = JobShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 409, description = "The clock is more than a day ahead of when it was last looked at: rules wait for a day, unless forced"),
    ),
)]
pub(super) async fn run(State(app): State<AppState>, caller: Maintainer, body: Body) -> Response {
    let started = async {
        let asked: RunRules = json::read_optional(body).await?;
        Ok(app.storage.run_lifecycle(caller.context(), asked.dry_run, asked.force).await?)
    };
    jobs::accepted(&caller, started.await)
}

fn rule_id(text: &str) -> Result<Uuid, StorageError> {
    let refused = |_| StorageError::InvalidRequest { message: "a rule's id is a UUID".to_owned() };
    Uuid::try_parse(text).map_err(refused)
}
