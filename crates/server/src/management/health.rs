//! `GET /health`: the state of the server and its parts, for an operator.

use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Maintainer, answer};
use crate::app::AppState;
use crate::telemetry::uptime;

/// The state of the server.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok` or `unavailable`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The version that runs.
    version: &'static str,
    /// How long it has been running.
    uptime_seconds: u64,
    /// The provider that new bytes go to.
    provider: String,
    /// How long database and provider took to answer a probe: the latter wrote, read and deleted a blob.
    probe_ms: u64,
    /// What is wrong.
    problem: Option<String>,
}

/// Probes database and provider now, and says what is wrong with them.
#[utoipa::path(
    get, path = "/health", tag = "Management", operation_id = "health",
    responses(
        (status = 200, description = "All is well", body = Health),
        (status = 503, description = "Something does not answer", body = Health),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn show(State(app): State<AppState>, caller: Maintainer) -> Response {
    let started = Instant::now();
    let problem = app.readiness.probe().await.err().map(|error| error.to_string());
    let is_well = problem.is_none();
    let health = Health {
        status: if is_well { "ok" } else { "unavailable" },
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: uptime().as_secs(),
        provider: app.storage.provider().to_string(),
        probe_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        problem,
    };
    let mut response = answer(&caller, "health", Ok(health));
    if !is_well {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
