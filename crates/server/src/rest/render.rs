//! The last step of every answer: errors get their words, and the harness its log line.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, Uri, header};

use super::call::LogSlot;
use super::dialect::Dialect;
use crate::app::AppState;
use crate::errors::ApiError;
use crate::http::RequestId;

/// Renders what a handler, or the lack of one, answered.
pub(super) async fn render(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let log = LogSlot::default();
    request.extensions_mut().insert(log.clone());
    let request_id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    let (mut code, mut cause) = (None, None);
    if let Some(error) = ApiError::of(&mut response) {
        (code, cause) = (Some(error.code()), error.cause());
        let request_id = request_id.as_ref().map_or("", |id| &id.0);
        let allow = response.headers_mut().remove(header::ALLOW);
        response = Dialect::of(&app).error(&error, request_id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    response.extensions_mut().insert(log.finish(code, cause));
    response
}

/// No route has this path.
pub(super) async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    ApiError::UnknownRoute { method, path: uri.path().to_owned() }
}

/// The route has no such method.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::MethodNotAllowed { method, path: uri.path().to_owned() }
}
