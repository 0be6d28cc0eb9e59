//! Who signed an upload URL: in their name it is used, by whoever has it.

use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::permissions::{RlsContext, Role};

/// The caller who signed an upload URL. What its holder may write is what this caller may write then: policies read the
/// claims that they read when it was signed. Debug shows no claims.
#[derive(Clone, PartialEq)]
pub struct Signer {
    identity: Identity,
    claims: Map<String, Value>,
}

/// The part of a signer that a token says openly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// A caller without a token, whom a policy lets write.
    Anon,
    /// A user.
    User(Uuid),
    /// The service role, perhaps in the name of a user, whom the object then belongs to.
    Service(Option<Uuid>),
}

impl Signer {
    /// The signer that a caller would be; `None` for a user without an id, who signs nothing.
    pub fn of(context: &RlsContext) -> Option<Self> {
        let identity = match context.role() {
            Role::Anon => Identity::Anon,
            Role::Authenticated => Identity::User(context.user_id()?),
            Role::ServiceRole => Identity::Service(context.user_id()),
        };
        Some(Self::new(identity, context.claims().clone()))
    }

    /// A signer with the claims of their token.
    pub(super) fn new(identity: Identity, mut claims: Map<String, Value>) -> Self {
        // Policies read user and role as the identity says them, whatever a token calls them.
        claims.retain(|name, _| name != "sub" && name != "role");
        Self { identity, claims }
    }

    /// Role and user.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The context in which the URL is used.
    pub(crate) fn context(&self, request_id: &str) -> RlsContext {
        let claims = self.claims.clone();
        match self.identity {
            Identity::Anon => RlsContext::anon(request_id),
            Identity::User(user) => RlsContext::user(user, claims, request_id),
            Identity::Service(user) => RlsContext::service(user, claims, request_id),
        }
    }
}

impl Identity {
    /// The user, where there is one.
    pub(super) fn user_id(self) -> Option<Uuid> {
        match self {
            Self::Anon => None,
            Self::User(user) => Some(user),
            Self::Service(user) => user,
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("identity", &self.identity).finish_non_exhaustive()
    }
}
