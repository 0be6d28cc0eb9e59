//! Who is asking (SPEC 1, RLS context).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::sql::Asker;

/// The database role of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Nobody in particular.
    Anon,
    /// A user with a token.
    Authenticated,
    /// The application's own backend: no row is hidden from it.
    ServiceRole,
}

impl Role {
    /// The word of the database and of the `role` claim.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anon => "anon",
            Self::Authenticated => "authenticated",
            Self::ServiceRole => "service_role",
        }
    }

    /// The role of a `role` claim; `service` is a synonym of `service_role`.
    pub fn from_claim(word: &str) -> Option<Self> {
        match word {
            "anon" => Some(Self::Anon),
            "authenticated" => Some(Self::Authenticated),
            "service_role" | "service" => Some(Self::ServiceRole),
            _ => None,
        }
    }
}

/// The caller of one request. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RlsContext {
    user_id: Option<Uuid>,
    role: Role,
    claims: Arc<Map<String, Value>>,
    request_id: Arc<str>,
    origin: Origin,
}

/// Where a request came from. It decides nothing: the audit log tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Origin {
    client: Option<IpAddr>,
    credential: Option<Arc<str>>,
    /// Whether the server itself asks.
    is_system: bool,
    /// The lifecycle rule that the server follows.
    rule: Option<Uuid>,
}

impl RlsContext {
    /// Nobody in particular.
    pub fn anon(request_id: impl Into<Arc<str>>) -> Self {
        Self {
            user_id: None,
            role: Role::Anon,
            claims: Arc::default(),
            request_id: request_id.into(),
            origin: Origin::default(),
        }
    }

    /// A user with a verified token.
    pub fn user(user_id: Uuid, claims: Map<String, Value>, request_id: impl Into<Arc<str>>) -> Self {
        Self {
            user_id: Some(user_id),
            role: Role::Authenticated,
            claims: Arc::new(claims),
            request_id: request_id.into(),
            origin: Origin::default(),
        }
    }

    /// A caller with a verified service token, who may act in the name of a user: objects then are that user's.
    pub fn service(
        user_id: Option<Uuid>,
        claims: Map<String, Value>,
        request_id: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            user_id,
            role: Role::ServiceRole,
            claims: Arc::new(claims),
            request_id: request_id.into(),
            origin: Origin::default(),
        }
    }

    /// The server itself, doing a job that no caller asked for. Explicit, and logged with its purpose.
    pub fn system(purpose: &'static str) -> Self {
        tracing::debug!(purpose, "service role session opened by the server itself");
        Self {
            user_id: None,
            role: Role::ServiceRole,
            claims: Arc::default(),
            request_id: purpose.into(),
            origin: Origin { is_system: true, ..Origin::default() },
        }
    }

    /// The same caller, whose request came from this address.
    #[must_use]
    pub fn coming_from(mut self, client: IpAddr) -> Self {
        self.origin.client = Some(client);
        self
    }

    /// The same caller, who showed this key to say who they are. Its name, and not its secret.
    #[must_use]
    pub fn showing(mut self, credential: impl Into<Arc<str>>) -> Self {
        self.origin.credential = Some(credential.into());
        self
    }

    /// The server itself, doing what this lifecycle rule says.
    #[must_use]
    pub(crate) fn following(mut self, rule: Uuid) -> Self {
        self.origin.rule = Some(rule);
        self
    }

    /// Somebody else in whose name a request is made, by whoever made it.
    #[must_use]
    pub(crate) fn asked_by(self, bearer: &Self) -> Self {
        Self { request_id: bearer.request_id.clone(), origin: bearer.origin.clone(), ..self }
    }

    /// The same caller, asking once more.
    #[must_use]
    pub fn for_request(self, request_id: impl Into<Arc<str>>) -> Self {
        Self { request_id: request_id.into(), ..self }
    }

    /// The same caller, in whose name the server itself reads what he is expected to ask for. It is no access of his, and told of to nobody.
    #[must_use]
    pub(crate) fn in_absence(self) -> Self {
        let origin = Origin { is_system: true, ..Origin::default() };
        Self { request_id: "read ahead".into(), origin, ..self }
    }

    /// When the caller's token is no longer good, in seconds since 1970, where it says so.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        let exp = self.claims.get("exp")?;
        exp.as_i64().or_else(|| exp.as_f64().map(|seconds| seconds as i64))
    }

    /// The user, where there is one.
    pub fn user_id(&self) -> Option<Uuid> {
        self.user_id
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// All claims of the token, for policies to read.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The claims as policies read them: with the role and the user as they are, whatever a token calls them.
    pub fn effective_claims(&self) -> Map<String, Value> {
        let mut claims = Map::clone(&self.claims);
        claims.insert("role".to_owned(), Value::from(self.role.as_str()));
        match self.user_id {
            Some(user) => claims.insert("sub".to_owned(), Value::from(user.hyphenated().to_string())),
            None => claims.remove("sub"),
        };
        claims
    }

    /// The caller as conditions see them, at a time in microseconds since 1970.
    pub fn asker(&self, now: i64) -> Asker<'static> {
        Asker {
            user_id: self.user_id,
            role: Cow::Borrowed(self.role.as_str()),
            claims: Cow::Owned(Value::Object(self.effective_claims())),
            now,
        }
    }

    /// Identity of the request, as logs and errors carry it.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The address that the request came from, where it is one of a client.
    pub fn client(&self) -> Option<IpAddr> {
        self.origin.client
    }

    /// The name of the key that the caller showed, where it was one that has a name.
    pub fn credential(&self) -> Option<&str> {
        self.origin.credential.as_deref()
    }

    /// Whether the server itself asks.
    pub fn is_system(&self) -> bool {
        self.origin.is_system
    }

    /// The lifecycle rule that the server follows, where it does what one says.
    pub(crate) fn rule(&self) -> Option<Uuid> {
        self.origin.rule
    }

    /// Whether no row is hidden from the caller.
    pub fn is_service(&self) -> bool {
        self.role == Role::ServiceRole
    }
}
