//! The span of a request: whose trace it goes on with, and what it says at its end.

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::TARGET;

/// Where a caller says which trace it is in.
const PARENT: &str = "traceparent";

/// Begins the span of a request. Of no cost where nobody collects traces.
pub(crate) fn begin(method: &Method, headers: &HeaderMap, request_id: &str) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %method,
        http.response.status_code = Empty,
        aerostore.request_id = request_id,
        operation = Empty,
        outcome = Empty,
    );
    if !span.is_disabled() {
        // It fails where something else than traces wants such spans.
        let _ = span.set_parent(caller(headers));
    }
    span
}

/// Says of a request's span how it ended, and ends it as soon as nothing else refers to it.
pub(crate) fn end(span: &Span, operation: &str, outcome: &str, status: StatusCode, has_failed: bool) {
    if span.is_disabled() {
        return;
    }
    // A span ends when it was left last: now, and not when its handler answered.
    let _inside = span.enter();
    span.context().span().update_name(format!("request {operation}"));
    span.record("operation", operation);
    span.record("outcome", outcome);
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if has_failed {
        span.record("otel.status_code", "error");
    }
}

/// The place in a trace that a request comes from; none where its header says nothing good, which is as if there were none.
fn caller(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Parent(headers))
}

/// The header that says it, and no other: `tracestate` is as long as its caller likes, and each span that waits would hold it.
struct Parent<'a>(&'a HeaderMap);

impl Extractor for Parent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let header = (key == PARENT).then(|| self.0.get(PARENT))??;
        header.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec![PARENT]
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(parent: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static(PARENT),
            HeaderValue::from_str(parent).unwrap(),
        )])
    }

    #[test]
    fn a_header_is_taken_only_as_the_standard_has_it() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        let check = |header: &str, sampled: Option<bool>| {
            let found = caller(&headers(header)).span().span_context().clone();
            assert_eq!(found.is_valid().then(|| found.is_sampled()), sampled, "{header}");
        };
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01"), Some(true));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-00"), Some(false));
        check(&format!("01-{TRACE}-00f067aa0ba902b7-01-more"), Some(true));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01-more"), None);
        check(&format!("ff-{TRACE}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None);
        check(&format!("00-{TRACE}-{}-01", "0".repeat(16)), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()), None);
        check(&format!("00-{TRACE}-00f067aa0ba902b7"), None);
        check("", None);
        let parsed =
            caller(&headers(&format!("00-{TRACE}-00f067aa0ba902b7-01"))).span().span_context().clone();
        assert_eq!(
            (parsed.trace_id().to_string(), parsed.span_id().to_string()),
            (TRACE.to_owned(), "00f067aa0ba902b7".to_owned())
        );
    }

    #[test]
    fn what_a_caller_keeps_of_its_own_beside_its_trace_is_not_taken() {
        let mut headers = headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        headers.insert("tracestate", HeaderValue::from_static("vendor=long"));
        assert_eq!(caller(&headers).span().span_context().trace_state().header(), "");
    }
}
