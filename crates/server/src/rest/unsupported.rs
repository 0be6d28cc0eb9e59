//! What Supabase has and this server has not. It says so, rather than being a missing route.

use crate::errors::ApiError;

/// `/render/…`: image transformations.
pub(super) async fn render() -> ApiError {
    ApiError::Unsupported { what: "image transformation" }
}

/// `/cdn/…`: purging caches in front of the server.
pub(super) async fn cdn() -> ApiError {
    ApiError::Unsupported { what: "purging a CDN" }
}
