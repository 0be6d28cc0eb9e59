//! `GET /events`: what happens, as it happens, as server-sent events.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use file_storage::executor::Event;
use file_storage::storage::{Delivery, EventFilter, StartAt, Subscription};
use file_storage::{BucketName, Operation, Timestamp};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::call::{Anyone, Call};
use super::dialect::ErrorBody;
use super::query;
use crate::errors::ApiError;

/// How often a stream says that it is alive, where it has nothing else to say.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What clients are told to wait before they connect again, in milliseconds.
const RETRY: u64 = 3000;

/// Kinds that there are. Others are refused, so that nobody waits for what never comes.
const KINDS: [&str; 8] = [
    "storage.object.created",
    "storage.object.updated",
    "storage.object.deleted",
    "storage.object.moved",
    "storage.bucket.created",
    "storage.bucket.updated",
    "storage.bucket.deleted",
    "storage.quota.warning",
];

/// An event as its `data` has it.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventBody<'a> {
    /// The same for each delivery of an event.
    id: Uuid,
    /// What happened.
    kind: &'a str,
    /// The bucket it is about.
    bucket: &'a str,
    /// The object it is about; null where it is about the bucket.
    path: Option<&'a str>,
    /// Whose the object or bucket is.
    owner_id: Option<Uuid>,
    /// What else there is to know.
    payload: &'a Value,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl<'a> From<&'a Event> for EventBody<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            id: event.id,
            kind: &event.kind,
            bucket: &event.bucket,
            path: event.path.as_deref(),
            owner_id: event.owner_id,
            payload: &event.payload,
            created_at: event.created_at,
        }
    }
}

