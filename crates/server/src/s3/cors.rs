//! Browsers on other origins: a bucket's own rules decide; where it has none, the server's do for all protocols.

use axum::body::Body;
use axum::response::Response;
use file_storage::BucketName;
use file_storage::extra::CorsRule;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::failure::Failure;
use crate::app::AppState;

/// What pages may always read of an answer, where a bucket has no rules.
const EXPOSED: &str = "etag, content-length, content-range, accept-ranges, last-modified, location, x-amz-request-id, \
     x-amz-tagging-count, x-amz-checksum-crc32, x-amz-checksum-crc32c, x-amz-checksum-crc64nvme, x-amz-checksum-sha1, \
     x-amz-checksum-sha256, x-amz-checksum-type, x-amz-mp-parts-count, x-amz-version-id";
const MAX_AGE_SECONDS: i32 = 3600;

/// A page that asks.
pub(super) struct Asked {
    origin: HeaderValue,
    method: String,
    headers: Vec<String>,
}

impl Asked {
    /// The page behind a request, if one is.
    pub(super) fn of(parts: &Parts) -> Option<Self> {
        let origin = parts.headers.get(header::ORIGIN)?.clone();
        let text = |name: &HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let method = text(&header::ACCESS_CONTROL_REQUEST_METHOD);
        // Browsers say it in a preflight alone; whoever says it elsewhere asks about that method.
        let method = method.unwrap_or(parts.method.as_str());
        let headers = text(&header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default().split(',');
        let headers = headers.map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
        Some(Self { origin, method: method.to_owned(), headers: headers.collect() })
    }

    /// The first rule that lets the page in.
    fn rule<'r>(&self, rules: &'r [CorsRule]) -> Option<&'r CorsRule> {
        let origin = self.origin.to_str().ok()?;
        rules.iter().find(|rule| {
            rule.methods.contains(&self.method)
                && rule.origins.iter().any(|pattern| matches(pattern, origin))
                && self.headers.iter().all(|name| {
                    rule.headers.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), name))
                })
        })
    }
}

/// Whether a text fits a pattern with at most one `*`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

/// The answer to a browser that asks for leave; `None` for every other request.
pub(super) async fn preflight(
    app: &AppState,
    parts: &Parts,
    bucket: Option<&BucketName>,
) -> Option<Result<Response, Failure>> {
    if parts.method != Method::OPTIONS {
        return None;
    }
    let refuse = |message| Some(Err(Failure::new(StatusCode::FORBIDDEN, "AccessForbidden", message)));
    let Some(asked) = Asked::of(parts) else {
        return Some(Err(Failure::bad_request(
            "BadRequest",
            "Insufficient information. Origin request header needed.",
        )));
    };
    if !parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Some(Err(Failure::bad_request("BadRequest", "Invalid Access-Control-Request-Method: null")));
    }
    let rules = rules(app, bucket).await;
    let is_let_in = if rules.is_empty() { by_server(app, &asked) } else { asked.rule(&rules).is_some() };
    if !is_let_in {
        return refuse("CORSResponse: This CORS request is not allowed");
    }
    Some(Ok(Response::new(Body::empty())))
}

/// Says on an answer what its page may do with it.
pub(super) async fn mark(
    app: &AppState,
    asked: &Asked,
    bucket: Option<&BucketName>,
    response: &mut Response,
) {
    let rules = rules(app, bucket).await;
    let headers = response.headers_mut();
    headers.append(
        header::VARY,
        HeaderValue::from_static("Origin, Access-Control-Request-Headers, Access-Control-Request-Method"),
    );
    if rules.is_empty() {
        if by_server(app, asked) {
            let any = app.allowed_origins.load().iter().any(|origin| origin == "*");
            let origin = if any { HeaderValue::from_static("*") } else { asked.origin.clone() };
            allow(asked, headers, origin, &[&asked.method], EXPOSED.to_owned(), Some(MAX_AGE_SECONDS));
        }
    } else if let Some(rule) = asked.rule(&rules) {
        let any = rule.origins.iter().any(|origin| origin == "*");
        let origin = if any { HeaderValue::from_static("*") } else { asked.origin.clone() };
        let methods: Vec<_> = rule.methods.iter().map(String::as_str).collect();
        allow(asked, headers, origin, &methods, rule.exposed.join(", "), rule.max_age_seconds);
    }
}

fn allow(
    asked: &Asked,
    headers: &mut HeaderMap,
    origin: HeaderValue,
    methods: &[&str],
    exposed: String,
    max_age_seconds: Option<i32>,
) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let mut insert = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value)
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    };
    insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods.join(", "));
    insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.headers.join(", "));
    insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    insert(header::ACCESS_CONTROL_MAX_AGE, max_age_seconds.map_or_else(String::new, |age| age.to_string()));
}

/// Whether the server lets pages of this origin call.
fn by_server(app: &AppState, asked: &Asked) -> bool {
    let allowed = app.allowed_origins.load();
    allowed.iter().any(|origin| origin == "*" || origin.as_bytes() == asked.origin.as_bytes())
}

/// A bucket's rules. One that is not there has none, and is told from one that has none by nobody.
async fn rules(app: &AppState, bucket: Option<&BucketName>) -> Vec<CorsRule> {
    match bucket {
        Some(bucket) => app.storage.own_bucket_extra(bucket).await.map(|kept| kept.cors).unwrap_or_default(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_one_wildcard_at_most() {
        for (pattern, text, fits) in [
            ("*", "https://a.example", true),
            ("https://*.example", "https://a.example", true),
            ("https://*.example", "https://.example", true),
            ("https://*.example", "https://example", false),
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "https://b.example", false),
            ("aa*aa", "aaa", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
