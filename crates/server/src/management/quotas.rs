//! `/quota`, `/user-quotas` and `/global-quota`: how much may be stored, told to whom it concerns and set by the service role.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::{Operation, Quota, QuotaScope, StorageError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Caller, Path, answer};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::json;

const OPERATION: &str = "quota";
const MANAGE: &str = "manage_quotas";

/// Most quotas of one answer.
const LIMIT: u32 = 10_000;

/// A quota to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetQuota {
    /// The quota, in bytes. It may be less than what is in use: nothing new is let in until there is room again.
    quota_bytes: u64,
}

/// A quota, and what is in use of it.
#[derive(Serialize, ToSchema)]
pub(super) struct QuotaShown {
    /// `user`, `bucket`, `folder` or `global`.
    scope: &'static str,
    /// The user's id, the bucket's name, or the bucket and the folder in it; empty for all that is stored.
    name: String,
    /// The quota, in bytes; null for none.
    quota_bytes: Option<u64>,
    /// Bytes in use: of objects, of old versions and of unfinished uploads.
    used_bytes: u64,
    /// Bytes that there is room for; null without a quota.
    available_bytes: Option<u64>,
    /// Whether it is the configuration's, as none was set.
    is_default: bool,
}

impl From<Quota> for QuotaShown {
    fn from(quota: Quota) -> Self {
        Self {
            scope: quota.scope.word(),
            name: quota.scope.to_string(),
            quota_bytes: quota.limit,
            used_bytes: quota.used,
            available_bytes: quota.limit.map(|limit| limit.saturating_sub(quota.used)),
            is_default: quota.is_default && quota.limit.is_some(),
        }
    }
}

/// The quotas that are set: all for the service role; a user's own, and those of own buckets and of folders in them.
#[utoipa::path(
    get, path = "/quota", tag = "Management", operation_id = "listQuotas",
    responses(
        (status = 200, description = "The first 10 000 quotas: global, of users, of buckets, of folders, each by name", body = [QuotaShown]),
        (status = 401, description = "No token, or a bad one"),
    ),
)]
pub(super) async fn list(State(app): State<AppState>, caller: Caller) -> Response {
    let found = app.storage.quotas(caller.context(), LIMIT).await.map_err(ApiError::from);
    answer(&caller, OPERATION, found.map(|all| all.into_iter().map(QuotaShown::from).collect::<Vec<_>>()))
}

/// The quota of a bucket (`BUCKET`), or of a folder in it (`BUCKET/FOLDER`), and what is in use of it.
#[utoipa::path(
    get, path = "/quota/{folder}", tag = "Management", operation_id = "folderQuota",
    params(("folder" = String, Path, description = "A bucket, or a bucket, a slash and a path in it")),
    responses(
        (status = 200, description = "The quota", body = QuotaShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "Neither the bucket's owner nor the service role"),
        (status = 404, description = "There is no such bucket"),
    ),
)]
pub(super) async fn of_folder(
    State(app): State<AppState>,
    caller: Caller,
    Path(folder): Path<String>,
) -> Response {
    show(&app, &caller, QuotaScope::folder(&folder)).await
}

/// Sets the quota of a bucket, or of a folder in it.
#[utoipa::path(
    put, path = "/quota/{folder}", tag = "Management", operation_id = "setFolderQuota",
    params(("folder" = String, Path, description = "A bucket, or a bucket, a slash and a path in it")),
    request_body = SetQuota,
    responses(
        (status = 200, description = "The quota as it now is", body = QuotaShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such bucket"),
    ),
)]
pub(super) async fn set_folder(
    State(app): State<AppState>,
    caller: Caller,
    Path(folder): Path<String>,
    body: Body,
) -> Response {
    set(&app, &caller, QuotaScope::folder(&folder), body).await
}

/// Takes the quota of a bucket, or of a folder in it, off.
#[utoipa::path(
    delete, path = "/quota/{folder}", tag = "Management", operation_id = "removeFolderQuota",
    params(("folder" = String, Path, description = "A bucket, or a bucket, a slash and a path in it")),
    responses(
        (status = 200, description = "What is in use, without a quota", body = QuotaShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such bucket"),
    ),
)]
pub(super) async fn remove_folder(
    State(app): State<AppState>,
    caller: Caller,
    Path(folder): Path<String>,
) -> Response {
    remove(&app, &caller, QuotaScope::folder(&folder)).await
}

