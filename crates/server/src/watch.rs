//! What machines ask that watch the server: whether it lives, whether it can work, and its figures.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use file_storage::Role;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::app::AppState;
use crate::config::MetricsAccess;
use crate::http::{OperationLog, Peer, RequestId, problem};

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> Response {
    plain(StatusCode::OK, "ok\n", "healthz")
}

/// `GET /readyz`: database and provider answer, and the server is not about to stop. The reason why not is in the log: this route is open to all.
pub(crate) async fn ready(State(app): State<AppState>) -> Response {
    if app.readiness.is_ending() {
        plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n", "readyz")
    } else if app.readiness.check().await {
        plain(StatusCode::OK, "ready\n", "readyz")
    } else {
        plain(StatusCode::SERVICE_UNAVAILABLE, "not ready; see the server's log\n", "readyz")
    }
}

/// `GET /metrics`: all figures, for those who may see them.
pub(crate) async fn figures(
    State(app): State<AppState>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let open = match app.config.metrics.access {
        MetricsAccess::Anyone => true,
        MetricsAccess::Loopback => app.proxies.is_local(peer.ip(), &headers),
        MetricsAccess::Service => false,
    };
    if !open {
        let refused = match app.authenticator.load_full().authenticate(&headers, request_id.clone()).await {
            Ok(caller) => match caller.role() {
                Role::ServiceRole => None,
                Role::Anon => {
                    Some((StatusCode::UNAUTHORIZED, "AUTH_REQUIRED", "Authentication required".to_owned()))
                }
                Role::Authenticated => Some((
                    StatusCode::FORBIDDEN,
                    "STORAGE_UNAUTHORIZED",
                    "The service role reads metrics".to_owned(),
                )),
            },
            Err(error) => Some((StatusCode::UNAUTHORIZED, error.code(), error.to_string())),
        };
        if let Some((status, code, message)) = refused {
            let mut response = problem(status, code, &message, &request_id);
            response
                .extensions_mut()
                .insert(OperationLog { code: Some(code), ..OperationLog::new("metrics") });
            return response;
        }
    }
    let mut response = plain(StatusCode::OK, app.figures.render(), "metrics");
    let version = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, version);
    response
}

fn plain(status: StatusCode, text: impl Into<String>, operation: &'static str) -> Response {
    let mut response = (status, text.into()).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(OperationLog::new(operation));
    response
}
