//! `GET` and `POST /usage`: who uses how much, and whether the counters are right; by what, and in a folder, what objects take.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

mod look;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use file_storage::executor::{BucketListing, BucketSort, SortOrder, UsageDifference, UserUsage};
use file_storage::{Bucket, Operation, RlsContext};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Caller, Maintainer, answer};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::json;

pub(super) use look::{__path_of_folder, of_folder};

/// Most users, and most buckets, of one answer.
const LIMIT: u32 = 10_000;

/// What is asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    recalculate: bool,
    by: Option<String>,
    #[serde(default)]
    refresh: bool,
}

/// Usage: of the caller alone, or of everybody for the service role.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Usage {
    /// Of the caller.
    Own(User),
    /// By what was asked for.
    By(look::UsageBy),
    /// Of everybody.
    All {
        /// Users, those that use most first.
        users: Vec<User>,
        /// Buckets, by name.
        buckets: Vec<BucketUsage>,
        /// Whether there are more users, or more buckets, than the 10 000 of each that are told.
        truncated: bool,
        /// Counters that a recount did not confirm; only after one.
        #[serde(skip_serializing_if = "Option::is_none")]
        differences: Option<Vec<Difference>>,
    },
}

/// What a user's objects take.
#[derive(Serialize, ToSchema)]
pub(super) struct User {
    /// The user.
    user_id: Option<Uuid>,
    /// Bytes of all objects that the user owns.
    total_bytes: u64,
    /// Bytes that unfinished uploads hold; they count against the quota.
    unfinished_bytes: u64,
    /// Number of those objects.
    file_count: u64,
    /// The user's quota, in bytes; null for none.
    quota_bytes: Option<u64>,
}

/// What a bucket's objects take.
#[derive(Serialize, ToSchema)]
pub(super) struct BucketUsage {
    /// The bucket's name.
    bucket_id: String,
    /// Its owner; null for a system bucket.
    owner_id: Option<Uuid>,
    /// Bytes of all its objects.
    total_bytes: u64,
    /// Bytes that unfinished uploads hold; they count against the quota.
    unfinished_bytes: u64,
    /// Number of those objects.
    file_count: u64,
    /// The bucket's quota, in bytes; null for none.
    quota_bytes: Option<u64>,
}

/// A counter that a recount did not confirm.
#[derive(Serialize, ToSchema)]
pub(super) struct Difference {
    /// `user`, `bucket`, `folder` or `global`.
    scope: &'static str,
    /// The user's id, the bucket's name, or the bucket and the folder in it; empty for all that is stored.
    name: String,
    /// Bytes by the counter.
    counted_bytes: u64,
    /// Bytes by the recount.
    actual_bytes: u64,
    /// Objects by the counter.
    counted_files: u64,
    /// Objects by the recount.
    actual_files: u64,
    /// Bytes of unfinished uploads by the counter.
    counted_unfinished: u64,
    /// Bytes of unfinished uploads by the recount.
    actual_unfinished: u64,
}

/// Shows the caller's own usage; to the service role that of all users and buckets. These are counters, and always fresh; `by` has all
/// objects looked at.
#[utoipa::path(
    get, path = "/usage", tag = "Management", operation_id = "usage",
    params(
        ("recalculate" = Option<bool>, Query, description = "Count anew and say what differs from the counters, which must be nothing. The service role alone"),
        ("by" = Option<String>, Query, description = "Look at all objects instead, and tell what they take by `user`, `bucket` or `provider`: the caller's own, or everybody's for the service role, which alone is told of providers"),
        ("refresh" = Option<bool>, Query, description = "Look anew: else an answer to `by` is kept for five minutes"),
    ),
    responses(
        (status = 200, description = "Usage", body = Usage),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "Only the service role recalculates, and is told of providers"),
        (status = 504, description = "There are too many objects to look at all of them"),
    ),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    caller: Caller,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    answer(&caller, "usage", shown(&app, caller.context(), asked).await)
}

