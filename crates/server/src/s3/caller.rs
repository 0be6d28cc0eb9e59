//! Who signed a request: from the access key, or the user's token beside it, to the caller.

use std::net::IpAddr;
use std::sync::Arc;

use file_storage::RlsContext;
use file_storage::credentials::{ActiveCredential, CredentialSecret};
use file_storage::permissions::Role;
use http::StatusCode;

use super::failure::Failure;
use super::signature::key::{KnownKeys, Scope};
use crate::app::AppState;

/// The keys that are not in the database, and what is remembered of all.
pub(crate) struct Keys {
    /// The one that the first start made: the service role's.
    first: (String, ActiveCredential),
    /// What signs requests that bring a user's token along, as Supabase's clients do. It is no secret, and gives nothing:
    /// the token says who is asking, and is verified as everywhere.
    anon_key: CredentialSecret,
    /// What signatures were found good with.
    pub(super) known: KnownKeys,
}

impl Keys {
    pub(crate) fn new((id, secret): (String, CredentialSecret), anon_key: &str) -> Self {
        let first = ActiveCredential { secret, role: Role::ServiceRole, user_id: None };
        Self { first: (id, first), anon_key: CredentialSecret::new(anon_key), known: KnownKeys::default() }
    }

    /// The key that the first start made, where this is its name.
    fn first(&self, id: &str) -> Option<ActiveCredential> {
        let (first, credential) = &self.first;
        (id == first).then(|| credential.clone())
    }
}

/// A caller whose signature is still to be verified.
pub(super) struct Signer {
    /// What verifies it.
    pub(super) secret: CredentialSecret,
    who: Who,
}

enum Who {
    /// Whoever holds the key that the first start made.
    First(String, ActiveCredential),
    /// Whoever holds a credential.
    Holder(String, ActiveCredential),
    /// Whoever the token says.
    Bearer(String),
}

impl Signer {
    /// The signer that a scope names; with a user's token, that user.
    ///
    /// # Errors
    /// `InvalidAccessKeyId`, and those of the database. `SlowDown`, where the key has to be looked for and the client's address
    /// showed too much that was not good.
    pub(super) async fn find(
        app: &AppState,
        scope: &Scope,
        token: Option<&str>,
        client: IpAddr,
    ) -> Result<Self, Failure> {
        if let Some(token) = token {
            return Ok(Self {
                secret: app.s3_keys.load().anon_key.clone(),
                who: Who::Bearer(token.to_owned()),
            });
        }
        let id = &scope.access_key_id;
        if let Some(first) = app.s3_keys.load().first(id) {
            return Ok(Self { secret: first.secret.clone(), who: Who::First(id.clone(), first) });
        }
        let remembered = app.storage.remembered_credential(id);
        let credential = match remembered {
            Some(credential) => Some(credential),
            None => {
                app.rate_limits.refused.peek(client)?;
                app.storage.active_credential(id).await?
            }
        };
        match credential {
            Some(credential) => {
                Ok(Self { secret: credential.secret.clone(), who: Who::Holder(id.clone(), credential) })
            }
            None => {
                app.rate_limits.refused.check(client)?;
                let message = "The AWS access key ID you provided does not exist in our records";
                Err(Failure::new(StatusCode::FORBIDDEN, "InvalidAccessKeyId", message)
                    .detail("AWSAccessKeyId", id))
            }
        }
    }

    /// The caller, once the signature is found good.
    ///
    /// # Errors
    /// A token that is not accepted.
    pub(super) async fn into_context(
        self,
        app: &AppState,
        request_id: Arc<str>,
    ) -> Result<RlsContext, Failure> {
        match self.who {
            Who::First(id, credential) => Ok(credential.context(&request_id).showing(id)),
            Who::Holder(id, credential) => {
                app.storage.note_credential_use(&id);
                Ok(credential.context(&request_id).showing(id))
            }
            Who::Bearer(token) => {
                Ok(app.authenticator.load_full().authenticate_token(&token, request_id).await?)
            }
        }
    }
}
