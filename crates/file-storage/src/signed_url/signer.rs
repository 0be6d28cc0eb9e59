//! Who signed an upload URL: in their name it is used, by whoever has it.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::permissions::{RlsContext, Role};

/// The caller who signed an upload URL. What its holder may write is what this caller may write then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
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
        match context.role() {
            Role::Anon => Some(Self::Anon),
            Role::Authenticated => context.user_id().map(Self::User),
            Role::ServiceRole => Some(Self::Service(context.user_id())),
        }
    }

    /// The user, where there is one.
    pub fn user_id(self) -> Option<Uuid> {
        match self {
            Self::Anon => None,
            Self::User(user) => Some(user),
            Self::Service(user) => user,
        }
    }

    /// The context in which the URL is used. Of the signer's claims it has user and role alone: a URL is handed on,
    /// and shows nothing else of whoever signed it.
    pub(crate) fn context(self, request_id: &str) -> RlsContext {
        let claims = |role: Role| -> Map<String, Value> {
            let role = ("role".to_owned(), Value::from(role.as_str()));
            let user = self.user_id().map(|user| ("sub".to_owned(), Value::from(user.to_string())));
            std::iter::once(role).chain(user).collect()
        };
        match self {
            Self::Anon => RlsContext::anon(request_id),
            Self::User(user) => RlsContext::user(user, claims(Role::Authenticated), request_id),
            Self::Service(user) => RlsContext::service(user, claims(Role::ServiceRole), request_id),
        }
    }
}
