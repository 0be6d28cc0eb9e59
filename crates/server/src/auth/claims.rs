//! From the claims of a verified token to the caller.

use std::sync::Arc;

use file_storage::permissions::{RlsContext, Role};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::AuthError;

/// Who the claims say is asking.
pub(super) fn caller(claims: Map<String, Value>, request_id: Arc<str>) -> Result<RlsContext, AuthError> {
    // A signed URL's token opens one object and nobody's role (field rule: tokens of signed URLs are no bearer
    // tokens). It is signed by another key; this holds even where somebody configured the same one twice.
    if claims.contains_key("scope") && claims.contains_key("url") {
        return Err(AuthError::invalid("the token of a signed URL is no bearer token"));
    }
    let user = claims.get("sub").and_then(Value::as_str).and_then(|sub| Uuid::try_parse(sub).ok());
    Ok(match role(&claims)? {
        Role::Anon => RlsContext::anon(request_id),
        Role::Authenticated => RlsContext::user(user.ok_or(AuthError::UserNotFound)?, claims, request_id),
        Role::ServiceRole => RlsContext::service(user, claims, request_id),
    })
}

/// The role of a token. Identity providers often have no such claim: their tokens are those of users.
fn role(claims: &Map<String, Value>) -> Result<Role, AuthError> {
    match claims.get("role") {
        None => Ok(Role::Authenticated),
        Some(Value::String(word)) => {
            Role::from_claim(word).ok_or(AuthError::invalid("the token's role is unknown"))
        }
        Some(_) => Err(AuthError::invalid("the token's role is unknown")),
    }
}
