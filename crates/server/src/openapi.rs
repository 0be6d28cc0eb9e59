//! The API's document, OpenAPI 3.1, generated from the handlers, and a page that shows it without reaching out to
//! anybody else's server.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, SecurityRequirement};

use crate::http::OperationLog;
use crate::management::{self, Document as Management};
use crate::rest;
use crate::tus::Document as Resumable;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Aerostore",
        description = "Buckets and files for applications, every access decided by row-level security."
    ),
    nest((path = management::BASE, api = Management)),
    tags(
        (name = "Buckets", description = "Containers of objects, each with a policy, limits and an owner."),
        (name = "Objects", description = "Files: bytes, and what is known about them."),
        (name = "Lists", description = "What lies in a bucket or folder, as far as the caller may see it."),
        (name = "Versions", description = "What was overwritten and deleted, in buckets that keep it."),
        (name = "Upload queue", description = "Uploads on their way to the provider where they belong. They are readable all the while."),
        (name = "Queries", description = "SQL over the rows that the caller may see."),
        (name = "Events", description = "What happens, as it happens, as far as the caller may see what it is about."),
        (name = "Signed URLs", description = "URLs that open one object, for whoever has them."),
        (name = "Batch", description = "Many files in one request, each of them decided alone."),
        (name = "Jobs", description = "Long work that is asked for, and goes on by itself: what is done to whole folders."),
        (name = "Management", description = "What operators ask of a running server."),
    ),
)]
struct Document;

/// The document, as it is served and kept in `docs/openapi.json`.
pub fn document() -> String {
    let mut document =
        Document::openapi().nest(rest::BASE, rest::openapi()).nest(rest::BASE, Resumable::openapi());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let apikey = ApiKeyValue::with_description("apikey", "The same JWT; a bearer token beside it decides.");
    components.add_security_scheme("apikey", SecurityScheme::ApiKey(ApiKey::Header(apikey)));
    let none = Vec::<String>::new;
    document.security =
        Some(vec![SecurityRequirement::new("bearer", none()), SecurityRequirement::new("apikey", none())]);
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// `GET /openapi.json`.
pub(crate) async fn json() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(document);
    fixed(TEXT.as_str(), "application/json")
}

/// `GET /docs`: the page.
pub(crate) async fn page() -> Response {
    fixed(include_str!("docs/page.html"), "text/html; charset=utf-8")
}

/// `GET /docs/page.js`.
pub(crate) async fn script() -> Response {
    fixed(include_str!("docs/page.js"), "text/javascript; charset=utf-8")
}

/// `GET /docs/page.css`.
pub(crate) async fn style() -> Response {
    fixed(include_str!("docs/page.css"), "text/css; charset=utf-8")
}

/// Only what this server sends itself may run or be loaded.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn fixed(text: &'static str, content_type: &'static str) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response.extensions_mut().insert(OperationLog::new("docs"));
    response
}