async fn shown(
    app: &AppState,
    context: &RlsContext,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Usage, ApiError> {
    app.storage.may_ask(context, Operation::ReadUsage, None).await?;
    let switches =
        "querystring/recalculate and querystring/refresh must be boolean, and each stands there once";
    let Query(asked) = asked.map_err(|_| ApiError::schema(switches))?;
    let by = asked.by.as_deref().map(look::UsageKind::parse).transpose()?;
    let Asked { recalculate, refresh, .. } = asked;
    match (by, recalculate) {
        (Some(_), true) => Err(ApiError::schema("by and recalculate exclude each other")),
        (Some(by), false) => look::by(app, context, by, refresh).await.map(Usage::By),
        (None, true) => usage(app, context, Recount::Report).await,
        (None, false) => usage(app, context, Recount::None).await,
    }
}

/// Counts anew, sets the counters right, and says what differed, which must be nothing.
#[utoipa::path(
    post, path = "/usage", tag = "Management", operation_id = "repairUsage",
    responses(
        (status = 200, description = "Usage, and what differed from it before", body = Usage),
        (status = 400, description = "There is a body that asks for something"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn repair(State(app): State<AppState>, caller: Maintainer, body: Body) -> Response {
    let outcome = async {
        json::none(body).await?;
        usage(&app, caller.context(), Recount::Repair).await
    };
    answer(&caller, "usage", outcome.await)
}

/// Whether everything is counted anew, and what is done about a difference.
enum Recount {
    None,
    Report,
    Repair,
}

async fn usage(app: &AppState, context: &RlsContext, recount: Recount) -> Result<Usage, ApiError> {
    let storage = &app.storage;
    // Asked first, and of everybody, so that the domain refuses whoever may not.
    let differences = match recount {
        Recount::None => None,
        Recount::Report => Some(storage.recount_usage(context, false).await?),
        Recount::Repair => Some(storage.recount_usage(context, true).await?),
    };
    if !context.is_service() {
        return Ok(Usage::Own(storage.own_usage(context).await?.into()));
    }
    let listing = BucketListing {
        limit: LIMIT + 1,
        offset: 0,
        sort: (BucketSort::Name, SortOrder::Ascending),
        ..BucketListing::default()
    };
    let mut users = storage.all_usage(context, LIMIT + 1).await?;
    let mut buckets = storage.list_buckets(context, &listing).await?;
    let most = LIMIT as usize;
    let truncated = users.len() > most || buckets.len() > most;
    users.truncate(most);
    buckets.truncate(most);
    Ok(Usage::All {
        users: users.into_iter().map(User::from).collect(),
        buckets: buckets.into_iter().map(BucketUsage::from).collect(),
        truncated,
        differences: differences.map(|found| found.into_iter().map(Difference::from).collect()),
    })
}

impl From<UserUsage> for User {
    fn from(usage: UserUsage) -> Self {
        let UserUsage { user_id, total_bytes, unfinished_bytes, file_count, quota_bytes } = usage;
        Self { user_id, total_bytes, unfinished_bytes, file_count, quota_bytes }
    }
}

impl From<Bucket> for BucketUsage {
    fn from(bucket: Bucket) -> Self {
        Self {
            bucket_id: bucket.name.as_str().to_owned(),
            owner_id: bucket.owner_id,
            total_bytes: bucket.total_bytes,
            unfinished_bytes: bucket.unfinished_bytes,
            file_count: bucket.file_count,
            quota_bytes: bucket.config.quota_bytes,
        }
    }
}

impl From<UsageDifference> for Difference {
    fn from(difference: UsageDifference) -> Self {
        let (counted_bytes, actual_bytes) = difference.bytes;
        let (counted_files, actual_files) = difference.files;
        let (counted_unfinished, actual_unfinished) = difference.unfinished;
        let (scope, name) = (difference.scope, difference.name);
        Self {
            scope,
            name,
            counted_bytes,
            actual_bytes,
            counted_files,
            actual_files,
            counted_unfinished,
            actual_unfinished,
        }
    }
}
