//! Spans as OTLP has them in JSON (OpenTelemetry Protocol 1.x, `ExportTraceServiceRequest`).

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::layer::{Ended, Told};

/// Answers a caller.
const SERVER: u8 = 2;
/// Asks somebody else.
const CLIENT: u8 = 3;
/// It failed.
const ERROR: u8 = 2;

/// A request with all these spans.
pub(super) fn request(service: &str, instance: &str, spans: &[Ended]) -> Value {
    let resource = [
        ("service.name", Told::Text(service.to_owned())),
        ("service.version", Told::Text(env!("CARGO_PKG_VERSION").to_owned())),
        ("service.instance.id", Told::Text(instance.to_owned())),
    ];
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource.iter().map(attribute).collect::<Vec<_>>() },
        "scopeSpans": [{
            "scope": { "name": "aerostore", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }] })
}

fn span(span: &Ended) -> Value {
    let operation = span.values.iter().find(|(name, _)| *name == "operation");
    let name = match operation {
        Some((_, Told::Text(operation))) => format!("{} {operation}", span.name),
        Some(_) | None => span.name.to_owned(),
    };
    let failed = span.values.iter().any(|(name, value)| *name == "error" && *value == Told::Flag(true));
    let told = span.values.iter().filter(|(name, _)| *name != "error");
    let mut value = json!({
        "traceId": format!("{:032x}", span.context.trace),
        "spanId": format!("{:016x}", span.context.span),
        "name": name,
        "kind": if span.name == "request" { SERVER } else { CLIENT },
        "startTimeUnixNano": nanoseconds(span.began),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": told.map(attribute).collect::<Vec<_>>(),
        "status": if failed { json!({ "code": ERROR }) } else { json!({}) },
    });
    if let (Some(parent), Some(members)) = (span.parent, value.as_object_mut()) {
        members.insert("parentSpanId".to_owned(), format!("{parent:016x}").into());
    }
    value
}

fn attribute((name, told): &(&'static str, Told)) -> Value {
    let value = match told {
        Told::Text(text) => json!({ "stringValue": text }),
        // As text: JSON's numbers are not as long.
        Told::Number(number) => json!({ "intValue": number.to_string() }),
        Told::Flag(flag) => json!({ "boolValue": flag }),
    };
    json!({ "key": name, "value": value })
}

fn nanoseconds(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}
