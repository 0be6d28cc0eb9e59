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
    /// What it is for in the first place, the first of `roles`; null where no new bytes go there by themselves.
    #[schema(example = "active")]
    role: Option<&'static str>,
    /// All that it is for, of `active`, `failover`, `spool`, `backup`, in this order.
    #[schema(example = json!(["active", "backup"]))]
    roles: Vec<&'static str>,
    /// Blobs that objects, their versions and unfinished uploads are made of.
    blobs: u64,
    /// Their bytes.
    bytes: u64,
    /// Whether copies are kept there (`storage.backup_providers`), whatever its role is.
    backup: bool,
    /// Copies of blobs that are elsewhere.
    copies: u64,
    /// Their bytes.
    copy_bytes: u64,
    /// Copies that are still to be made there; 0 where none are kept.
    missing_copies: u64,
    /// Blobs that wait for their deletion.
    pending_deletions: u64,
}

/// Says what is kept where. A provider with 0 blobs, 0 copies and 0 pending deletions may be removed from the configuration.
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
fn all(app: &AppState, all: &[ProviderUsage]) -> Vec<ProviderShown> {
    let configured = app.storage.provider_statuses().into_iter().map(|status| status.provider);
    let known: BTreeSet<_> = configured.collect();
    let named = all.iter().map(|usage| usage.provider.clone());
    let names: BTreeSet<_> = known.iter().cloned().chain(named).collect();
    let shown = names.into_iter().map(|name| {
        let usage = all.iter().find(|usage| usage.provider == name);
        let figure = |figure: fn(&ProviderUsage) -> u64| usage.map_or(0, figure);
        let backup = is_backup(app, &name);
        ProviderShown {
            configured: known.contains(&name),
            role: roles(app, &name).first().copied(),
            roles: roles(app, &name),
            blobs: figure(|usage| usage.blobs),
            bytes: figure(|usage| usage.bytes),
            backup,
            copies: figure(|usage| usage.copies),
            copy_bytes: figure(|usage| usage.copy_bytes),
            missing_copies: if backup { ProviderUsage::missing_copies(all, &name) } else { 0 },
            pending_deletions: figure(|usage| usage.pending_deletions),
            provider: name.to_string(),
        }
    });
    shown.collect()
}

/// All roles that the configuration gives a provider.
fn roles(app: &AppState, name: &str) -> Vec<&'static str> {
    let storage = &app.config.storage;
    let roles = [
        ("active", storage.active_provider == name),
        ("failover", storage.failover_providers.iter().any(|standby| standby == name)),
        ("spool", storage.spool.as_deref() == Some(name)),
        ("backup", is_backup(app, name)),
    ];
    roles.into_iter().filter_map(|(role, has)| has.then_some(role)).collect()
}

fn is_backup(app: &AppState, name: &str) -> bool {
    app.config.storage.backup_providers.iter().any(|backup| backup == name)
}
