//! `/policies`: rules in SQL, added, listed and dropped by the service role.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::permissions::Policy;
use file_storage::storage::PolicyChange;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Caller, Path, answer};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::json;

const OPERATION: &str = "manage_policies";

/// A statement to be run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePolicies {
    /// One `CREATE POLICY` or `DROP POLICY`, in PostgreSQL's form.
    sql: String,
}

/// A policy.
#[derive(Serialize, ToSchema)]
pub(super) struct PolicyShown {
    /// Its name.
    name: String,
    /// ALL, SELECT, INSERT, UPDATE or DELETE.
    command: &'static str,
    /// Whether it grants; else it restricts what is granted.
    permissive: bool,
    /// The roles that it speaks about.
    roles: Vec<&'static str>,
    /// The statement as it was given.
    definition: String,
}

impl From<&Policy> for PolicyShown {
    fn from(policy: &Policy) -> Self {
        Self {
            name: policy.name.to_string(),
            command: policy.command.as_str(),
            permissive: policy.permissive,
            roles: policy.roles(),
            definition: policy.definition.to_string(),
        }
    }
}

/// What a statement did.
#[derive(Serialize, ToSchema)]
pub(super) struct PolicyChanged {
    /// The policy that is in force now.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<PolicyShown>,
    /// The name of the policy that is gone; null where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<Option<String>>,
}

/// Adds or drops a policy on `storage_objects`. It is in force when this answers.
#[utoipa::path(
    post, path = "/policies", tag = "Management", operation_id = "changePolicies",
    request_body = ChangePolicies,
    responses(
        (status = 200, description = "What changed", body = PolicyChanged),
        (status = 400, description = "The statement is not taken: `position` says where, `reason` why"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no policy to drop"),
        (status = 409, description = "The name is taken"),
    ),
)]
pub(super) async fn change(State(app): State<AppState>, caller: Caller, body: Body) -> Response {
    answer(&caller, OPERATION, changed(&app, &caller, body).await)
}

async fn changed(app: &AppState, caller: &Caller, body: Body) -> Result<PolicyChanged, ApiError> {
    // Nobody else's body is read.
    app.storage.policies(caller.context()).await?;
    let asked: ChangePolicies = json::read(body).await?;
    Ok(match app.storage.change_policies(caller.context(), &asked.sql).await? {
        PolicyChange::Created(policy) => {
            PolicyChanged { created: Some(PolicyShown::from(&*policy)), dropped: None }
        }
        PolicyChange::Dropped(name, gone) => {
            PolicyChanged { created: None, dropped: Some(gone.then(|| name.to_string())) }
        }
    })
}

/// The policies in force.
#[utoipa::path(
    get, path = "/policies", tag = "Management", operation_id = "listPolicies",
    responses(
        (status = 200, description = "The policies, by name", body = [PolicyShown]),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn list(State(app): State<AppState>, caller: Caller) -> Response {
    let policies = app.storage.policies(caller.context()).await.map_err(ApiError::from);
    let shown =
        policies.map(|set| set.all().iter().map(|policy| PolicyShown::from(&**policy)).collect::<Vec<_>>());
    answer(&caller, OPERATION, shown)
}

/// Drops a policy.
#[utoipa::path(
    delete, path = "/policies/{name}", tag = "Management", operation_id = "dropPolicy",
    params(("name" = String, Path, description = "The policy's name")),
    responses(
        (status = 200, description = "The policy is gone", body = PolicyChanged),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such policy"),
    ),
)]
pub(super) async fn remove(
    State(app): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Response {
    let outcome = match app.storage.drop_policy(caller.context(), &name).await {
        Ok(true) => Ok(PolicyChanged { created: None, dropped: Some(Some(name)) }),
        Ok(false) => Err(file_storage::StorageError::PolicyNotFound { name: name.into() }.into()),
        Err(error) => Err(ApiError::from(error)),
    };
    answer(&caller, OPERATION, outcome)
}
