//! `POST /explain`: which rules let somebody do something, or not (SPEC 3.5).

use axum::response::{IntoResponse, Response};
use file_storage::executor::{Explanation, Question};
use file_storage::permissions::Permission;
use file_storage::{BucketName, ObjectPath, Operation, RlsContext, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::call::{Call, Token};
use super::dialect::ErrorBody;
use super::json;
use crate::errors::ApiError;

/// A question.
#[derive(Deserialize, ToSchema)]
pub(super) struct ExplainAccess {
    /// `read`, `create`, `overwrite` or `delete`; SQL's `select`, `insert`, `update` are taken, too.
    operation: String,
    /// The bucket.
    bucket: String,
    /// The path in it.
    path: String,
    /// Who would do it; the caller by default. Of others, only the service role may ask.
    #[serde(rename = "as")]
    caller: Option<Somebody>,
}

/// Somebody.
#[derive(Deserialize, ToSchema)]
pub(super) struct Somebody {
    /// Their id.
    user_id: Option<Uuid>,
    /// `anon`, `authenticated` or `service_role`; by default, `authenticated` with a user and `anon` without one.
    role: Option<String>,
    /// What else their token says.
    #[serde(default)]
    claims: Map<String, Value>,
}

/// The answer.
#[derive(Serialize, ToSchema)]
pub(super) struct AccessExplained {
    /// Whether it may be done.
    allowed: bool,
    /// What each rule said.
    because: Vec<RuleAsked>,
}

/// What one rule said.
#[derive(Serialize, ToSchema)]
pub(super) struct RuleAsked {
    /// Its name.
    rule: String,
    /// `grants` where it holds, `restricts` or `requires` where it does not.
    effect: &'static str,
    /// What was asked.
    expression: String,
    /// true, false, null, or an error.
    value: Value,
}

impl From<Explanation> for AccessExplained {
    fn from(explanation: Explanation) -> Self {
        let because = explanation.because.into_iter().map(|reason| RuleAsked {
            rule: reason.rule,
            effect: reason.effect.as_str(),
            expression: reason.expression,
            value: reason.value,
        });
        Self { allowed: explanation.allowed, because: because.collect() }
    }
}

/// Says which rules let somebody do something, or not, by asking each of them. Touches no byte.
#[utoipa::path(
    post, path = "/explain", tag = "Objects", operation_id = "explainAccess",
    request_body = ExplainAccess,
    responses(
        (status = 200, description = "Whether it may be done, and what each rule said", body = AccessExplained),
        (status = 400, description = "A bad path or body", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "Only the service role may ask about others", body = ErrorBody),
        (status = 404, description = "No such bucket", body = ErrorBody),
    ),
)]
pub(super) async fn explain(mut call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::Explain);
    let asked: ExplainAccess = json::read(call.body()).await?;
    let permission = match asked.operation.to_ascii_lowercase().as_str() {
        "read" | "select" | "download" => Permission::ObjectRead,
        "create" | "insert" | "upload" => Permission::ObjectCreate,
        "overwrite" | "update" => Permission::ObjectOverwrite,
        "delete" => Permission::ObjectDelete,
        _ => return Err(ApiError::schema("body/operation must be read, create, overwrite or delete")),
    };
    let (bucket, path) = (BucketName::parse(&asked.bucket)?, ObjectPath::parse(&asked.path)?);
    call.log_target(&bucket, Some(&path));
    let caller = match asked.caller {
        None => call.context().clone(),
        Some(somebody) if somebody.is(call.context()) => call.context().clone(),
        Some(somebody) => somebody.context(call.context().request_id())?,
    };
    let question = Question { permission, bucket, path, caller };
    let explanation = call.storage().explain(call.context(), question).await?;
    Ok(axum::Json(AccessExplained::from(explanation)).into_response())
}

impl Somebody {
    /// Whether it is whoever asks, by their id: then their own claims are meant.
    fn is(&self, asking: &RlsContext) -> bool {
        let is_role = self.role.as_deref().is_none_or(|role| Role::from_claim(role) == Some(asking.role()));
        self.user_id.is_some() && self.user_id == asking.user_id() && is_role && self.claims.is_empty()
    }

    fn context(self, request_id: &str) -> Result<RlsContext, ApiError> {
        let role = match (&self.role, self.user_id) {
            (Some(role), _) => Role::from_claim(role).ok_or_else(|| {
                ApiError::schema("body/as/role must be anon, authenticated or service_role")
            })?,
            (None, Some(_)) => Role::Authenticated,
            (None, None) => Role::Anon,
        };
        match (role, self.user_id) {
            (Role::Anon, None) => Ok(RlsContext::anon(request_id)),
            (Role::Anon, Some(_)) => Err(ApiError::schema("body/as: anon has no user_id")),
            (Role::Authenticated, Some(user)) => Ok(RlsContext::user(user, self.claims, request_id)),
            (Role::Authenticated, None) => {
                Err(ApiError::schema("body/as must have required property 'user_id'"))
            }
            (Role::ServiceRole, user) => Ok(RlsContext::service(user, self.claims, request_id)),
        }
    }
}
