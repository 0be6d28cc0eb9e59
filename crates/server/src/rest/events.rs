//! `GET /events`: what happens, as it happens, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use file_storage::executor::Event;
use file_storage::storage::{Delivery, EventFilter, StartAt, Subscription};
use file_storage::{BucketName, Operation, StorageError, Timestamp};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
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
pub(crate) const KINDS: [&str; 11] = [
    "storage.object.created",
    "storage.object.updated",
    "storage.object.deleted",
    "storage.object.moved",
    "storage.object.expiring",
    "storage.bucket.created",
    "storage.bucket.updated",
    "storage.bucket.deleted",
    "storage.quota.warning",
    "storage.provider.failed_over",
    "storage.provider.recovered",
];

/// An event as its `data` has it.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventBody<'a> {
    /// The same for each delivery of an event.
    id: Uuid,
    /// What happened.
    kind: &'a str,
    /// The bucket it is about; null where it is about a provider, which the service role alone is told of.
    bucket: Option<&'a str>,
    /// The object it is about; null where it is about the bucket, or a provider.
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
            bucket: event.bucket.as_deref(),
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

/// What a client reads from: a subscription, outside of tests.
trait Source: Send + Sized + 'static {
    /// The number after which it goes on.
    fn position(&self) -> u64;

    /// Waits for what is next.
    fn next(&mut self) -> impl Future<Output = Result<Delivery, StorageError>> + Send;
}

impl Source for Subscription {
    fn position(&self) -> u64 {
        Subscription::position(self)
    }

    fn next(&mut self) -> impl Future<Output = Result<Delivery, StorageError>> + Send {
        Subscription::next(self)
    }
}

/// A wait for what is next, which ends where nobody wants it any more. It is a task, as queries that were begun take
/// connections and turns from others: they go on also while the client takes nothing, and while it is told that all is well.
type Waiting<S> = AbortOnDropHandle<(S, Result<Delivery, StorageError>)>;

fn wait<S: Source>(mut source: S) -> Waiting<S> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let delivery = source.next().await;
        (source, delivery)
    }))
}

/// What the stream goes on with.
enum Client<S> {
    /// It was told nothing yet.
    New(S),
    /// What is next is not asked for before the client has taken what was before.
    Told(S),
    /// It waits, and stands after this number.
    Waits(Waiting<S>, u64),
}

/// The stream.
fn lines<S: Source>(
    source: S,
    expiry: Option<f64>,
) -> impl stream::Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    stream::unfold(Client::New(source), move |client| async move {
        let (text, client) = line(client, expiry).await?;
        Some((Ok(Bytes::from(text)), client))
    })
}

/// What the client is told next; `None` at the end.
async fn line<S: Source>(client: Client<S>, expiry: Option<f64>) -> Option<(String, Client<S>)> {
    let (mut waiting, mut position) = match client {
        // A client that is cut off before the first event resumes here.
        Client::New(source) => {
            return Some((format!("retry: {RETRY}\nid: {}\n\n", source.position()), Client::Told(source)));
        }
        Client::Told(source) => {
            let position = source.position();
            (wait(source), position)
        }
        Client::Waits(waiting, position) => (waiting, position),
    };
    // Also where much happens, and nothing of it is for this client.
    let due = Instant::now() + KEEP_ALIVE;
    loop {
        let left = left_of(expiry)?;
        let patience = left.min(due.saturating_duration_since(Instant::now()));
        let (source, delivery) = match tokio::time::timeout(patience, &mut waiting).await {
            Err(_) if patience == left => return None,
            // The number moves on also past what is not for this client.
            Err(_) => {
                return Some((format!(": alive\nid: {position}\n\n"), Client::Waits(waiting, position)));
            }
            Ok(done) => done.ok()?,
        };
        let text = match delivery {
            Ok(Delivery::Events { events, up_to }) if events.is_empty() => {
                (waiting, position) = (wait(source), up_to);
                continue;
            }
            Ok(Delivery::Events { events, up_to }) => words(&events, up_to),
            Ok(Delivery::Reset { up_to }) => {
                format!("id: {up_to}\nevent: reset\ndata: {{\"resume_after\":{up_to}}}\n\n")
            }
            Ok(Delivery::End) => return None,
            Err(error) => {
                tracing::warn!(%error, "a stream of events ends: its client connects again");
                return None;
            }
        };
        return Some((text, Client::Told(source)));
    }
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::StreamExt;

    use super::*;

    #[test]
    fn kinds_are_repeated_or_separated_and_known() {
        let both = "storage.object.created,storage.object.moved&type=storage.object.moved&x=1";
        let kinds_of = |query: &str| kinds(query).unwrap();
        assert_eq!(kinds_of(&format!("a&type={both}")), ["storage.object.created", "storage.object.moved"]);
        assert!(kinds_of("").is_empty() && kinds_of("type=").is_empty());
        assert!(kinds("type=storage.object.gone").is_err());
    }

    /// Needs longer than a stream may be silent.
    struct Slow {
        asked: Arc<AtomicUsize>,
    }

    impl Source for Slow {
        fn position(&self) -> u64 {
            7
        }

        async fn next(&mut self) -> Result<Delivery, StorageError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(KEEP_ALIVE.mul_f64(2.5)).await;
            Ok(Delivery::Reset { up_to: 9 })
        }
    }

    #[tokio::test]
    async fn what_takes_long_is_not_begun_anew_by_keep_alives() {
        tokio::time::pause();
        let asked = Arc::new(AtomicUsize::new(0));
        let mut stream = Box::pin(lines(Slow { asked: Arc::clone(&asked) }, None));
        let mut said = Vec::new();
        while said.len() < 4 {
            said.push(String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap());
        }
        assert_eq!(said[1..3], [": alive\nid: 7\n\n"; 2]);
        assert!(said[3].starts_with("id: 9\nevent: reset\n"), "{said:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        drop(stream);
        let now = chrono::Utc::now().timestamp_millis() as f64 / 1000.0;
        let mut over = Box::pin(lines(Slow { asked: Arc::clone(&asked) }, Some(now + 5.0)));
        assert!(over.next().await.is_some() && over.next().await.is_none(), "a token's end drops it");
    }

    #[test]
    fn a_token_that_is_over_leaves_no_time() {
        let now = chrono::Utc::now().timestamp() as f64;
        assert_eq!(left_of(None), Some(Duration::MAX));
        assert_eq!(left_of(Some(now - 10.0)), None);
        assert!(left_of(Some(now + 100.0)).is_some_and(|left| left.as_secs() <= 100));
    }
}
