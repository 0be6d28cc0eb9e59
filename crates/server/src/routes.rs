//! All routes, by who serves them.

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;

use crate::app::AppState;
use crate::http::{RequestId, not_found, problem};
use crate::{management, openapi, rest, s3, watch};

/// Every route of the server.
pub(crate) fn all(app: &AppState) -> Router {
    Router::new()
        .route("/healthz", get(watch::alive))
        .route("/readyz", get(watch::ready))
        .route("/metrics", get(watch::figures))
        .route("/openapi.json", get(openapi::json))
        .route("/docs", get(openapi::page))
        .route("/docs/page.js", get(openapi::script))
        .route("/docs/page.css", get(openapi::style))
        .nest(management::BASE, management::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app.clone())
        .nest(rest::BASE, rest::router(app.clone()))
        .merge(s3::service(app))
}

async fn unknown(
    method: Method,
    OriginalUri(uri): OriginalUri,
    axum::Extension(request_id): axum::Extension<RequestId>,
    State(_): State<AppState>,
) -> Response {
    not_found(&method, uri.path(), &request_id.0)
}

async fn wrong_method(
    method: Method,
    OriginalUri(uri): OriginalUri,
    axum::Extension(request_id): axum::Extension<RequestId>,
    State(_): State<AppState>,
) -> Response {
    let message = format!("Method {method} is not allowed for {}", uri.path());
    problem(StatusCode::METHOD_NOT_ALLOWED, "INVALID_REQUEST", &message, &request_id.0)
}
