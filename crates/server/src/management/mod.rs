//! What operators ask of a running server, below `/api/v1/storage` (SPEC 6, management).
//!
//! Every handler takes a [`Caller`] or a [`Maintainer`], which says who may call it; a request of anybody else never
//! reaches the handler. Answers have one form, whatever the dialect of REST.

mod adopt;
mod batch;
mod caller;
mod cleanup;
mod credentials;
mod folders;
mod health;
mod jobs;
mod lifecycle;
mod metrics;
mod migrations;
mod path;
mod policies;
mod providers;
mod queue;
mod quotas;
mod scrub;
mod usage;
mod webhooks;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use serde::Serialize;
use utoipa::OpenApi;

use crate::app::AppState;
use crate::errors::ApiError;
use crate::http::OperationLog;

use caller::{Caller, Maintainer};
use path::Path;

/// Where these routes are mounted.
pub(crate) const BASE: &str = "/api/v1/storage";

/// Their documents.
#[derive(OpenApi)]
#[openapi(paths(
    health::show,
    health::of_provider,
    metrics::show,
    metrics::reset,
    usage::show,
    usage::repair,
    usage::of_folder,
    quotas::list,
    quotas::of_folder,
    quotas::set_folder,
    quotas::remove_folder,
    quotas::of_user,
    quotas::set_user,
    quotas::remove_user,
    quotas::of_all,
    quotas::set_all,
    quotas::remove_all,
    cleanup::preview,
    cleanup::apply,
    scrub::start,
    adopt::start,
    policies::change,
    policies::list,
    policies::remove,
    credentials::create,
    credentials::list,
    credentials::change,
    credentials::remove,
    webhooks::create,
    webhooks::list,
    webhooks::show,
    webhooks::change,
    webhooks::remove,
    webhooks::rotate,
    webhooks::test,
    queue::depths,
    queue::retry,
    queue::cancel,
    queue::retry_failed,
    migrations::start,
    lifecycle::list,
    lifecycle::create,
    lifecycle::show,
    lifecycle::set,
    lifecycle::remove,
    lifecycle::run,
    jobs::list,
    jobs::show,
    jobs::cancel,
    folders::delete,
    folders::move_to,
    folders::copy,
    batch::upload,
    batch::delete,
    providers::list
))]
pub(crate) struct Document;

/// The routes, by who may call them.
pub(crate) fn routes() -> Router<AppState> {
    let for_users = Router::new()
        .route("/usage", get(usage::show))
        .route("/usage/{*folder}", get(usage::of_folder))
        .route("/quota", get(quotas::list))
        .route("/quota/{*folder}", get(quotas::of_folder))
        .route("/user-quotas/{id}", get(quotas::of_user))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{id}", get(jobs::show))
        .route("/jobs/{id}/cancel", post(jobs::cancel))
        .route("/folders/delete", post(folders::delete))
        .route("/folders/move", post(folders::move_to))
        .route("/folders/copy", post(folders::copy))
        .route("/files/batch", post(batch::upload).delete(batch::delete));
    let for_the_service = Router::new()
        .route("/usage", post(usage::repair))
        .route("/quota/{*folder}", put(quotas::set_folder).delete(quotas::remove_folder))
        .route("/user-quotas/{id}", put(quotas::set_user).delete(quotas::remove_user))
        .route("/global-quota", get(quotas::of_all).put(quotas::set_all).delete(quotas::remove_all))
        .route("/health", get(health::show))
        .route("/health/{provider}", get(health::of_provider))
        .route("/metrics", get(metrics::show))
        .route("/metrics/reset", post(metrics::reset))
        .route("/cleanup", get(cleanup::preview).post(cleanup::apply))
        .route("/scrub", post(scrub::start))
        .route("/adopt", post(adopt::start))
        .route("/policies", get(policies::list).post(policies::change))
        .route("/policies/{name}", delete(policies::remove))
        .route("/credentials", get(credentials::list).post(credentials::create))
        .route("/credentials/{access_key_id}", patch(credentials::change).delete(credentials::remove))
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/webhooks/{id}", get(webhooks::show).patch(webhooks::change).delete(webhooks::remove))
        .route("/webhooks/{id}/rotate", post(webhooks::rotate))
        .route("/webhooks/{id}/test", post(webhooks::test))
        .route("/upload-queue", get(queue::depths))
        .route("/upload-queue/retry", post(queue::retry_failed))
        .route("/upload-queue/{id}/retry", post(queue::retry))
        .route("/upload-queue/{id}/cancel", post(queue::cancel))
        .route("/migrations", post(migrations::start))
        .route("/lifecycle", get(lifecycle::list).post(lifecycle::create))
        .route("/lifecycle/run", post(lifecycle::run))
        .route("/lifecycle/{id}", get(lifecycle::show).put(lifecycle::set).delete(lifecycle::remove))
        .route("/providers", get(providers::list));
    for_users.merge(for_the_service)
}

/// An answer as JSON, or an error in its native form, with what the log says about it.
fn answer<T: Serialize>(caller: &Caller, operation: &'static str, outcome: Result<T, ApiError>) -> Response {
    let mut log = OperationLog { user_id: caller.context().user_id(), ..OperationLog::new(operation) };
    let mut response = match outcome {
        Ok(body) => axum::Json(body).into_response(),
        Err(error) => {
            (log.code, log.cause) = (Some(error.code()), error.cause());
            error.render(caller.context().request_id())
        }
    };
    response.extensions_mut().insert(log);
    response
}