/// The quota of a user: one's own, or for the service role anybody's.
#[utoipa::path(
    get, path = "/user-quotas/{id}", tag = "Management", operation_id = "userQuota",
    params(("id" = Uuid, Path, description = "The user")),
    responses(
        (status = 200, description = "The quota", body = QuotaShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "Neither the user nor the service role"),
    ),
)]
pub(super) async fn of_user(State(app): State<AppState>, caller: Caller, Path(id): Path<String>) -> Response {
    show(&app, &caller, user(&id)).await
}

/// Sets the quota of a user, who need not have stored anything yet.
#[utoipa::path(
    put, path = "/user-quotas/{id}", tag = "Management", operation_id = "setUserQuota",
    params(("id" = Uuid, Path, description = "The user")),
    request_body = SetQuota,
    responses(
        (status = 200, description = "The quota as it now is", body = QuotaShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn set_user(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    set(&app, &caller, user(&id), body).await
}

/// Takes a user's own quota off: the configuration's default holds again, if there is one.
#[utoipa::path(
    delete, path = "/user-quotas/{id}", tag = "Management", operation_id = "removeUserQuota",
    params(("id" = Uuid, Path, description = "The user")),
    responses(
        (status = 200, description = "The quota as it now is", body = QuotaShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn remove_user(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Response {
    remove(&app, &caller, user(&id)).await
}

/// The quota of all that is stored.
#[utoipa::path(
    get, path = "/global-quota", tag = "Management", operation_id = "globalQuota",
    responses(
        (status = 200, description = "The quota", body = QuotaShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role reads this"),
    ),
)]
pub(super) async fn of_all(State(app): State<AppState>, caller: Caller) -> Response {
    show(&app, &caller, Ok(QuotaScope::Global)).await
}

/// Sets the quota of all that is stored.
#[utoipa::path(
    put, path = "/global-quota", tag = "Management", operation_id = "setGlobalQuota",
    request_body = SetQuota,
    responses(
        (status = 200, description = "The quota as it now is", body = QuotaShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn set_all(State(app): State<AppState>, caller: Caller, body: Body) -> Response {
    set(&app, &caller, Ok(QuotaScope::Global), body).await
}

/// Takes the quota of all that is stored off: the configuration's holds again, if there is one.
#[utoipa::path(
    delete, path = "/global-quota", tag = "Management", operation_id = "removeGlobalQuota",
    responses(
        (status = 200, description = "The quota as it now is", body = QuotaShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn remove_all(State(app): State<AppState>, caller: Caller) -> Response {
    remove(&app, &caller, Ok(QuotaScope::Global)).await
}

type Scope = Result<QuotaScope, StorageError>;

fn user(id: &str) -> Scope {
    let user = Uuid::try_parse(id)
        .map_err(|_| StorageError::InvalidRequest { message: "a user's id is a UUID".to_owned() })?;
    Ok(QuotaScope::User(user))
}

async fn show(app: &AppState, caller: &Caller, scope: Scope) -> Response {
    let shown = async { Ok(QuotaShown::from(app.storage.quota(caller.context(), &scope?).await?)) };
    answer(caller, OPERATION, shown.await)
}

async fn set(app: &AppState, caller: &Caller, scope: Scope, body: Body) -> Response {
    let set = async {
        may_set(app, caller).await?;
        let asked: SetQuota = json::read(body).await?;
        let set = app.storage.set_quota(caller.context(), &scope?, Some(asked.quota_bytes)).await?;
        Ok(QuotaShown::from(set))
    };
    answer(caller, MANAGE, set.await)
}

async fn remove(app: &AppState, caller: &Caller, scope: Scope) -> Response {
    let removed = async {
        may_set(app, caller).await?;
        Ok(QuotaShown::from(app.storage.set_quota(caller.context(), &scope?, None).await?))
    };
    answer(caller, MANAGE, removed.await)
}

/// Nobody else's body is read, and nobody else is told what is wrong with a name.
async fn may_set(app: &AppState, caller: &Caller) -> Result<(), ApiError> {
    app.storage.may_ask(caller.context(), Operation::ManageQuotas, None).await?;
    Ok(())
}
