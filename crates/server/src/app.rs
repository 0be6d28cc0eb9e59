//! What every handler of every protocol can reach.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;
use file_storage::FileStorage;
use file_storage::audit::AuditLog;
use file_storage::health::HealthChecks;
use file_storage::upkeep::Upkeep;

use crate::auth::Authenticator;
use crate::client_address::Proxies;
use crate::config::Config;
use crate::health::Readiness;
use crate::rate_limit::RateLimits;
use crate::s3;
use crate::telemetry::Figures;
use crate::webhooks::Webhooks;

/// The parts of a running server.
pub struct App {
    /// The domain.
    pub storage: FileStorage,
    /// What the storage does for itself.
    pub upkeep: Upkeep,
    /// Its looks at its providers.
    pub health_checks: HealthChecks,
    /// Who is asking. Another one takes its place when secrets change.
    pub authenticator: ArcSwap<Authenticator>,
    /// Keys of S3's clients that are not in the database; one of them changes with the secret of tokens.
    pub(crate) s3_keys: ArcSwap<s3::Keys>,
    /// Origins whose pages may call; `*` for any.
    pub(crate) allowed_origins: ArcSwap<Vec<String>>,
    /// Room for what S3's clients send as documents.
    pub(crate) s3_documents: s3::Budget,
    /// How the server was configured when it started. What can change since then stands beside it, or in its own part.
    pub config: Config,
    /// Requests per client address.
    pub rate_limits: RateLimits,
    /// Whose forwarded headers are believed.
    pub proxies: Proxies,
    /// Who did what, where that is written down.
    pub audit: Option<AuditLog>,
    /// Figures for Prometheus.
    pub figures: Figures,
    /// What tells receivers of events.
    pub(crate) webhooks: Webhooks,
    /// Whether the server can do its work.
    pub readiness: Readiness,
}

/// The parts of a running server, as handlers share them. A clone is one counted reference.
#[derive(Clone)]
pub struct AppState(Arc<App>);

impl AppState {
    /// Shares the parts.
    pub fn new(app: App) -> Self {
        Self(Arc::new(app))
    }
}

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}
