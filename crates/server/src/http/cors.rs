//! Browsers on other origins. Tokens authenticate, never cookies, so any origin may call by default, and
//! credentials are never allowed.

use std::time::Duration;

use axum::Router;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, Cors, CorsLayer};

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// What a page may read of an answer, beyond the few headers that it always may.
const EXPOSED: [HeaderName; 27] = [
    header::ACCEPT_RANGES,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::DATE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("preference-applied"),
    HeaderName::from_static("tus-checksum-algorithm"),
    HeaderName::from_static("tus-complete"),
    HeaderName::from_static("tus-extension"),
    HeaderName::from_static("tus-max-size"),
    HeaderName::from_static("tus-resumable"),
    HeaderName::from_static("tus-version"),
    HeaderName::from_static("upload-concat"),
    HeaderName::from_static("upload-defer-length"),
    HeaderName::from_static("upload-expires"),
    HeaderName::from_static("upload-length"),
    HeaderName::from_static("upload-metadata"),
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-transformations"),
];

/// How long a browser may remember the answer to a preflight.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Routes behind CORS, for requests that come from a page.
#[derive(Clone)]
pub(super) struct CrossOrigin {
    routes: Cors<Router>,
    any: bool,
}

impl CrossOrigin {
    pub(super) fn new(routes: Router, allowed_origins: &[String]) -> Self {
        use tower::Layer;
        let any = allowed_origins.iter().any(|origin| origin == "*");
        let layer = CorsLayer::new()
            .allow_methods(METHODS)
            // Not `*`, which leaves `Authorization` out.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED)
            .max_age(MAX_AGE);
        let layer = if any {
            layer.allow_origin(Any).vary([])
        } else {
            let origins = allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
            layer.allow_origin(AllowOrigin::list(origins)).vary([header::ORIGIN])
        };
        Self { routes: layer.layer(routes), any }
    }

    /// The routes to send a request to, if CORS has a say in its answer.
    pub(super) fn applies(&self, method: &Method, headers: &HeaderMap) -> Option<Cors<Router>> {
        let from_page = headers.contains_key(header::ORIGIN);
        // OPTIONS is a preflight only with this header; others belong to a protocol.
        let foreign =
            method == Method::OPTIONS && !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        ((from_page || !self.any) && !foreign).then(|| self.routes.clone())
    }

    /// Sees to it that an answer which a shared cache keeps also suits a page that asks later.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        if self.any {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
    }
}
