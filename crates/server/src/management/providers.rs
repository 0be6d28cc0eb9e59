//! `GET /providers`: what the database keeps on each provider, also on those that are not configured any more.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use file_storage::executor::ProviderUsage;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Maintainer, answer};
use crate::app::AppState;
use crate::errors::ApiError;

/// What is kept on a provider.
#[derive(Serialize, ToSchema)]
pub(super) struct ProviderShown {
    /// Its name.
    provider: String,
    /// Whether this server knows it. What is kept on one that it does not know can't be read.
    configured: bool,
    /// What it is for: `active`, `failover`, `spool`; null where no new bytes go there by themselves.
    #[schema(example = "active")]
    role: Option<&'static str>,
    /// Blobs that objects, their versions and unfinished uploads are made of.
    blobs: u64,
    /// Their bytes.
    bytes: u64,
    /// Blobs that wait for their deletion.
    pending_deletions: u64,
}

/// Says what is kept where. A provider with 0 blobs and 0 pending deletions may be removed from the configuration.
#[utoipa::path(
    get, path = "/providers", tag = "Management", operation_id = "listProviders",
    responses(
        (status = 200, description = "The providers, by name", body = [ProviderShown]),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn list(State(app): State<AppState>, caller: Maintainer) -> Response {
    let usage = app.storage.provider_usage(caller.context()).await.map_err(ApiError::from);
    answer(&caller, "list_providers", usage.map(|usage| all(&app, &usage)))
}

/// Those that rows name, and those that are configured.
fn all(app: &AppState, usage: &[ProviderUsage]) -> Vec<ProviderShown> {
    let configured = app.storage.provider_statuses().into_iter().map(|status| status.provider);
    let known: BTreeSet<_> = configured.collect();
    let named = usage.iter().map(|usage| usage.provider.clone());
    let names: BTreeSet<_> = known.iter().cloned().chain(named).collect();
    let shown = names.into_iter().map(|name| {
        let usage = usage.iter().find(|usage| usage.provider == name);
        let figure = |figure: fn(&ProviderUsage) -> u64| usage.map_or(0, figure);
        ProviderShown {
            configured: known.contains(&name),
            role: role(app, &name),
            blobs: figure(|usage| usage.blobs),
            bytes: figure(|usage| usage.bytes),
            pending_deletions: figure(|usage| usage.pending_deletions),
            provider: name.to_string(),
        }
    });
    shown.collect()
}

fn role(app: &AppState, name: &str) -> Option<&'static str> {
    let storage = &app.config.storage;
    if storage.active_provider == name {
        Some("active")
    } else if storage.failover_providers.iter().any(|standby| standby == name) {
        Some("failover")
    } else if storage.spool.as_deref() == Some(name) {
        Some("spool")
    } else {
        None
    }
}
