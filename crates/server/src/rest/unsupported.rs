//! What Supabase has and this server has not (yet). It says so, rather than being a missing route.

use axum::Extension;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::errors::ApiError;
use crate::http::RequestId;

/// `/render/…`: image transformations.
pub(super) async fn render() -> ApiError {
    ApiError::Unsupported { what: "image transformation" }
}

/// `/cdn/…`: purging caches in front of the server.
pub(super) async fn cdn() -> ApiError {
    ApiError::Unsupported { what: "purging a CDN" }
}

/// `/upload-queue`: uploads on their way to where they belong.
pub(super) async fn upload_queue() -> ApiError {
    ApiError::NotYet { what: "The upload queue" }
}

/// `/events`: what happens, as it happens.
pub(super) async fn events() -> ApiError {
    ApiError::NotYet { what: "The stream of events" }
}

/// `/s3`: Amazon's protocol, whose clients read XML and know this code.
pub(super) async fn s3(Extension(request_id): Extension<RequestId>) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NotImplemented</Code>\
         <Message>The S3 protocol is not supported yet</Message><RequestId>{}</RequestId></Error>",
        request_id.0
    );
    let mut response = (StatusCode::NOT_IMPLEMENTED, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}