/// Tells of what happens to buckets and objects that the caller may see, until one of both hangs up.
#[utoipa::path(
    get, path = "/events", tag = "Events", operation_id = "events",
    params(
        ("bucket" = Option<String>, Query, description = "Only events of this bucket"),
        ("prefix" = Option<String>, Query, description = "Only events of objects whose paths start so"),
        ("type" = Option<Vec<String>>, Query, description = "Only events of these kinds, repeated or separated by commas"),
        ("last_event_id" = Option<u64>, Query, description = "As the header, where that can't be sent; the header counts where both are"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The last `id` that was read: goes on after it. Without one, with what happens from now on"),
    ),
    responses(
        (status = 200, description = "Server-sent events: `id` to resume after, `event` the kind, `data` the event as JSON. `event: reset` where what came between is not kept any more", body = EventBody<'static>, content_type = "text/event-stream"),
        (status = 400, description = "A bad filter, or an id that is no number", body = ErrorBody),
        (status = 401, description = "A bad token", body = ErrorBody),
        (status = 429, description = "The caller has too many streams open", body = ErrorBody),
        (status = 503, description = "All callers together have", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn events(call: Call<Anyone>) -> Result<Response, ApiError> {
    call.begin(Operation::Subscribe);
    let filter = filter(&call)?;
    let start = match last_event_id(&call)? {
        Some(id) => StartAt::After(id),
        None => StartAt::Now,
    };
    let client = Some(call.client());
    let subscription = call.storage().subscribe(call.context(), filter, start, client).await?;
    // A reload between the first look at the token and the subscription would have ended nothing.
    call.authenticate_again().await?;
    let expiry = call.context().claims().get("exp").and_then(Value::as_f64);
    let mut response = Response::new(Body::from_stream(lines(subscription, expiry)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would keep them until it has a page of them.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn filter(call: &Call<Anyone>) -> Result<EventFilter, ApiError> {
    let bucket = query::parameter(call.uri(), "bucket").filter(|name| !name.is_empty());
    let bucket = bucket.map(|name| BucketName::parse(&name)).transpose()?;
    if let Some(bucket) = &bucket {
        call.log_target(bucket, None);
    }
    let prefix = query::parameter(call.uri(), "prefix").unwrap_or_default().into_owned();
    let kinds = kinds(call.uri().query().unwrap_or_default())?;
    Ok(EventFilter { bucket, prefix, kinds })
}

/// All kinds that are asked for, however they are written.
fn kinds(query: &str) -> Result<Vec<String>, ApiError> {
    let asked = query.split('&').filter_map(|pair| pair.strip_prefix("type="));
    let mut kinds = Vec::new();
    for value in asked {
        let value = percent_decode_str(value).decode_utf8_lossy();
        for kind in value.split(',').filter(|kind| !kind.is_empty()) {
            if !KINDS.contains(&kind) {
                return Err(ApiError::schema(format!(
                    "querystring/type must be one of {}",
                    KINDS.join(", ")
                )));
            }
            if !kinds.iter().any(|known| known == kind) {
                kinds.push(kind.to_owned());
            }
        }
    }
    Ok(kinds)
}

fn last_event_id(call: &Call<Anyone>) -> Result<Option<u64>, ApiError> {
    match of_header(call.headers()) {
        None => Ok(query::parameter(call.uri(), "last_event_id")
            .filter(|id| !id.is_empty())
            .map(|id| id.parse())
            .transpose()
            .map_err(|_| ApiError::schema("querystring/last_event_id must be integer"))?),
        Some(id) => {
            let id = id.parse().map_err(|_| ApiError::schema("headers/last-event-id must be integer"))?;
            Ok(Some(id))
        }
    }
}

/// An empty id is what a browser sends that has none.
fn of_header(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("last-event-id")?;
    // What is no text is no number: refused as one.
    Some(value.to_str().unwrap_or("?")).filter(|id| !id.is_empty())
}

/// The stream: what is next is asked for when the client has taken what was before.
fn lines(
    subscription: Subscription,
    expiry: Option<f64>,
) -> impl stream::Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    // A client that is cut off before the first event resumes here.
    let greeting = format!("retry: {RETRY}\nid: {}\n\n", subscription.position());
    stream::unfold((Some(subscription), Some(greeting)), move |(subscription, greeting)| async move {
        let mut subscription = subscription?;
        if let Some(greeting) = greeting {
            return Some((Ok(Bytes::from(greeting)), (Some(subscription), None)));
        }
        // Also where much happens, and nothing of it is for this client.
        let due = Instant::now() + KEEP_ALIVE;
        let text = loop {
            let left = left_of(expiry)?;
            let patience = left.min(due.saturating_duration_since(Instant::now()));
            match tokio::time::timeout(patience, subscription.next()).await {
                Err(_) if patience == left => return None,
                // The number moves on also past what is not for this client.
                Err(_) => break format!(": alive\nid: {}\n\n", subscription.position()),
                Ok(Ok(Delivery::Events { events, .. })) if events.is_empty() => {}
                Ok(Ok(Delivery::Events { events, up_to })) => break words(&events, up_to),
                Ok(Ok(Delivery::Reset { up_to })) => {
                    break format!("id: {up_to}\nevent: reset\ndata: {{\"resume_after\":{up_to}}}\n\n");
                }
                Ok(Ok(Delivery::End)) => return None,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a stream of events ends: its client connects again");
                    return None;
                }
            }
        };
        Some((Ok(Bytes::from(text)), (Some(subscription), None)))
    })
}

/// How long a token is still good; `None` where it is no more.
fn left_of(expiry: Option<f64>) -> Option<Duration> {
    let Some(expiry) = expiry else { return Some(Duration::MAX) };
    let now = Timestamp::timestamp_millis(&chrono::Utc::now()) as f64 / 1000.0;
    let left = Duration::try_from_secs_f64(expiry - now).ok()?;
    (!left.is_zero()).then_some(left)
}

/// Events, each with the number after which one goes on. The last of them stands for what was left out behind it.
fn words(events: &[Event], up_to: u64) -> String {
    let mut text = String::with_capacity(events.len().saturating_mul(512));
    for (at, event) in events.iter().enumerate() {
        let id = if at + 1 == events.len() { up_to } else { event.sequence };
        // No line break can be in it: JSON writes them as escapes.
        let data = serde_json::to_string(&EventBody::from(event)).unwrap_or_default();
        text.push_str(&format!("id: {id}\nevent: {}\ndata: {data}\n\n", event.kind));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_repeated_or_separated_and_known() {
        let both = "storage.object.created,storage.object.moved&type=storage.object.moved&x=1";
        let kinds_of = |query: &str| kinds(query).unwrap();
        assert_eq!(kinds_of(&format!("a&type={both}")), ["storage.object.created", "storage.object.moved"]);
        assert!(kinds_of("").is_empty() && kinds_of("type=").is_empty());
        assert!(kinds("type=storage.object.gone").is_err());
    }

    #[test]
    fn a_token_that_is_over_leaves_no_time() {
        let now = chrono::Utc::now().timestamp() as f64;
        assert_eq!(left_of(None), Some(Duration::MAX));
        assert_eq!(left_of(Some(now - 10.0)), None);
        assert!(left_of(Some(now + 100.0)).is_some_and(|left| left.as_secs() <= 100));
    }
}
