//! What an application needs to reach the server.

use std::fmt;
use std::time::Duration;

use file_storage::permissions::Role;
use serde::Serialize;
use zeroize::Zeroizing;

use super::Secret;
use super::file::Stored;
use crate::auth::{MintError, NewToken, mint_token};
use crate::config::AuthConfig;

/// How long the anon and service keys are valid: ten years from the first start.
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The keys of a server, with exactly the JSON that scripts rely on (SPEC 9).
#[derive(Clone, Serialize)]
pub struct Keys {
    /// A token of the role `anon`, for clients that must send one.
    pub anon_key: Zeroizing<String>,
    /// A token of the service role: no row is hidden from it.
    pub service_key: Zeroizing<String>,
    /// The secret that signs users' tokens.
    pub jwt_secret: Zeroizing<String>,
    /// The name of the S3 key.
    pub s3_access_key_id: String,
    /// The secret of the S3 key.
    pub s3_secret_access_key: Zeroizing<String>,
}

impl Keys {
    /// Computed and not stored: they follow a JWT secret that is rotated or configured.
    pub(super) fn of(stored: &Stored, jwt: &Secret, auth: &AuthConfig) -> Result<Self, MintError> {
        let token = |role| {
            let token = NewToken { role, user: None, issued_at: stored.created_at, lifetime: LIFETIME };
            mint_token(jwt, auth, &token).map(Zeroizing::new)
        };
        let copy = |secret: &Secret| Zeroizing::new(secret.expose().to_owned());
        Ok(Self {
            anon_key: token(Role::Anon)?,
            service_key: token(Role::ServiceRole)?,
            jwt_secret: copy(jwt),
            s3_access_key_id: stored.s3_access_key_id.clone(),
            s3_secret_access_key: copy(&stored.s3_secret_access_key),
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("s3_access_key_id", &self.s3_access_key_id).finish_non_exhaustive()
    }
}
