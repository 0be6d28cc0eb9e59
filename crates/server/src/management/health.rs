//! `GET /health` and `/health/{provider}`: the state of the server, its parts and its providers, for an operator.

use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use file_storage::audit::AuditLog;
use file_storage::backend::provider::ProviderStatus;
use file_storage::resilience::CircuitState;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Maintainer, Path, answer};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::telemetry::uptime;

const OPERATION: &str = "health";

/// The state of the server.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`; `degraded` where a provider is not well and the server does its work all the same, the audit log can't be written, so
    /// that changes are refused and reads go on, or the disk is full, so that uploads are refused; or `unavailable`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The version that runs.
    version: &'static str,
    /// How long it has been running.
    uptime_seconds: u64,
    /// The provider that new bytes go to.
    provider: String,
    /// How long the database took to answer, and the disk, where new bytes go there: it wrote, read and deleted a blob.
    probe_ms: u64,
    /// What is wrong with these, with the audit log, or with the room on the disk.
    problem: Option<String>,
    /// All providers, by name.
    providers: Vec<ProviderHealth>,
}

/// How a provider is, as of the last look at it.
#[derive(Serialize, ToSchema)]
pub(super) struct ProviderHealth {
    /// Its name.
    provider: String,
    /// Whether its last probe succeeded, and it is not left alone since. One that nobody has looked at yet counts as healthy.
    healthy: bool,
    /// How long the last probe took, in milliseconds: it wrote, read and deleted a blob.
    latency: Option<f64>,
    /// When that was.
    last_check: Option<DateTime<Utc>>,
    /// What was wrong then.
    error: Option<String>,
    /// How its circuit breaker stands now: `closed` (it is asked), `half_open` (one call tries), `open` (it is left alone).
    /// Null for a directory, which has none.
    #[schema(example = "closed")]
    circuit: Option<&'static str>,
}

impl From<ProviderStatus> for ProviderHealth {
    fn from(status: ProviderStatus) -> Self {
        Self {
            provider: status.provider.to_string(),
            healthy: status.is_healthy,
            latency: status.latency.map(|latency| latency.as_micros() as f64 / 1000.0),
            last_check: status.last_check,
            error: status.error,
            circuit: status.circuit.map(CircuitState::as_str),
        }
    }
}

/// Asks the database how it is, and a disk, and says what was last known of remote providers.
#[utoipa::path(
    get, path = "/health", tag = "Management", operation_id = "health",
    responses(
        (status = 200, description = "The server does its work", body = Health),
        (status = 503, description = "Something that it needs does not answer", body = Health),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn show(State(app): State<AppState>, caller: Maintainer) -> Response {
    let started = Instant::now();
    let problem = app.readiness.probe().await.err().map(|error| error.to_string());
    let probe_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let providers = app.storage.provider_statuses();
    let is_well = problem.is_none();
    let unwritten = app.audit.as_ref().and_then(AuditLog::problem);
    let full = app.storage.check_room().err().map(|error| format!("{error}: uploads are refused"));
    let is_whole =
        unwritten.is_none() && full.is_none() && providers.iter().all(|provider| provider.is_healthy);
    let health = Health {
        status: match is_well {
            false => "unavailable",
            true if is_whole => "ok",
            true => "degraded",
        },
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: uptime().as_secs(),
        provider: app.storage.provider().to_string(),
        probe_ms,
        problem: problem.or(unwritten).or(full),
        providers: providers.into_iter().map(ProviderHealth::from).collect(),
    };
    unless(is_well, answer(&caller, OPERATION, Ok(health)))
}

/// Says what was last known of a provider.
#[utoipa::path(
    get, path = "/health/{provider}", tag = "Management", operation_id = "providerHealth",
    params(("provider" = String, Path, description = "The provider's name")),
    responses(
        (status = 200, description = "It is healthy", body = ProviderHealth),
        (status = 503, description = "It is not", body = ProviderHealth),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such provider"),
    ),
)]
pub(super) async fn of_provider(
    State(app): State<AppState>,
    caller: Maintainer,
    Path(name): Path<String>,
) -> Response {
    let health = app.storage.provider_status(&name).map(ProviderHealth::from).map_err(ApiError::from);
    let is_healthy = health.as_ref().map_or(true, |health| health.healthy);
    unless(is_healthy, answer(&caller, OPERATION, health))
}

/// Makes an answer about what is not well one that machines notice.
fn unless(is_well: bool, mut response: Response) -> Response {
    if !is_well {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
