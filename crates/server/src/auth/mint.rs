//! Making tokens: the anon and service keys, and `aerostore token create`.

use std::time::Duration;

use file_storage::Timestamp;
use file_storage::permissions::Role;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::config::AuthConfig;
use crate::secrets::Secret;

/// What a new token shall say.
#[derive(Debug, Clone, Copy)]
pub struct NewToken {
    /// Its role.
    pub role: Role,
    /// Its user. A token of a user needs one.
    pub user: Option<Uuid>,
    /// When it is made.
    pub issued_at: Timestamp,
    /// How long it is valid.
    pub lifetime: Duration,
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The token would be refused: its user is missing.
    #[error("a token with the role 'authenticated' needs a user")]
    NoUser,
    /// It would expire after the end of time.
    #[error("the token's lifetime is too long")]
    TooLong,
    /// A further claim would say what the token's own fields say.
    #[error("the claim '{0}' is set by the server")]
    Reserved(String),
    /// Signing failed.
    #[error("the token cannot be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct Claims<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    iat: i64,
    exp: i64,
    #[serde(flatten)]
    further: &'a Map<String, Value>,
}

/// Claims that only the fields of [`NewToken`] and the configuration decide.
const RESERVED: [&str; 7] = ["role", "sub", "aud", "iss", "iat", "exp", "nbf"];

/// Makes a token that a server with this configuration accepts. The same token from the same input.
///
/// # Errors
/// [`MintError`], where no such token can be.
pub fn mint_token(secret: &Secret, config: &AuthConfig, token: &NewToken) -> Result<String, MintError> {
    mint_token_with_claims(secret, config, token, &Map::new())
}

/// The same with further claims, which policies can read.
///
/// # Errors
/// [`MintError`], where no such token can be.
pub fn mint_token_with_claims(
    secret: &Secret,
    config: &AuthConfig,
    token: &NewToken,
    further: &Map<String, Value>,
) -> Result<String, MintError> {
    if let Some(name) = further.keys().find(|name| RESERVED.contains(&name.as_str())) {
        return Err(MintError::Reserved(name.clone()));
    }
    if token.role == Role::Authenticated && token.user.is_none() {
        return Err(MintError::NoUser);
    }
    let iat = token.issued_at.timestamp();
    let exp = i64::try_from(token.lifetime.as_secs()).ok().and_then(|lifetime| iat.checked_add(lifetime));
    let claims = Claims {
        role: token.role.as_str(),
        sub: token.user,
        aud: config.audience.first().map(String::as_str),
        iss: config.issuer.first().map(String::as_str),
        iat,
        exp: exp.ok_or(MintError::TooLong)?,
        further,
    };
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(MintError::Sign)
}
