//! Answers that no handler gives: to routes that are not there, after a panic, to a body that stalled.

use axum::body::Body;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

/// An error in the form of all errors (SPEC 6), for what lies outside of every protocol.
pub fn problem(status: StatusCode, code: &'static str, message: &str, request_id: &str) -> Response<Body> {
    let body = json!({
        "statusCode": status.as_str(),
        "error": status.canonical_reason().unwrap_or("Error"),
        "message": message,
        "code": code,
        "retryable": matches!(status.as_u16(), 408 | 429 | 503 | 504),
        "request_id": request_id,
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to a route that is not there, in Supabase's words.
pub fn not_found(method: &Method, path: &str, request_id: &str) -> Response<Body> {
    let message = format!("Route {method}:{path} not found");
    problem(StatusCode::NOT_FOUND, "INVALID_REQUEST", &message, request_id)
}
