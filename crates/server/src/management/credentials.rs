//! `/credentials`: keys of S3's clients, made, listed, disabled and deleted by the service role.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::Timestamp;
use file_storage::credentials::{Credential, NewCredential};
use file_storage::permissions::Role;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Caller, Path, answer};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::json;

const OPERATION: &str = "manage_credentials";

/// A credential to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateCredential {
    /// What its people call it.
    #[serde(default)]
    name: String,
    /// The role in which it acts: `authenticated` (the default where a user is given), `service_role` or `anon`.
    role: Option<String>,
    /// The user as whom it acts.
    user_id: Option<Uuid>,
}

/// A change of a credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeCredential {
    /// Whether it is accepted.
    enabled: bool,
}

/// A credential. Its secret was shown when it was made.
#[derive(Serialize, ToSchema)]
pub(super) struct CredentialShown {
    /// What clients send, and what it is known by.
    access_key_id: String,
    /// What its people call it.
    name: String,
    /// The role in which it acts.
    role: &'static str,
    /// The user as whom it acts.
    user_id: Option<Uuid>,
    /// Whether it is accepted.
    enabled: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last used, to about a minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl From<Credential> for CredentialShown {
    fn from(credential: Credential) -> Self {
        Self {
            access_key_id: credential.access_key_id,
            name: credential.name,
            role: credential.role.as_str(),
            user_id: credential.user_id,
            enabled: credential.enabled,
            created_at: credential.created_at,
            last_used_at: credential.last_used_at,
        }
    }
}

/// A credential that was made just now.
#[derive(Serialize, ToSchema)]
pub(super) struct CredentialCreated {
    #[serde(flatten)]
    credential: CredentialShown,
    /// The secret, shown this once.
    secret_access_key: String,
}

/// A credential that is gone.
#[derive(Serialize, ToSchema)]
pub(super) struct CredentialDeleted {
    /// Which one it was.
    access_key_id: String,
}

/// Makes a key for S3's clients. Its secret is shown this once.
#[utoipa::path(
    post, path = "/credentials", tag = "Management", operation_id = "createCredential",
    request_body = CreateCredential,
    responses(
        (status = 201, description = "The credential, with its secret", body = CredentialCreated),
        (status = 400, description = "No such credential can be"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn create(State(app): State<AppState>, caller: Caller, body: Body) -> Response {
    let outcome = created(&app, &caller, body).await;
    let is_made = outcome.is_ok();
    let mut response = answer(&caller, OPERATION, outcome);
    if is_made {
        *response.status_mut() = StatusCode::CREATED;
    }
    response
}

async fn created(app: &AppState, caller: &Caller, body: Body) -> Result<CredentialCreated, ApiError> {
    // Nobody else's body is read.
    app.storage.credentials(caller.context()).await?;
    let asked: CreateCredential = json::read(body).await?;
    let role = match (asked.role.as_deref(), asked.user_id) {
        (Some(word), _) => {
            Role::from_claim(word).ok_or_else(|| ApiError::schema("body/role must be a role"))?
        }
        (None, Some(_)) => Role::Authenticated,
        (None, None) => return Err(ApiError::schema("body must have property 'role' or 'user_id'")),
    };
    let new = NewCredential { name: asked.name, role, user_id: asked.user_id };
    let (credential, secret) = app.storage.create_credential(caller.context(), new).await?;
    Ok(CredentialCreated { credential: credential.into(), secret_access_key: secret.expose().to_owned() })
}

/// The keys of S3's clients, without their secrets. The one that the first start made is not among them.
#[utoipa::path(
    get, path = "/credentials", tag = "Management", operation_id = "listCredentials",
    responses(
        (status = 200, description = "The credentials, oldest first", body = [CredentialShown]),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn list(State(app): State<AppState>, caller: Caller) -> Response {
    let all = app.storage.credentials(caller.context()).await.map_err(ApiError::from);
    let shown = all.map(|all| all.into_iter().map(CredentialShown::from).collect::<Vec<_>>());
    answer(&caller, OPERATION, shown)
}

/// Has a key accepted, or not any more.
#[utoipa::path(
    patch, path = "/credentials/{access_key_id}", tag = "Management", operation_id = "changeCredential",
    params(("access_key_id" = String, Path, description = "The credential")),
    request_body = ChangeCredential,
    responses(
        (status = 200, description = "The credential as it is now", body = CredentialShown),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such credential"),
    ),
)]
pub(super) async fn change(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    let changed = async {
        app.storage.credentials(caller.context()).await?;
        let asked: ChangeCredential = json::read(body).await?;
        let changed = app.storage.enable_credential(caller.context(), &id, asked.enabled).await?;
        Ok(CredentialShown::from(changed))
    };
    let changed = changed.await;
    answer(&caller, OPERATION, changed)
}

/// Deletes a key.
#[utoipa::path(
    delete, path = "/credentials/{access_key_id}", tag = "Management", operation_id = "deleteCredential",
    params(("access_key_id" = String, Path, description = "The credential")),
    responses(
        (status = 200, description = "The credential is gone", body = CredentialDeleted),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such credential"),
    ),
)]
pub(super) async fn remove(State(app): State<AppState>, caller: Caller, Path(id): Path<String>) -> Response {
    let gone = app.storage.delete_credential(caller.context(), &id).await.map_err(ApiError::from);
    answer(&caller, OPERATION, gone.map(|()| CredentialDeleted { access_key_id: id }))
}
